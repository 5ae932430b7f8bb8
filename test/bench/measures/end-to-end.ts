import { startSender, startWorker } from '../child.ts'
import type { Ground } from '../ground.ts'
import type { Found, Measure, Side } from '../measure.ts'
import { inTurn } from '../measure.ts'

/** A producer and a worker process at once, JSON both ways: messages a second from the first send to the last handled. */
export const endToEnd: Measure = async (ground, plan) => {
  const [warm, count] = plan.quick ? [10_000, 40_000] : [40_000, 200_000]
  const rows = await inTurn(ground, plan, 5, (side, space) => flowed(ground, side, space, warm, count))
  return [rows('end-to-end', 'msg/s', { kind: 'share', atLeast: 0.6 })]
}

async function flowed(ground: Ground, side: Side, space: string, warm: number, count: number): Promise<Found> {
  const place = { url: ground.url, space }
  await using worker = await startWorker(side)
  await worker.call('start', { ...place, handler: { kind: 'read' }, concurrency: 256, marks: [warm, warm + count] })
  await using sender = await startSender(side)
  await sender.call('start', place)
  await sender.call('pump', warm, 2048, true)
  const begun = await worker.call('mark', 0)
  const [sent, ended] = await Promise.all([sender.call('pump', count, 2048, true), worker.call('mark', 1)])
  const value = (count / (ended.at - sent.startedAt)) * 1000
  return { 'end-to-end': { value, cpuUs: (ended.cpuUs - begun.cpuUs) / count, rssMb: ended.peakRssMb } }
}
