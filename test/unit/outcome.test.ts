import { ConfigError, dead, retry, snooze } from 'troupe'
import { describe, expect, it } from 'vitest'

import { isVerdict } from '#runtime/outcome.js'

describe('what a handler may return to choose its outcome', () => {
  it('a retry, with or without a time and a reason', () => {
    expect(retry()).toMatchObject({ kind: 'retry', afterMs: undefined, reason: 'the handler asked for a retry' })
    expect(retry({ after: '2s', reason: 'busy' })).toMatchObject({ kind: 'retry', afterMs: 2_000, reason: 'busy' })
  })

  it('a snooze and a death', () => {
    expect(snooze({ minutes: 1 })).toMatchObject({ kind: 'snooze', afterMs: 60_000 })
    expect(dead('gone')).toMatchObject({ kind: 'dead', reason: 'gone' })
  })

  it.each([undefined, null, 1, 'dead', {}, { kind: 'dead', reason: 'x' }, []])(
    'but not %j: that is a result',
    (value) => {
      expect(isVerdict(value)).toBe(false)
      expect(isVerdict(retry())).toBe(true)
    },
  )

  it('refuses a time that is none', () => {
    expect(() => snooze('soon')).toThrow(ConfigError)
    expect(() => retry({ after: '-1s' })).toThrow(ConfigError)
  })
})
