import { burstCount, burstHolds, bursting, withDelays } from '../delayed.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'

const warm = 20_000

/** 5,000 messages due at one moment: when the last handler starts. Bare: JetStream's own schedules. */
export const burst: Measure = async (ground, plan) => {
  const counts = [burstCount, burstCount]
  const rows = await inTurn(ground, plan, 3, (side, space) =>
    withDelays(ground, { side, space, warm, counts }, async (delays) => {
      // One burst before the one that counts: messages without a delay do not compile a timer's code.
      await bursting(delays)
      return await bursting(delays)
    }),
  )
  return Object.entries(burstHolds).map(([name, hold]) => rows(name, 'ms', hold))
}
