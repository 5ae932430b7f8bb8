import { describe, expect, it } from 'vitest'

import { isStalled, judge, type QueueLook, type Standing } from '#runtime/flow/stall.js'

const BACKLOG = { waiting: 5, isPaused: false, unsettled: 3, limit: -1 }
const QUIET: QueueLook = { arrived: 7, wasFull: false, consumer: BACKLOG }
const BEFORE: Standing = { arrived: 7, suspectSince: undefined }

// prettier-ignore
const TABLE: readonly (readonly [string, Standing | undefined, Partial<QueueLook>, boolean])[] = [
  ['a backlog, room, and nothing came',       BEFORE,    {},                                             true],
  ['a consumer that is gone',                 BEFORE,    { consumer: 'gone' },                           true],
  ['the first look',                          undefined, {},                                             false],
  ['something came',                          BEFORE,    { arrived: 8 },                                 false],
  ['no room at some moment',                  BEFORE,    { wasFull: true },                              false],
  ['no backlog',                              BEFORE,    { consumer: { ...BACKLOG, waiting: 0 } },       false],
  ['a pause',                                 BEFORE,    { consumer: { ...BACKLOG, isPaused: true } },   false],
  ['a cluster-wide limit that is used up',    BEFORE,    { consumer: { ...BACKLOG, limit: 3 } },         false],
  ['a cluster-wide limit that is not',        BEFORE,    { consumer: { ...BACKLOG, limit: 4 } },         true],
  ['nobody who says',                         BEFORE,    { consumer: undefined },                        false],
]

describe('a queue is suspected of a stall', () => {
  it.each(TABLE)('%s: %#', (_, before, look, expected) => {
    expect(judge(before, { ...QUIET, ...look }, 100).suspectSince).toBe(expected ? 100 : undefined)
  })

  it('from the first time on, and no longer when something comes', () => {
    const first = judge(BEFORE, QUIET, 100)
    const second = judge(first, QUIET, 200)
    expect(second.suspectSince).toBe(100)
    expect([isStalled(second, 101, 200), isStalled(second, 100, 200)]).toEqual([false, true])
    expect(judge(second, { ...QUIET, arrived: 8 }, 300).suspectSince).toBeUndefined()
  })
})
