import type { Remote } from '../child.ts'
import {
  burstCount,
  burstHolds,
  bursting,
  lateCount,
  lateHolds,
  lateness,
  withDelays,
  type Delays,
} from '../delayed.ts'
import type { Ground } from '../ground.ts'
import { ONE_ARENA, inTurn, type Found, type Measure, type Round, type Side } from '../measure.ts'
import type { SenderRole } from '../roles.ts'

const warm = 20_000
const dayMs = 24 * 3600 * 1000

/** A million messages parked for tomorrow: the worker must not grow, and late and burst must hold as without them. */
export const parked: Measure = async (ground, plan) => {
  const count = plan.quick ? 20_000 : 1_000_000
  const rows = await inTurn(ground, plan, 1, (side, space) => heaped(ground, side, space, count))
  const delays = { ...lateHolds, ...burstHolds }
  return [
    rows('parked rate', 'msg/s', { kind: 'none' }),
    rows('parked held', 'MiB more', { kind: 'limit', atMost: 1 }),
    rows('parked resident', 'MiB more', { kind: 'limit', atMost: 10 }),
    ...Object.entries(delays).map(([name, hold]) => ({ ...rows(name, unitOf(name), hold), name: `parked ${name}` })),
  ]
}

function unitOf(name: string): string {
  return name === 'early' ? 'msg' : 'ms'
}

function heaped(ground: Ground, side: Side, space: string, count: number): Promise<Found> {
  const counts = [lateCount, burstCount, lateCount, burstCount]
  return withDelays(ground, { side, space, warm, counts, env: ONE_ARENA }, async (delays) => {
    // Both kinds once before, so that what the first messages allocate is no growth.
    await lateness(delays)
    await bursting(delays)
    const heap = await parkAll(ground, space, delays, count)
    return { ...heap, ...(await lateness(delays)), ...(await bursting(delays)) }
  })
}

/**
 * The rate, and by how much the worker has grown from the first tenth to the end: what the work of parking itself takes is there from the
 * first tenth on, whoever parks; what is kept for each parked message would grow from there.
 */
async function parkAll(ground: Ground, space: string, { worker, sender }: Delays, count: number): Promise<Found> {
  await park(sender, count / 10)
  await ground.emptied(space)
  const before = await worker.call('memory')
  const rate = await park(sender, count - count / 10)
  await ground.emptied(space)
  const after = await worker.call('memory')
  return {
    'parked rate': rate,
    'parked held': { value: after.heldMb - before.heldMb },
    'parked resident': { value: after.rssMb - before.rssMb, rssMb: after.rssMb },
  }
}

async function park(sender: Remote<SenderRole>, count: number): Promise<Round> {
  const tomorrow = Date.now() + dayMs
  const sent = await sender.call(
    'later',
    Array.from({ length: count }, (_, n) => tomorrow + n),
  )
  return { value: (count / (sent.endedAt - sent.startedAt)) * 1000, cpuUs: sent.cpuUs / count }
}
