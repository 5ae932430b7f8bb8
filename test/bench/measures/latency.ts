import { startSender, startWorker } from '../child.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'
import { percentile } from '../numbers.ts'

const everyMs = 10

/** Idle, 100 messages a second, sender and worker in two processes: milliseconds from send to handler start. */
export const latency: Measure = async (ground, plan) => {
  const [warm, count] = plan.quick ? [50, 200] : [100, 700]
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side)
    await worker.call('start', { ...place, handler: { kind: 'latency' }, concurrency: 256, marks: [warm + count] })
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('pace', warm + count, everyMs)
    await worker.call('mark', 0)
    const samples = (await worker.call('samples')).slice(warm)
    return { 'latency p50': { value: percentile(samples, 0.5) }, 'latency p99': { value: percentile(samples, 0.99) } }
  })
  return [
    rows('latency p50', 'ms', { kind: 'added', atMost: 0.3 }),
    rows('latency p99', 'ms', { kind: 'added', atMost: 1 }),
  ]
}
