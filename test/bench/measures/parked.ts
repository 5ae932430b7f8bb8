import type { Remote } from '../child.ts'
import { startSender, startWorker } from '../child.ts'
import type { Ground } from '../ground.ts'
import type { Found, Measure, Round, Side } from '../measure.ts'
import { inTurn } from '../measure.ts'
import type { SenderRole } from '../roles.ts'
import { burstCount, burstHolds, bursting } from './burst.ts'
import { lateCount, lateHolds, lateness } from './late.ts'

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

async function heaped(ground: Ground, side: Side, space: string, count: number): Promise<Found> {
  const place = { url: ground.url, space }
  await using worker = await startWorker(side)
  const marks = [warm, warm + lateCount, warm + 2 * lateCount, warm + 2 * lateCount + burstCount]
  await worker.call('start', { ...place, handler: { kind: 'lateness' }, concurrency: 256, marks })
  await using sender = await startSender(side)
  await sender.call('start', place)
  // Both kinds once before, so that what the first messages allocate is no growth.
  await sender.call('pump', warm, 2048, true)
  await worker.call('mark', 0)
  await lateness(worker, sender, 1)
  const before = await worker.call('memory')
  const rate = await park(sender, count)
  await ground.emptied(space)
  const after = await worker.call('memory')
  const delays = { ...(await lateness(worker, sender, 2)), ...(await bursting(worker, sender, 3)) }
  return {
    ...delays,
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
