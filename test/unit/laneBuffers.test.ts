/** What was fetched and not begun, against plain lists. */
import fc from 'fast-check'
import { expect, it } from 'vitest'

import type { Delivery } from '#runtime/broker/delivery.js'
import { LaneBuffers } from '#runtime/flow/laneBuffers.js'

const LANES = 3
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('add' as const), lane: fc.nat(LANES - 1), times: fc.nat(1_500) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('take' as const), lane: fc.nat(LANES - 1), times: fc.nat(1_500) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('last' as const), lane: fc.nat(0), times: fc.nat(50) }) },
)

it('gives each lane out in order, the newest of the lowest lane last, and knows what is left', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const buffers = new LaneBuffers()
      for (let lane = 0; lane < LANES; lane++) buffers.addLane()
      const lists: number[][] = Array.from({ length: LANES }, () => [])
      const act = {
        add: (lane: number, number: number) => {
          lists[lane]?.push(number)
          buffers.add(lane, number as unknown as Delivery)
        },
        take: (lane: number) => expect(buffers.take(lane)).toBe(lists[lane]?.shift()),
        last: () => expect(buffers.takeLast()).toBe(lists.findLast((list) => list.length > 0)?.pop()),
      }
      let number = 0
      for (const { kind, lane, times } of steps) {
        for (let time = 0; time < times; time++) act[kind](lane, number++)
        for (const [of, list] of lists.entries()) expect(buffers.first(of)).toBe(list[0])
        expect(buffers.size).toBe(lists.flat().length)
      }
      expect(buffers.all).toEqual(lists.flat())
    }),
    { numRuns: 30 },
  )
})
