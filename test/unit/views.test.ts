/** What the views judge: pure tables. */
import { describe, expect, it } from 'vitest'

import { actorFindings, growthFindings, limitFindings } from '#runtime/view/doctor.js'
import { stateOf } from '#runtime/view/status.js'

const well = {
  waiting: 0,
  running: 0,
  slots: 10,
  systems: ['a'],
  perSecond: 0,
  oldestMs: undefined,
  pausedUntil: undefined,
}

describe('the state of an actor', () => {
  it.each([
    ['ok', {}],
    ['ok', { waiting: 3, oldestMs: 500 }],
    ['ok', { systems: [], slots: 0 }],
    ['no workers', { waiting: 1, systems: [], slots: 0 }],
    ['behind', { waiting: 1, oldestMs: 61_000, running: 10 }],
    ['behind', { waiting: 1, oldestMs: 61_000, running: 3, perSecond: 4 }],
    ['stalled', { waiting: 1, oldestMs: 61_000, running: 3 }],
    ['paused', { waiting: 1, oldestMs: 61_000, pausedUntil: new Date() }],
  ] as const)('is %s for %j', (state, change) => {
    expect(stateOf({ ...well, ...change })).toBe(state)
  })
})

describe('the doctor', () => {
  it('tells limits of the account that are near, and none where there are none', () => {
    const used = { memory: 0, storage: 96, streams: 8, consumers: 1 }
    const levels = (limits: Record<string, number>): string[] =>
      limitFindings({ ...used, limits }).map(({ level }) => level)
    expect(levels({ max_storage: 100, max_streams: 10, max_consumers: 10 })).toEqual(['error', 'warning'])
    expect(levels({ max_storage: -1, max_streams: -1, max_consumers: 0 })).toEqual(['ok'])
  })

  it('has advice for everything that is not well', () => {
    const dead = growthFindings([{ actor: 'a', dead: 1_000, arriving: 10_000 }])
    expect(dead).toHaveLength(2)
    const overview = {
      ...well,
      actor: 'a',
      lanes: [],
      delivered: 0,
      parked: 0,
      parkedRetries: 0,
      arriving: 0,
      dead: 0,
      bytes: 0,
    }
    const states = ['paused', 'no workers', 'stalled', 'behind'] as const
    const found = actorFindings({ systems: [], actors: states.map((state) => ({ ...overview, state })) })
    expect(found.map(({ level }) => level)).toEqual(['warning', 'error', 'error', 'warning'])
    for (const { advice } of [...dead, ...found]) expect(advice).toMatch(/\S/)
    expect(actorFindings({ systems: [], actors: [{ ...overview, state: 'ok' }] })).toEqual([
      expect.objectContaining({ level: 'ok' }),
    ])
  })
})
