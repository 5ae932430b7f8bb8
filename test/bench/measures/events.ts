import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'
import { drained } from './drain.ts'

/**
 * What level `all` of events costs a worker: the same as `drain`, with every message told as `started` and as `done`, to nobody; and
 * with the events kept in their stream. Compare with the row `drain`.
 */
export const events: Measure = async (ground, plan) => {
  const [warm, count] = plan.quick ? [10_000, 40_000] : [20_000, 100_000]
  const told = await inTurn(ground, plan, 3, async (side, space) => ({
    'events all': await drained(ground, side, space, warm, count, { events: 'all' }),
  }))
  const kept = await inTurn(
    ground,
    { ...plan, sides: plan.sides.filter((side) => side === 'troupe') },
    3,
    async (side, space) => ({
      'events kept': await drained(ground, side, space, warm, count, { events: 'all', keepEvents: '1h' }),
    }),
  )
  const hold = { kind: 'none' } as const
  return [told('events all', 'msg/s', hold), kept('events kept', 'msg/s', hold)]
}
