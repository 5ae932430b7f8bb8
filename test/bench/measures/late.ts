import type { Remote } from '../child.ts'
import { startSender, startWorker } from '../child.ts'
import type { Found, Hold, Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'
import { percentile } from '../numbers.ts'
import type { SenderRole, WorkerRole } from '../roles.ts'

/** How many are due at random moments. */
export const lateCount = 500
/** New processes need some thousand messages until their code is compiled. */
const warm = 5_000

/** 500 delayed messages at random moments: how late their handlers start. Bare: JetStream's own schedules. */
export const late: Measure = async (ground, plan) => {
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side)
    await worker.call('start', {
      ...place,
      handler: { kind: 'lateness' },
      concurrency: 256,
      marks: [warm, warm + lateCount],
    })
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('pump', warm, 2048, true)
    await worker.call('mark', 0)
    return await lateness(worker, sender, 1)
  })
  return Object.entries(lateHolds).map(([name, hold]) => rows(name, name === 'early' ? 'msg' : 'ms', hold))
}

/** What DESIGN section 11 asks of each row. */
export const lateHolds: Readonly<Record<string, Hold>> = {
  'late p50': { kind: 'none' },
  'late p99': { kind: 'limit', atMost: 5 },
  early: { kind: 'limit', atMost: 0 },
}

/** Sends 500 messages, due at random within 0.2 to 6 s, and reads what the worker sampled. It has the given mark at the last. */
export async function lateness(worker: Remote<WorkerRole>, sender: Remote<SenderRole>, mark: number): Promise<Found> {
  const now = Date.now()
  await sender.call(
    'later',
    Array.from({ length: lateCount }, () => now + 200 + Math.floor(Math.random() * 5_800)),
  )
  await worker.call('mark', mark)
  const samples = (await worker.call('samples')).slice(-lateCount)
  return {
    'late p50': { value: percentile(samples, 0.5) },
    'late p99': { value: percentile(samples, 0.99) },
    early: { value: samples.filter((sample) => sample < 0).length },
  }
}
