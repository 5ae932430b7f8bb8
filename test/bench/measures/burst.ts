import type { Remote } from '../child.ts'
import { startSender, startWorker } from '../child.ts'
import type { Found, Hold, Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'
import { percentile } from '../numbers.ts'
import type { SenderRole, WorkerRole } from '../roles.ts'

/** How many are due at the one moment. */
export const burstCount = 5_000
/** New processes need some thousand messages until their code is compiled. */
const warm = 20_000

/** 5,000 messages due at one moment: when the last handler starts. Bare: JetStream's own schedules. */
export const burst: Measure = async (ground, plan) => {
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side)
    await worker.call('start', {
      ...place,
      handler: { kind: 'lateness' },
      concurrency: 256,
      marks: [warm, warm + burstCount],
    })
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('pump', warm, 2048, true)
    await worker.call('mark', 0)
    return await bursting(worker, sender, 1)
  })
  return Object.entries(burstHolds).map(([name, hold]) => rows(name, 'ms', hold))
}

/** What DESIGN section 11 asks of each row. */
export const burstHolds: Readonly<Record<string, Hold>> = {
  'burst last': { kind: 'limit', atMost: 150 },
  'burst p50': { kind: 'none' },
}

/** Sends 5,000 messages that are due in 4 s and reads what the worker sampled. It has the given mark at the last. */
export async function bursting(worker: Remote<WorkerRole>, sender: Remote<SenderRole>, mark: number): Promise<Found> {
  const due = Date.now() + 4_000
  await sender.call(
    'later',
    Array.from({ length: burstCount }, () => due),
  )
  await worker.call('mark', mark)
  const samples = (await worker.call('samples')).slice(-burstCount)
  return { 'burst last': { value: percentile(samples, 1) }, 'burst p50': { value: percentile(samples, 0.5) } }
}
