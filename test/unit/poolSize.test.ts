import { availableParallelism } from 'node:os'

import { describe, expect, it } from 'vitest'

import { membersNeeded, membersWanted, slotsEach, startsDue, type PoolSize } from '#runtime/isolation/poolSize.js'

const each: PoolSize = { concurrency: 4, workers: undefined, spares: 0 }
const shared: PoolSize = { concurrency: 10, workers: 4, spares: 0 }
const calm = { isReplacing: false, ready: 4, running: 0, waiting: 0, hasSuspect: false }

describe('a pool', () => {
  it('has a member for each message, or as many as were set, which share them and round up', () => {
    expect([slotsEach(each), membersWanted(each, false)]).toEqual([1, 4])
    expect([slotsEach(shared), membersWanted(shared, false)]).toEqual([3, 4])
  })

  it('has spares and a successor beside them', () => {
    expect(membersWanted({ ...each, spares: 2 }, false)).toBe(6)
    expect(membersWanted({ ...each, spares: 2 }, true)).toBe(7)
  })

  it.each([
    ['nothing runs', each, calm, 4],
    ['all are taken and nothing waits', each, { ...calm, running: 4 }, 4],
    ['one waits', each, { ...calm, running: 4, waiting: 1 }, 5],
    ['more wait than live calls have slots', each, { ...calm, running: 4, waiting: 99 }, 8],
    ['the same with spares', { ...each, spares: 1 }, { ...calm, running: 4, waiting: 99 }, 9],
    ['there is room in members that share', shared, { ...calm, running: 11, waiting: 1 }, 4],
    ['there is none', shared, { ...calm, running: 12, waiting: 1 }, 5],
    ['one is replaced', each, { ...calm, isReplacing: true }, 5],
    ['one is replaced, and one waits', each, { ...calm, isReplacing: true, running: 4, waiting: 1 }, 5],
    ['one waits that is to be alone', shared, { ...calm, running: 4, waiting: 1, hasSuspect: true }, 5],
    ['so many of those that each has one', shared, { ...calm, ready: 9, running: 9, waiting: 1, hasSuspect: true }, 9],
  ] as const)('needs no more than what waits takes: %s', (_what, size, load, needed) => {
    expect(membersNeeded(size, load)).toBe(needed)
  })

  it('starts what is missing, a few at once, and none for those that are too many', () => {
    const atOnce = Math.min(4, availableParallelism())
    expect(startsDue(1, 0, 0)).toBe(1)
    expect(startsDue(4, 3, 1)).toBe(0)
    expect(startsDue(99, 0, 0)).toBe(atOnce)
    expect(startsDue(99, 0, 1)).toBe(atOnce - 1)
    expect(startsDue(99, 0, atOnce + 1)).toBe(0)
    expect(startsDue(1, 4, 0)).toBe(0)
  })
})
