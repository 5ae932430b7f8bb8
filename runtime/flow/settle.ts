/**
 * Settle: an outcome becomes what JetStream holds. The only place that acks messages.
 *
 * | outcome            | first, confirmed                                   | then | key of the copy    |
 * | done               | the result where it is kept; told to who waits     | ack  | result:<s>         |
 * | retry, snooze      | the copy parked at timer.retry.<actor>.<id>.<s>    | ack  | retry:/snooze:<s>  |
 * | dead               | the dead letter; told to who waits                 | term | dead:<actor>:<s>   |
 * | cancelled, expired | told to who waits                                  | term |                    |
 * | released           |                                                    | nak  |                    |
 * | crashed            | the mark with its report (marks.ts)                | nak  | mark:<…>:crashed   |
 * | settled            | (an earlier run did it)                            | ack  |                    |
 * | lease lost         | nothing; where the handler finished, as done       |      |                    |
 *
 * Where it may die, and why that is safe
 * 1. Before the copy is stored: the message is delivered again after its lease; nothing happened.
 * 2. Between the copy and the ack: the message is delivered again and finds its own parked copy (redelivery.ts): ack. The
 *    copy's key makes storing it again nothing. Once the copy was released, the timer has deleted the original first.
 * 3. A dead letter between copy and term: it dies again under the same key within the stream's window, or is there twice.
 * 4. Before the mark of a crash: one crash of the message is not known, as when its whole process dies (redelivery.ts). Between
 *    mark and nak: it comes again after its lease, and the crash is known.
 * 5. A cancel that comes while the copy is on its way finds no run any more, and nothing parked yet. So a cancel is looked for after the
 *    copy is stored: whichever comes second sees the other. Who dies between has not acked: the message comes again, and is cancelled.
 * 6. An ack that is lost is repeated (acks.ts). A nak or a term is sent only while the lease surely holds.
 *
 * Errors are told apart. Away: wait and repeat while the lease holds; after that another delivery does it all again.
 * Refused: the copy is shrunk (copies.ts); if that does not help the message goes back with a long delay, and an event.
 * Settling holds no slot of the worker; it ends, whatever the broker does, with the lease.
 */
import type { Acks } from '../broker/acks.ts'
import { JetStreamError, type JetStreamApi } from '../broker/api.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import type { Leases } from '../broker/leases.ts'
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import { encode, parseContentType, type ContentType } from '../codec/codec.ts'
import { PayloadError, UnavailableError, toError, toFailure, type Failure } from '../errors.ts'
import type { MessageEvent, MessageEvents } from '../events.ts'
import type { Crashes } from '../isolation/crash.ts'
import type { Outcome, Status } from '../outcome.ts'
import type { Accounts } from '../schedules/accounts.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { HOLD_MS, outcomeHeaders, retryHeaders, scheduleHeaders } from './copies.ts'
import { deliverOutcome, storeLetter, type Copy } from './endings.ts'
import { eraseCrashes, takeBackCrash, writeCrashes } from './marks.ts'
import type { Run } from './run.ts'

export interface SettleHost {
  readonly acks: Acks
  readonly api: JetStreamApi
  readonly publisher: Publisher
  readonly subjects: Subjects
  readonly leases: Leases
  /** What schedules are told when a message ends. */
  readonly accounts: Accounts
  readonly worker: string
  serverNow(): number
  /** Why this message is cancelled, now that it is parked, if it is. */
  cancelledParked(run: Run): string | undefined
  /** The message is off our hands: its lease may go. */
  settled(run: Run): void
  tell<K extends keyof MessageEvents>(event: K, run: Run, data: Omit<MessageEvents[K], keyof MessageEvent>): void
}

type Of<K extends Outcome['kind']> = Extract<Outcome, { kind: K }>
type Table = { readonly [K in Outcome['kind']]: (settle: Settle, run: Run, outcome: Of<K>) => void | Promise<void> }

/** A message that cannot be settled by any means is given back for so long. */
const REFUSED_DELAY_MS = 300_000
const AWAY_PAUSE_MS = 200
/** Copies of a delivery are made again only by its redelivery, within a lease or two: any window of ours covers that. */
const COPY_REPEAT_MS = 60_000

export class Settle {
  readonly #host: SettleHost

  constructor(host: SettleHost) {
    this.#host = host
  }

  /** Never throws, never rejects; `host.settled` follows. */
  settle(run: Run, outcome: Outcome): void {
    if (!this.#mayStill(run, outcome)) outcome = { kind: 'lease-lost', finished: false }
    const row = TABLE[outcome.kind] as (settle: Settle, run: Run, outcome: Outcome) => void | Promise<void>
    const later = row(this, run, outcome)
    if (later !== undefined) later.catch((error: unknown) => this.#unsettled(run, toError(error)))
  }

  /** With a lapsed lease another worker may hold the message: only what is done stays done. */
  #mayStill(run: Run, { kind }: Outcome): boolean {
    return (
      kind === 'done' || kind === 'lease-lost' || kind === 'settled' || this.#host.leases.holds(run.row, run.delivery)
    )
  }

  done(run: Run, value: unknown): void | Promise<void> {
    const { reply, keepMs } = run.message
    if (reply === undefined && keepMs === undefined && !this.#host.accounts.follows(run.message, 'done'))
      return this.ack(run)
    return this.#deliverOutcome(run, 'done', value).then(() => this.ack(run))
  }

  async again(run: Run, afterMs: number, failure: Failure | undefined): Promise<void> {
    const { subjects, publisher } = this.#host
    const { delivery, message } = run
    const dueAt = this.#host.serverNow() + afterMs
    const park = subjects.parkedRetry(message.actor, message.id, delivery.sequence)
    const due = subjects.dueRetry(message.actor, delivery.sequence)
    const key = `${failure ? 'retry' : 'snooze'}:${delivery.sequence}`
    const attempt = message.attempt + (failure ? 1 : 0)
    const headersOf = (brief: boolean): Buffer => {
      const own = retryHeaders(run, { key, attempt, dueAt, failure, at: isoNow(), brief })
      return encodeHeaders(afterMs > HOLD_MS ? [...own, ...scheduleHeaders(dueAt, due)] : own)
    }
    const full = headersOf(false)
    const headers = full.length + delivery.data.length > publisher.maxPayload ? headersOf(true) : full
    if (headers.length + delivery.data.length > publisher.maxPayload) return this.#tooLargeToPark(run, failure)
    const subject = afterMs > HOLD_MS ? park : due
    const stream = subjects.timerStream(message.actor)
    const sequence = await this.#store(run, { subject, payload: delivery.data, headers, stream })
    if (subject === park) await this.#dropCancelled(run, sequence)
    this.ack(run)
  }

  /** Rule 5 of the head. One that is gone was met by its timer, or is due: then its worker sees the cancel. */
  async #dropCancelled(run: Run, parked: number): Promise<void> {
    const reason = this.#host.cancelledParked(run)
    if (reason === undefined) return
    const { api, subjects } = this.#host
    if (!(await api.deleteMessage(subjects.timerStream(run.message.actor), parked))) return
    this.tell('cancelled', run, { reason })
    await this.#deliverOutcome(run, 'cancelled', cancelledFailure(reason))
  }

  async bury(run: Run, { reason, failure, stack, crashes }: Omit<Of<'dead'>, 'kind'>): Promise<void> {
    const { worker } = this.#host
    const { message, delivery } = run
    const key = `dead:${message.actor}:${delivery.sequence}`
    const death = { reason, failure, stack, crashes, worker, at: isoNow(), key }
    await storeLetter(this.#host, run, death, (copy) => this.#store(run, copy))
    await this.#deliverOutcome(run, 'dead', { ...failure, attempts: message.attempt })
    this.#host.tell('dead', run, { reason, failure })
    this.term(run)
  }

  /** `cancelled` and `expired`: told to who waits, then out. */
  async drop(run: Run, status: 'cancelled' | 'expired', failure: Failure): Promise<void> {
    await this.#deliverOutcome(run, status, failure)
    this.term(run)
  }

  /** An earlier run of this delivery ended. */
  settledBefore(run: Run, by: Of<'settled'>['by']): void | Promise<void> {
    if (run.message.schedule === undefined) return this.ack(run)
    return this.#whileAway(run, () => this.#host.accounts.settled(run, by)).then(() => this.ack(run))
  }

  ack(run: Run): void {
    this.#host.acks.ack(run.delivery, () => this.#off(run))
  }

  term(run: Run): void {
    const leaseUntil = this.#leaseUntil(run)
    if (leaseUntil === 0) return this.#off(run)
    this.#host.acks.term(run.delivery, leaseUntil, () => this.#off(run))
  }

  release(run: Run, delayMs = 0): void {
    if (!run.marked) return this.#giveBack(run, delayMs)
    // First the mark: who gets the message next would count this run as one that its worker did not survive.
    void takeBackCrash(this.#host, run).then(() => this.#giveBack(run, delayMs))
  }

  /** Its thread or process died with it: that is known to whoever gets it next, which is at once. */
  async crashed(run: Run, crashes: Crashes): Promise<void> {
    // What cannot be counted (no permission, say) is no reason to hold it back for a lease.
    await this.#whileAway(run, () => writeCrashes(this.#host, run, crashes, 'crashed')).catch(() => {})
    run.marked = false
    this.#giveBack(run, 0)
  }

  #giveBack(run: Run, delayMs: number): void {
    const leaseUntil = this.#leaseUntil(run)
    if (leaseUntil === 0) return this.#off(run)
    this.#host.acks.nak(run.delivery, delayMs, leaseUntil, () => this.#off(run))
  }

  /** Nothing more to do with the broker. */
  forget(run: Run): void {
    this.#off(run)
  }

  tell<K extends keyof MessageEvents>(event: K, run: Run, data: Omit<MessageEvents[K], keyof MessageEvent>): void {
    this.#host.tell(event, run, data)
  }

  #off(run: Run): void {
    // The mark says "begun": it must not outlive the run. If this is lost, the message is gone and so is its use.
    if (run.marked) void eraseCrashes(this.#host, run).catch(() => {})
    run.marked = false
    this.#host.settled(run)
  }

  /** Monotonic ms until which the lease surely holds, or 0 where it may have lapsed: then neither nak nor term is sent. */
  #leaseUntil(run: Run): number {
    const { leases } = this.#host
    return leases.holds(run.row, run.delivery) ? systemClock.monotonic() + leases.leaseMs * 0.1 : 0
  }

  /** Keeps the outcome where the sender asked for it, then tells who waits. The kept one is confirmed, the told one is not. */
  async #deliverOutcome(run: Run, status: Status, value: unknown): Promise<void> {
    const { message, delivery } = run
    const { accounts } = this.#host
    const isFollowed = accounts.follows(message, status)
    if (isFollowed) await this.#whileAway(run, () => accounts.announce(message, delivery, status))
    if (message.reply !== undefined || message.keepMs !== undefined) {
      const outcome = this.#outcome(run, status, value)
      await deliverOutcome(this.#host, message, delivery.origin, outcome, (copy) => this.#store(run, copy))
    }
    if (isFollowed) await this.#whileAway(run, () => accounts.account(run, status, value))
  }

  /** The outcome as bytes. A value that cannot be sent is told as such: the message itself is done. */
  #outcome(run: Run, status: Status, value: unknown): { headers: [string, string][]; body: Uint8Array } {
    const { message, delivery } = run
    const type: ContentType = status === 'done' ? parseContentType(message.contentType) : JSON_TYPE
    const headers = outcomeHeaders(message, delivery, status, type) as [string, string][]
    try {
      const body = encode(type, value)
      const limit = this.#host.publisher.maxPayload - RESULT_RESERVE
      if (body.length <= limit) return { headers, body }
      throw new PayloadError('TOO_LARGE', `expected a result of at most ${limit} bytes, got: ${body.length}`)
    } catch (error) {
      const failure = toFailure(toError(error))
      const told = outcomeHeaders(message, delivery, status, JSON_TYPE) as [string, string][]
      return { headers: [...told, [H.error, failure.code ?? 'UNENCODABLE']], body: encode(JSON_TYPE, failure) }
    }
  }

  /** Stores a copy and returns its sequence; waits out a broker that is away, as long as the lease holds. Throws what is refused. */
  async #store(run: Run, copy: Copy): Promise<number> {
    const publication = { ...copy, repeatMs: COPY_REPEAT_MS }
    return (await this.#whileAway(run, () => this.#host.publisher.publish(publication))).sequence
  }

  /** Repeats what the broker was not there for, as long as the lease holds. */
  async #whileAway<T>(run: Run, act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await act()
      } catch (error) {
        if (!isAway(error) || !this.#host.leases.holds(run.row, run.delivery)) throw error
        await sleep(AWAY_PAUSE_MS)
      }
    }
  }

  async #tooLargeToPark(run: Run, failure: Failure | undefined): Promise<void> {
    const text = `expected room for the headers of a retry, but the message has ${run.delivery.size} of ${this.#host.publisher.maxPayload} bytes`
    await this.bury(run, {
      reason: 'failed',
      failure: failure ?? { name: 'PayloadError', code: 'TOO_LARGE', message: text },
    })
  }

  /** No row of the table could be carried out: back to the mailbox, later, and somebody should look. */
  #unsettled(run: Run, error: Error): void {
    this.#host.tell('unsettled', run, { failure: toFailure(error) })
    this.release(run, REFUSED_DELAY_MS)
  }
}

const JSON_TYPE: ContentType = 'application/json'
/** Room for an outcome's headers. */
const RESULT_RESERVE = 4_096

const TABLE: Table = {
  done: (settle, run, { value }) => settle.done(run, value),
  retry: (settle, run, { afterMs, failure }) => {
    settle.tell('retry', run, { afterMs, failure })
    return settle.again(run, afterMs, failure)
  },
  snooze: (settle, run, { afterMs }) => {
    settle.tell('snooze', run, { afterMs })
    return settle.again(run, afterMs, undefined)
  },
  dead: (settle, run, outcome) => settle.bury(run, outcome),
  crashed: (settle, run, { crashes }) => {
    const report = crashes.reports.at(-1)
    if (report !== undefined) settle.tell('crashed', run, { report, crashes: crashes.count })
    return settle.crashed(run, crashes)
  },
  cancelled: (settle, run, { reason }) => {
    settle.tell('cancelled', run, { reason })
    return settle.drop(run, 'cancelled', cancelledFailure(reason))
  },
  expired: (settle, run) => {
    settle.tell('expired', run, {})
    return settle.drop(run, 'expired', { name: 'ExpiredError', message: 'the message expired before it was run' })
  },
  released: (settle, run) => {
    settle.tell('released', run, {})
    settle.release(run)
  },
  settled: (settle, run, { by }) => settle.settledBefore(run, by),
  'lease-lost': (settle, run, { finished, value }) => {
    settle.tell('lease-lost', run, {})
    return finished ? settle.done(run, value) : settle.forget(run)
  },
}

/** Not there now; anything else (no permission, too large, refused) stays as it is however often it is repeated. */
function isAway(error: unknown): boolean {
  if (error instanceof JetStreamError) return error.refusal === 'away' || error.refusal === 'full'
  return error instanceof UnavailableError && error.code !== 'STOPPED'
}

function cancelledFailure(message: string): Failure {
  return { name: 'CancelledError', message }
}

function isoNow(): string {
  return new Date(systemClock.now()).toISOString()
}
