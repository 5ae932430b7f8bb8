/**
 * What a redelivered message must look up before it runs (DESIGN section 5).
 *
 * An earlier delivery may have got anywhere before its worker died:
 * - it parked a retry of this very delivery, or that retry is released already → this delivery has ended: ack;
 * - it kept a result with this very origin → it is done: ack;
 * - it only ran. Then how often? A mark is written before each run of a redelivered message and removed when the run ends
 *   (marks.ts). As many marks as the actor allows crashes (3): poison.
 * - Of the death of a whole process the first leaves no mark; that costs nothing on the normal path, so a message that kills
 *   its process is run four times in all. A thread or child process that dies is seen by the process that lives on: the first
 *   counts too, and such a message is run three times.
 * - Whoever ran beside a message that kills its process has as many marks as that. So the last run before "poison" is taken
 *   in turns, one at a time in a worker, and is marked when its turn comes: then only the guilty one gets the third mark. A
 *   message of which every crash was seen to be its child process's own runs at once: nobody stands beside it there.
 */
import type { ActorSpec } from '../actor.ts'
import type { JetStreamApi } from '../broker/api.ts'
import { H } from '../broker/headers.ts'
import { readOwn } from '../broker/ownSubject.ts'
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import { poison, type Crashes } from '../isolation/crash.ts'
import type { Outcome } from '../outcome.ts'
import { readCrashes, takeBackCrash, writeCrashes } from './marks.ts'
import type { Run } from './run.ts'

interface LookUpHost {
  readonly spec: ActorSpec
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
  const [retry, kept, crashes] = await Promise.all([hasRetry(host, run), hasResult(host, run), readCrashes(host, run)])
  if (retry) return { kind: 'settled', by: 'retry' }
  if (kept) return { kind: 'settled', by: 'result' }
  run.crashes = crashes
  run.ctx.isSuspect = crashes.count === host.spec.crashes - 1
  if (crashes.count >= host.spec.crashes) return poison(crashes)
  if (run.ctx.isSuspect && takesTurns(host.spec, crashes)) await host.suspects.turn(run)
  // Before it is written: it may be stored though nobody says so.
  run.marked = true
  await writeCrashes(host, run, { ...crashes, count: crashes.count + 1 }, 'begun')
  // It was given up meanwhile (NATS was away): its end was before its mark.
  if (run.over) await takeBackCrash(host, run)
  return undefined
}

function takesTurns({ isolation }: ActorSpec, { count, seen }: Crashes): boolean {
  return isolation?.kind !== 'process' || seen < count
}

async function hasRetry({ api, subjects }: LookUpHost, { message, delivery }: Run): Promise<boolean> {
  const stream = subjects.timerStream(message.actor)
  // In this order: while it is released it is never in neither place.
  for (const subject of [
    subjects.parkedRetry(message.actor, message.id, delivery.sequence),
    subjects.dueRetry(message.actor, delivery.sequence),
  ]) {
    const found = await api.readMessage(stream, { last_by_subj: subject })
    if (found?.headers.get(H.origin) === delivery.origin) return true
  }
  // In neither place: there never was one, or it is in the mailbox by now. Before that the timer deleted this message.
  return (await api.readMessage(delivery.stream, { seq: delivery.sequence })) === undefined
}

async function hasResult(host: LookUpHost, { message, delivery }: Run): Promise<boolean> {
  if (message.keepMs === undefined) return false
  const { subjects } = host
  const subject = subjects.result(message.actor, message.sender, message.id)
  const kept = await readOwn(host, subjects.resultStream, subject)
  return kept?.headers.get(H.origin) === delivery.origin
}
