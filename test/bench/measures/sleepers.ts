import type { Remote } from '../child.ts'
import { startSender, startWorker } from '../child.ts'
import type { Hold, Measure, Round } from '../measure.ts'
import { inTurn } from '../measure.ts'
import type { SenderRole, WorkerRole } from '../roles.ts'

const count = 1_000
/** DESIGN section 11, for the machine of its figures; 100 ms of it are sleep. On one where the bare loop takes longer, 1.2 times that. */
const hold: Hold = { kind: 'limit', atMost: 150, orOfBare: 1.2 }
/** New processes need some thousand messages until their code is compiled. */
const warmRounds = 8

/** 1,000 messages of 100 ms each at a worker of concurrency 1,000: milliseconds from the first send to the last end. */
export const sleepers: Measure = async (ground, plan) => {
  const rows = await inTurn(ground, plan, 3, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side)
    const marks = Array.from({ length: warmRounds + 1 }, (_, index) => (index + 1) * count)
    await worker.call('start', { ...place, handler: { kind: 'sleep', ms: 100 }, concurrency: count, marks })
    await using sender = await startSender(side)
    await sender.call('start', place)
    for (let round = 0; round < warmRounds; round++) await oneRound(worker, sender, round)
    return { sleepers: await oneRound(worker, sender, warmRounds) }
  })
  return [rows('sleepers', 'ms', hold)]
}

async function oneRound(worker: Remote<WorkerRole>, sender: Remote<SenderRole>, mark: number): Promise<Round> {
  const sent = await sender.call('pump', count, count, true)
  const ended = await worker.call('mark', mark)
  return { value: ended.at - sent.startedAt, rssMb: ended.peakRssMb }
}
