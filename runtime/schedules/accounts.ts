/**
 * What a worker does for the accounts of schedules: before a message that a schedule made runs, and when any message ends.
 *
 * Before it runs (`look`): is it what it claims to be (L2 of ledger.ts)? Its entry is read, and where the timer died or is slow
 * between publish and `sent`, the worker writes `sent` itself: from then on every other copy is none. A run that has ended already
 * (NATS brought the message back, or only its ack was lost) is not run again.
 *
 * When it ends, in this order, each confirmed before the next, and all before the ack (settle.ts):
 *     notices for schedules that run after it → kept result or dead letter → `ended` in the ledger → a tick, where one waits for the end
 * Who dies in between has the message again: notices have the key of the delivery's place, a kept result or `ended` says that it
 * is over, and the tick is made again.
 *
 * A message without `Troupe-Schedule`, of an actor that nothing runs after, costs two comparisons.
 */
import type { Broker } from '../broker/broker.ts'
import type { Placed } from '../broker/delivery.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import { encode } from '../codec/codec.ts'
import type { Failure } from '../errors.ts'
import type { Run } from '../flow/run.ts'
import type { Message } from '../message.ts'
import type { Outcome, Status } from '../outcome.ts'
import { systemClock } from '../time/clock.ts'
import { plannedAt } from '../time/planned.ts'
import { Chains, type Link } from './chains.ts'
import { addEntry, readAccount, type Account, type Entry, type RunOutcome } from './ledger.ts'
import { formatMoment } from './moments.ts'
import { isProven, readClaim, type Claim } from './occurrenceMessage.ts'
import type { Cause } from './record.ts'
import { wakeSchedule } from './ticks.ts'

/** What is known of the occurrence that a run is. */
export interface RunOccurrence {
  readonly claim: Claim
  /** Absent: the ledger has forgotten it (`retention.ledger`). */
  account: Account | undefined
}

export interface AccountsHost {
  readonly broker: Broker
  readonly actor: string
  /** Named in what it writes. */
  readonly writer: string
  /** Epoch ms by the server's clock. */
  serverNow(): number
}

type Ends = Pick<RunOutcome, 'attempts' | 'ms' | 'result' | 'failure'>

const REPEAT_MS = 60_000
const MAX_ROUNDS = 20
const MAX_RESULT_BYTES = 8_192

export class Accounts {
  readonly #host: AccountsHost
  readonly chains: Chains
  #salt: Promise<string> | undefined

  constructor(host: AccountsHost) {
    this.#host = host
    this.chains = new Chains(host.broker, host.actor)
  }

  start(): Promise<void> {
    return this.chains.start()
  }
  stop(): void {
    this.chains.stop()
  }

  /** Whether the end of this message concerns a schedule: its own, or one that runs after it. */
  follows({ schedule, name }: Message, status: Status): boolean {
    return schedule !== undefined || (!this.chains.isEmpty && this.chains.matching(name, status).length > 0)
  }

  /** For a message with `Troupe-Schedule`: how it ended before, or nothing, and then its account says that it is the one that runs. */
  async look(run: Run): Promise<Outcome | undefined> {
    const claim = await this.#claimOf(run.message)
    if (claim === undefined) return undefined
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const account = await readAccount(this.#host.broker, this.#place(claim))
      const occurrence = { claim, account }
      if (account === undefined) return void (run.ctx.occurrence = occurrence)
      if (isOver(account.entry, run.delivery, run.message)) {
        run.ctx.occurrence = occurrence
        return { kind: 'settled', by: 'ledger' }
      }
      if (account.entry.step !== 'intent' && account.entry.step !== 'waiting')
        return void (run.ctx.occurrence = occurrence)
      const entry = this.#sent(account.entry, run)
      const sequence = await addEntry(this.#host.broker, this.#place(claim), entry, account.sequence)
      if (sequence !== undefined) return void (run.ctx.occurrence = { claim, account: { entry, sequence } })
    }
    throw new Error(`the account of ${run.message.id} changed ${MAX_ROUNDS} times while it was to be read`)
  }

  /** Tells the schedules that run after a message that it ended: stored in our own timer stream. `place` is where it was delivered. */
  async announce(
    message: Message,
    place: Pick<Placed, 'stream' | 'sequence' | 'storedAt'>,
    status: Status,
  ): Promise<void> {
    await Promise.all(
      this.chains.matching(message.name, status).map((link) => this.#notify(link, message, place, status)),
    )
  }

  /** Writes how a run ended. */
  async account(run: Run, status: Status, value: unknown): Promise<void> {
    const { message, delivery, startedAt } = run
    const claim = run.ctx.occurrence?.claim ?? (await this.#claimOf(message))
    if (claim === undefined) return
    const ms = Math.round(systemClock.monotonic() - startedAt)
    const ends = status === 'done' ? resultOf(value) : { failure: value as Failure }
    const known = run.ctx.occurrence?.account
    await this.#end(claim, message, delivery, { status, attempts: message.attempt, ms, ...ends }, known)
  }

  /** The same for a message that never reached a handler: buried by the timer, or cancelled while it was parked. */
  async accountUnrun(
    message: Message,
    place: Pick<Placed, 'stream' | 'sequence' | 'storedAt'>,
    status: Status,
    failure: Failure,
  ): Promise<void> {
    if (!this.follows(message, status)) return
    await this.announce(message, place, status)
    const claim = await this.#claimOf(message)
    if (claim !== undefined) await this.#end(claim, message, place, { status, failure }, undefined)
  }

  /** An earlier run of this delivery ended, and was not acked: what follows its end may not have been done. */
  async settled(run: Run, by: 'retry' | 'result' | 'ledger'): Promise<void> {
    if (by === 'result') return this.account(run, 'done', undefined)
    const occurrence = run.ctx.occurrence
    if (by === 'ledger' && occurrence?.account !== undefined)
      await this.#wake(occurrence.claim, occurrence.account.entry)
  }

  async #claimOf({ schedule, headers }: Message): Promise<Claim | undefined> {
    const claim = readClaim(schedule)
    if (claim === undefined) return undefined
    return isProven(await this.#saltOf(), claim, headers.get(H.proof)) ? claim : undefined
  }

  /** The word that only this actor's own can read. Asked once, and again where it could not be read. */
  #saltOf(): Promise<string> {
    const { broker, actor } = this.#host
    this.#salt ??= broker.assets.timerSalt(actor)
    this.#salt.catch(() => (this.#salt = undefined))
    return this.#salt
  }

  async #end(
    claim: Claim,
    message: Message,
    delivered: Pick<Placed, 'stream' | 'sequence'>,
    ends: Ends & { readonly status: Status },
    known: Account | undefined,
  ): Promise<void> {
    const { broker } = this.#host
    const place = `${delivered.stream}:${delivered.sequence}`
    const outcome = { ...ends, at: formatMoment(this.#now()), place }
    let account = known
    for (let round = 0; round < MAX_ROUNDS; round++) {
      account ??= await readAccount(broker, this.#place(claim))
      if (account === undefined || isOver(account.entry, delivered, message)) break
      const entry: Entry = { ...account.entry, step: 'ended', at: outcome.at, writer: this.#host.writer, outcome }
      const sequence = await addEntry(broker, this.#place(claim), entry, account.sequence)
      if (sequence !== undefined) break
      account = undefined
    }
    if (account !== undefined) await this.#wake(claim, account.entry)
  }

  async #wake({ schedule, planned }: Claim, { wake }: Entry): Promise<void> {
    const { broker, actor } = this.#host
    if (wake) await wakeSchedule(broker, actor, schedule, this.#now(), String(planned))
  }

  #sent(entry: Entry, { delivery }: Run): Entry {
    const at = formatMoment(this.#now())
    return { ...entry, step: 'sent', at, writer: this.#host.writer, sent: { at, sequence: delivery.sequence } }
  }

  async #notify(
    { target, schedule, message: sends }: Link,
    message: Message,
    { stream, sequence, storedAt }: Pick<Placed, 'stream' | 'sequence' | 'storedAt'>,
    status: Status,
  ): Promise<void> {
    const { broker, actor } = this.#host
    const cause: Cause = { actor, message: message.name, id: message.id, status, place: `${stream}:${sequence}` }
    await broker.publisher.publish({
      subject: broker.subjects.dueAfter(actor, target, schedule),
      payload: Buffer.from(
        JSON.stringify({ cause, planned: plannedAt(storedAt, (sequence % 999) + 1), message: sends } satisfies Notice),
      ),
      headers: encodeHeaders([[H.dedupe, `after:${sequence}:${target}:${schedule}`]]),
      stream: broker.subjects.timerStream(actor),
      repeatMs: REPEAT_MS,
    })
  }

  #place({ schedule, planned }: Claim): { actor: string; schedule: string; planned: number } {
    return { actor: this.#host.actor, schedule, planned }
  }

  #now(): number {
    return Math.floor(this.#host.serverNow())
  }
}

/** What a notice says: which message ended how; the planned time of the run after it; and which message that run sends. */
export interface Notice {
  readonly cause: Cause
  /** When the message that ended was stored, with a fraction by its place: the same however often it is told, and nobody else's. */
  readonly planned: number
  readonly message: string
}

/**
 * Whether the account leaves this delivery nothing to do: its run has ended, it was struck out, or another copy is the one that was sent. A dead
 * letter that was given another try is a delivery of its own, and runs.
 */
function isOver(entry: Entry, { stream, sequence }: Pick<Placed, 'stream' | 'sequence'>, message: Message): boolean {
  switch (entry.step) {
    case 'skipped':
    case 'missed':
      return true
    case 'ended':
      return entry.outcome?.status === 'done' || entry.outcome?.place === `${stream}:${sequence}`
    case 'sent':
      return !isCopy(message) && entry.sent?.sequence !== sequence
    case 'intent':
    case 'waiting':
      return false
    default:
      return entry.step satisfies never
  }
}

/** A retry, a snooze, or a dead letter that was given another try: made from the one that was sent. */
function isCopy({ headers }: Message): boolean {
  return headers.get(H.origin) !== undefined
}

/** What a handler returned, where the ledger can hold it. */
function resultOf(value: unknown): Pick<RunOutcome, 'result'> {
  if (value === undefined) return {}
  try {
    const bytes = encode('application/json', value)
    return bytes.length > MAX_RESULT_BYTES ? {} : { result: JSON.parse(Buffer.from(bytes).toString()) as unknown }
  } catch {
    return {}
  }
}
