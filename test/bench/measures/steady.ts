import { startSender, startWorker } from '../child.ts'
import type { Measure } from '../measure.ts'
import { inTurn, ONE_ARENA } from '../measure.ts'

const slices = 10

/**
 * Memory of a worker from its first tenth of a million messages to the end of them. What it holds after a full collection
 * must not grow; resident memory may move by what V8 keeps in reserve.
 */
export const steady: Measure = async (ground, plan) => {
  const slice = plan.quick ? 10_000 : 100_000
  const rows = await inTurn(ground, plan, 1, async (side, space) => {
    const place = { url: ground.url, space }
    await using worker = await startWorker(side, ONE_ARENA)
    const marks = Array.from({ length: slices }, (_, index) => (index + 1) * slice)
    await worker.call('start', { ...place, handler: { kind: 'read' }, concurrency: 256, marks })
    await using sender = await startSender(side)
    await sender.call('start', place)
    const memories = []
    for (const index of marks.keys()) {
      await sender.call('pump', slice, 2048, true)
      await worker.call('mark', index)
      await ground.emptied(space)
      memories.push(await worker.call('memory'))
    }
    const [first, last] = [memories[0], memories.at(-1)]
    if (first === undefined || last === undefined) throw new Error('expected memory readings, got none')
    return {
      'steady held': { value: last.heldMb - first.heldMb },
      'steady resident': { value: last.rssMb - first.rssMb, rssMb: last.rssMb },
    }
  })
  return [
    rows('steady held', 'MiB more', { kind: 'limit', atMost: 1 }),
    rows('steady resident', 'MiB more', { kind: 'limit', atMost: 10 }),
  ]
}
