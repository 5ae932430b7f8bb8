import { startSender, startWorker } from '../child.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'
import { percentile } from '../numbers.ts'

/** New processes need some thousand messages until their code is compiled. */
const warmSeconds = 4
const seconds = 10

/** 1,000 schedules of every second: how late their handlers start, and what a run costs a worker. Bare: JetStream's own schedules. */
export const schedules: Measure = async (ground, plan) => {
  const count = plan.quick ? 100 : 1_000
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    const marks = [warmSeconds * count, (warmSeconds + seconds) * count]
    await using worker = await startWorker(side)
    await worker.call('start', { ...place, handler: { kind: 'recurring' }, concurrency: 256, marks })
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('recur', count)
    const from = await worker.call('mark', 0)
    const to = await worker.call('mark', 1)
    const samples = (await worker.call('samples')).slice(warmSeconds * count, (warmSeconds + seconds) * count)
    const cpuUs = (to.cpuUs - from.cpuUs) / (seconds * count)
    return {
      'schedules p50': { value: percentile(samples, 0.5), cpuUs, rssMb: to.peakRssMb },
      'schedules p99': { value: percentile(samples, 0.99) },
      'schedules early': { value: samples.filter((sample) => sample < 0).length },
    }
  })
  return [
    rows('schedules p50', 'ms', { kind: 'none' }),
    rows('schedules p99', 'ms', { kind: 'none' }),
    rows('schedules early', 'msg', { kind: 'limit', atMost: 0 }),
  ]
}
