import { lateCount, lateHolds, lateness, withDelays } from '../delayed.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'

const warm = 5_000

/** 500 delayed messages at random moments: how late their handlers start. Bare: JetStream's own schedules. */
export const late: Measure = async (ground, plan) => {
  const rows = await inTurn(ground, plan, 3, (side, space) =>
    withDelays(ground, { side, space, warm, counts: [lateCount] }, lateness),
  )
  return Object.entries(lateHolds).map(([name, hold]) => rows(name, name === 'early' ? 'msg' : 'ms', hold))
}
