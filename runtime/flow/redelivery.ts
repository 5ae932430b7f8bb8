/**
 * What a redelivered message must look up before it runs (DESIGN section 5).
 *
 * An earlier delivery may have got anywhere before its worker died:
 * - it parked a retry of this very delivery, or that retry is released already → this delivery has ended: ack;
 * - it kept a result with this very origin → it is done: ack;
 * - it only ran. Then how often? A mark is written before each run of a redelivered message and removed when the run ends.
 *   Three marks mean that three workers died with it: poison. The first crash leaves no mark; that costs nothing on the
 *   normal path, so a message that kills its worker is run four times in all.
 * - Whoever ran beside a message that kills its worker has as many marks as that. So the last run before "poison" is taken
 *   in turns, one at a time in a worker, and is marked when its turn comes: then only the guilty one gets the third mark.
 * All reads go to the stream's leader. The mark is counted in its body, one message per subject, the newest counts.
 */
import type { JetStreamApi } from '../broker/api.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import type { Outcome } from '../outcome.ts'
import type { Run } from './run.ts'

/** Runs that ended with their worker, beyond the first, after which a message is poison. */
export const POISON_MARKS = 3
const MARK_REPEAT_MS = 60_000

interface LookUpHost {
  readonly api: JetStreamApi
  readonly publisher: Publisher
  readonly subjects: Subjects
  readonly suspects: Suspects
}

/** The runs of a worker that are on their last try: one at a time. */
export class Suspects {
  #current: Run | undefined
  readonly #waiting = new Map<Run, () => void>()

  /** Resolves when it may run; rejects when it was told to stop while it waited. */
  turn(run: Run): Promise<void> {
    if (this.#current === undefined) {
      this.#current = run
      return Promise.resolve()
    }
    const { signal } = run.ctx
    return new Promise((resolve, reject) => {
      this.#waiting.set(run, resolve)
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
  }

  /** A run ended, whether it ran, waited, or was no suspect at all. */
  left(run: Run): void {
    this.#waiting.delete(run)
    if (this.#current !== run) return
    const [next] = this.#waiting
    this.#current = next?.[0]
    if (next === undefined) return
    this.#waiting.delete(next[0])
    next[1]()
  }
}

/** How an earlier delivery ended, or undefined after this one was marked as begun. Throws where it can't be known now. */
export async function lookUp(host: LookUpHost, run: Run): Promise<Outcome | undefined> {
  const [retry, kept, marks] = await Promise.all([hasRetry(host, run), hasResult(host, run), countMarks(host, run)])
  if (retry) return { kind: 'settled', by: 'retry' }
  if (kept) return { kind: 'settled', by: 'result' }
  if (marks >= POISON_MARKS) return poison(marks)
  if (marks === POISON_MARKS - 1) await host.suspects.turn(run)
  await mark(host, run, marks + 1)
  return undefined
}

async function hasRetry({ api, subjects }: LookUpHost, { message, delivery }: Run): Promise<boolean> {
  const stream = subjects.timerStream(message.actor)
  // In this order: while it is released it is never in neither place.
  for (const subject of [
    subjects.parkedRetry(message.actor, delivery.sequence),
    subjects.dueRetry(message.actor, delivery.sequence),
  ]) {
    const found = await api.readMessage(stream, { last_by_subj: subject })
    if (found?.headers.get(H.origin) === delivery.origin) return true
  }
  // In neither place: there never was one, or it is in the mailbox by now. Before that the timer deleted this message.
  return (await api.readMessage(delivery.stream, { seq: delivery.sequence })) === undefined
}

async function hasResult({ api, subjects }: LookUpHost, { message, delivery }: Run): Promise<boolean> {
  if (message.keepMs === undefined) return false
  const subject = subjects.result(message.actor, message.sender, message.id)
  const kept = await api.readMessage(subjects.resultStream, { last_by_subj: subject })
  return kept?.headers.get(H.origin) === delivery.origin
}

async function countMarks({ api, subjects }: LookUpHost, { message, delivery }: Run): Promise<number> {
  const found = await api.readMessage(subjects.markStream, {
    last_by_subj: subjects.mark(message.actor, delivery.sequence),
  })
  if (found?.headers.get(H.origin) !== delivery.origin) return 0
  return Number(Buffer.from(found.data).toString()) || 0
}

async function mark({ publisher, subjects }: LookUpHost, run: Run, count: number): Promise<void> {
  const { message, delivery } = run
  const headers = encodeHeaders([
    [H.dedupe, `mark:${message.actor}:${delivery.sequence}:${delivery.count}`],
    [H.origin, delivery.origin],
  ])
  const subject = subjects.mark(message.actor, delivery.sequence)
  await publisher.publish({
    subject,
    payload: Buffer.from(String(count)),
    headers,
    stream: subjects.markStream,
    repeatMs: MARK_REPEAT_MS,
  })
  run.marked = true
}

function poison(marks: number): Outcome {
  const message = `the workers that ran it died ${marks + 1} times (or were killed): it is not run again by itself`
  return { kind: 'dead', reason: 'poison', failure: { name: 'PoisonError', message, code: 'POISON' } }
}
