/** What late, burst and parked have in common: a worker that samples how late each handler starts, a sender beside it, and what they send. */
import type { Remote } from './child.ts'
import { startSender, startWorker } from './child.ts'
import type { Ground } from './ground.ts'
import type { Environment, Found, Hold, Side } from './measure.ts'
import { percentile } from './numbers.ts'
import type { SenderRole, WorkerRole } from './roles.ts'

/** Sends so many delayed messages at a time, and resolves to the milliseconds by which each was late. */
export interface Delays {
  readonly worker: Remote<WorkerRole>
  readonly sender: Remote<SenderRole>
  /** `dues`: epoch milliseconds, one for each message. */
  readonly late: (dues: readonly number[]) => Promise<readonly number[]>
}

/**
 * Runs `act` with a worker that has handled `warm` messages: new processes need some thousand until their code is compiled.
 * `counts`: how many messages each call of `late` sends, in order.
 */
export async function withDelays<T>(
  { url }: Ground,
  {
    side,
    space,
    warm,
    counts,
    env,
  }: { side: Side; space: string; warm: number; counts: readonly number[]; env?: Environment },
  act: (delays: Delays) => Promise<T>,
): Promise<T> {
  const marks = [warm]
  for (const count of counts) marks.push((marks.at(-1) ?? 0) + count)
  await using worker = await startWorker(side, env)
  await worker.call('start', { url, space, handler: { kind: 'lateness' }, concurrency: 256, marks })
  await using sender = await startSender(side)
  await sender.call('start', { url, space })
  await sender.call('pump', warm, 2048, true)
  await worker.call('mark', 0)
  let calls = 0
  const late = async (dues: readonly number[]): Promise<readonly number[]> => {
    await sender.call('later', dues)
    await worker.call('mark', ++calls)
    return (await worker.call('samples')).slice(-dues.length)
  }
  return await act({ worker, sender, late })
}

export const lateCount = 500
/** What DESIGN section 11 asks of each row. */
export const lateHolds: Readonly<Record<string, Hold>> = {
  'late p50': { kind: 'none' },
  'late p99': { kind: 'limit', atMost: 5 },
  early: { kind: 'limit', atMost: 0 },
}

/** 500 messages that are due at random within 0.2 to 6 s. */
export async function lateness({ late }: Delays): Promise<Found> {
  const now = Date.now()
  const samples = await late(Array.from({ length: lateCount }, () => now + 200 + Math.floor(Math.random() * 5_800)))
  return {
    'late p50': { value: percentile(samples, 0.5) },
    'late p99': { value: percentile(samples, 0.99) },
    early: { value: samples.filter((sample) => sample < 0).length },
  }
}

export const burstCount = 5_000
/**
 * What DESIGN section 11 asks of each row. On the machine of its figures the bare loop took up to 125 ms (LIMITS section 5), so 150 are 1.2
 * times that: where the bare loop beside it is slower than there, that ratio holds.
 */
export const burstHolds: Readonly<Record<string, Hold>> = {
  'burst last': { kind: 'limit', atMost: 150, orOfBare: 1.2 },
  'burst p50': { kind: 'none' },
}

/** 5,000 messages that are due at one moment, in 4 s. */
export async function bursting({ late }: Delays): Promise<Found> {
  const due = Date.now() + 4_000
  const samples = await late(Array.from({ length: burstCount }, () => due))
  return { 'burst last': { value: percentile(samples, 1) }, 'burst p50': { value: percentile(samples, 0.5) } }
}
