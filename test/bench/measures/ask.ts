import { startSender, startWorker } from '../child.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'
import { percentile } from '../numbers.ts'

/** One caller, one message at a time, sender and worker in two processes: milliseconds from send to outcome. */
export const ask: Measure = async (ground, plan) => {
  const [warm, count] = plan.quick ? [200, 1_000] : [1_000, 5_000]
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side)
    await worker.call('start', { ...place, handler: { kind: 'answer' }, concurrency: 256, marks: [] })
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('ask', warm)
    const took = await sender.call('ask', count)
    return { 'ask p50': { value: percentile(took, 0.5) }, 'ask p99': { value: percentile(took, 0.99) } }
  })
  return [rows('ask p50', 'ms', { kind: 'added', atMost: 0.4 }), rows('ask p99', 'ms', { kind: 'none' })]
}
