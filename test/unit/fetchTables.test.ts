import { describe, expect, it } from 'vitest'

import { bufferSize, laneOrder, MAX_BUFFER } from '#runtime/flow/fetch.js'

describe('how much the buffer may hold', () => {
  it.each([
    [10, undefined, 0, 'nothing is known yet: only free slots'],
    [10, 50, 10, '50 ms of work for each slot'],
    [10, 100, 5, 'half of it where one run takes twice as long'],
    [1, 50, 1, 'one slot, one more'],
    [1, 51, 0, 'a slow handler with one slot hoards nothing'],
    [10, 501, 0, 'a very slow one neither'],
    [1, 0, MAX_BUFFER, 'a handler that takes no time fills the buffer'],
    [500, 0.001, MAX_BUFFER, 'and never more'],
  ] as [number, number | undefined, number, string][])(
    'with %i slots and %s ms a run it is %i: %s',
    (concurrency, handlerMs, size) => {
      expect(bufferSize(concurrency, handlerMs)).toBe(size)
    },
  )
})

describe('the order of the lanes', () => {
  const firsts = (lanes: number, turns: number): number[] =>
    Array.from({ length: turns }, (_, turn) => laneOrder(turn, lanes)[0] ?? -1)

  it('begins with high, every 8th turn with normal, every 16th with low', () => {
    expect(firsts(3, 16)).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2])
  })

  it('goes on in order of priority after the first', () => {
    expect(laneOrder(0, 3)).toEqual([0, 1, 2])
    expect(laneOrder(7, 3)).toEqual([1, 0, 2])
    expect(laneOrder(15, 3)).toEqual([2, 0, 1])
  })

  it('names each lane once, whatever the turn and however many there are', () => {
    for (const lanes of [1, 2, 3]) {
      for (let turn = 0; turn < 64; turn++) {
        expect([...laneOrder(turn, lanes)].sort()).toEqual(Array.from({ length: lanes }, (_, lane) => lane))
      }
    }
  })

  it('gives the lower of two lanes both of the turns', () => {
    expect(firsts(2, 16).filter((lane) => lane === 1)).toHaveLength(2)
  })
})
