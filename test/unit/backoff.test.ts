import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { nextDelay, resolveBackoff } from '#runtime/time/backoff.js'

const policy = { baseMs: 2000, factor: 2, maxMs: 60_000, jitter: 0 }

describe('backoff', () => {
  it.each([
    [1, 2000],
    [2, 4000],
    [5, 32_000],
    [6, 60_000],
    [10_000, 60_000],
  ])('waits after attempt %d for %d ms', (attempt, ms) => {
    expect(nextDelay(policy, attempt, 0.5)).toBe(ms)
  })

  it('spreads by the jitter to both sides', () => {
    const spread = { ...policy, jitter: 0.3 }
    expect(nextDelay(spread, 1, 0)).toBe(1400)
    expect(nextDelay(spread, 1, 0.5)).toBe(2000)
    expect(nextDelay(spread, 1, 0.999_999)).toBe(2600)
  })

  it('fills in defaults', () => {
    expect(resolveBackoff({ base: '2s' }, 'b')).toEqual({ baseMs: 2000, factor: 2, maxMs: 3_600_000, jitter: 0.2 })
    expect(resolveBackoff({ base: '2h' }, 'b')).toMatchObject({ maxMs: 7_200_000 })
  })

  it.each([
    [undefined, 'expected b to be an object'],
    [{}, 'expected b.base to be a duration'],
    [{ base: '1s', jiter: 0.1 }, 'did you mean "jitter"?'],
    [{ base: '1s', jitter: 1.1 }, 'expected b.jitter to be a number from 0 to 1, got: 1.1'],
    [{ base: '1s', factor: 0.5 }, 'expected b.factor to be a number from 1, got: 0.5'],
    [{ base: '1s', factor: Infinity }, 'expected b.factor'],
    [{ base: '1h', max: '1m' }, 'expected b.base to be at most b.max (1m), got: 1h'],
  ])('refuses %j', (input, message) => {
    expect(() => resolveBackoff(input, 'b')).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(message) as string }),
    )
  })

  it('never waits longer than max, less than 0 or a fraction, for any policy, attempt and chance', () => {
    const ms = fc.integer({ min: 0, max: 3_155_760_000_000 })
    const factor = fc.double({ min: 1, max: 1e6, noNaN: true })
    const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
    fc.assert(
      fc.property(
        ms,
        ms,
        factor,
        share,
        share,
        fc.integer({ min: 1, max: 10_000 }),
        (a, b, factor, jitter, chance, attempt) => {
          const maxMs = Math.max(a, b)
          const delay = nextDelay({ baseMs: Math.min(a, b), maxMs, factor, jitter }, attempt, chance)
          expect(Number.isInteger(delay) && delay >= 0 && delay <= maxMs).toBe(true)
        },
      ),
    )
  })
})
