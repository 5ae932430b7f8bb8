import { startSender, startWorker } from '../child.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'

const count = 1_000

/** 1,000 messages of 100 ms each at a worker of concurrency 1,000: milliseconds from the first send to the last end. */
export const sleepers: Measure = async (ground, plan) => {
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side)
    const handler = { kind: 'sleep', ms: 100 } as const
    await worker.call('start', { ...place, handler, concurrency: count, marks: [count, 2 * count] })
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('pump', count, count, true)
    await worker.call('mark', 0)
    const sent = await sender.call('pump', count, count, true)
    const ended = await worker.call('mark', 1)
    return { sleepers: { value: ended.at - sent.startedAt, rssMb: ended.peakRssMb } }
  })
  return [rows('sleepers', 'ms', { kind: 'limit', atMost: 150 })]
}
