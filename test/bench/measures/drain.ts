import { startSender, startWorker } from '../child.ts'
import type { Ground } from '../ground.ts'
import type { Measure, Round, Side } from '../measure.ts'
import { inTurn } from '../measure.ts'
import type { WorkerJob } from '../roles.ts'

/** A full mailbox, a handler that does nothing, one worker process: messages a second until the mailbox is empty. */
export const drain: Measure = async (ground, plan) => {
  const [warm, count] = plan.quick ? [10_000, 40_000] : [40_000, 200_000]
  const rows = await inTurn(ground, plan, 5, async (side, space) => ({
    drain: await drained(ground, side, space, warm, count),
  }))
  return [rows('drain', 'msg/s', { kind: 'share', atLeast: 0.7 })]
}

/** Fills a mailbox and measures how fast it is emptied, after the first `warm` messages. */
export async function drained(
  ground: Ground,
  side: Side,
  space: string,
  warm: number,
  count: number,
  options: Pick<WorkerJob, 'events' | 'keepEvents'> = {},
): Promise<Round> {
  const place = { url: ground.url, space }
  {
    await using sender = await startSender(side)
    await sender.call('start', place)
    await sender.call('pump', warm + count, 2048, false)
  }
  await using worker = await startWorker(side)
  const marks = [warm, warm + count]
  await worker.call('start', { ...place, handler: { kind: 'nothing' }, concurrency: 256, marks, ...options })
  const begun = await worker.call('mark', 0)
  const ended = await worker.call('mark', 1)
  const emptiedAt = await ground.emptied(space)
  return {
    value: (count / (emptiedAt - begun.at)) * 1000,
    cpuUs: (ended.cpuUs - begun.cpuUs) / count,
    rssMb: ended.peakRssMb,
  }
}
