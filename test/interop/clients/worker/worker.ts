/**
 * A worker in a language that Troupe knows nothing of: any process that pulls a mailbox by PROTOCOL.md. Nothing of Troupe is imported here, and
 * nothing but a bare wire is used; errors of the wire end the run that they happen in, and the message comes again.
 *
 * It runs messages one lane after the other, extends their leases, and ends each delivery by the table of PROTOCOL.md, "Ending a delivery". Delayed
 * messages and retries are brought back by a timer, here (timer.ts) or in any system of Troupe.
 */
import type { Headers } from '../../scenario/client.ts'
import type { Received, Wire } from '../wire.ts'
import { makeAssets, saltOf, type Place } from './assets.ts'
import { followCancels, speaksOf, type Cancel } from './cancels.ts'
import {
  fitting,
  keptOutcome,
  letterOf,
  outcomeHeaders,
  parkedCopy,
  type Death,
  type Failure,
  type Letter,
} from './copies.ts'
import { account, isOver, type LedgerPlace } from './ledger.ts'
import { readMessage, unreadable, type Delivery, type InvalidMessage, type Message } from './message.ts'
import { pull } from './pull.ts'
import { lookUp, unmark } from './redelivery.ts'
import { DEFAULT_RULE, delayAfter, ruleFor, type Rule } from './retry.ts'
import { giveBack, say, store } from './words.ts'

export interface RunContext {
  readonly id: string
  readonly attempt: number
  readonly headers: Headers
  readonly signal: AbortSignal
}

/** What a handler may answer instead of its result. */
export class Verdict {
  readonly kind: 'retry' | 'snooze' | 'dead'
  readonly afterMs: number
  readonly reason: string
  constructor(kind: 'retry' | 'snooze' | 'dead', afterMs = 0, reason = '') {
    this.kind = kind
    this.afterMs = afterMs
    this.reason = reason
  }
}

type Handler = (payload: unknown, ctx: RunContext) => unknown

export interface WorkerOptions extends Place {
  readonly name: string
  readonly handlers: Readonly<Record<string, Handler>>
  readonly concurrency?: number
  readonly rule?: Rule
  /** The server's, from its INFO: bytes. */
  readonly maxPayload: number
  /** Default true. One that may not write the ledger leaves the accounts of schedules as their timer wrote them. */
  readonly keepsAccounts?: boolean
  /** Told of every cancel: a timer beside it takes out what is parked. */
  readonly onCancel?: (cancel: Cancel) => void
}

/** How a run ended. */
type End =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'again'; readonly afterMs: number; readonly failure?: Failure }
  | { readonly kind: 'dead'; readonly reason: string; readonly failure: Failure; readonly stack?: string | undefined }
  | { readonly kind: 'dropped'; readonly status: 'cancelled' | 'expired'; readonly failure: Failure }
  | { readonly kind: 'settled' }

interface Run {
  readonly message: Message
  readonly delivery: Delivery
  readonly aborting: AbortController
  /** Until then the lease surely holds. */
  heldUntil: number
  isMarked: boolean
  cancelled: Cancel | undefined
}

const TOO_LARGE: Failure = { name: 'PayloadError', code: 'TOO_LARGE', message: 'no room for the headers of a retry' }
const LANES = ['high', 'normal', 'low']
const WAIT_MS = 1_000
/** Of a lease: what is not confirmed for longer may be another's. */
const SAFE_SHARE = 0.8

export class Worker {
  readonly #wire: Wire
  readonly #options: WorkerOptions
  readonly #runs = new Set<Run>()
  readonly #ends = new Set<Promise<void>>()
  #cancels: readonly Cancel[] = []
  #salt = ''
  #stopping = false
  #loop: Promise<void> = Promise.resolve()
  #whenFree = (): void => {}

  constructor(wire: Wire, options: WorkerOptions) {
    this.#wire = wire
    this.#options = options
  }

  get running(): number {
    return this.#runs.size
  }

  async start(): Promise<void> {
    await makeAssets(this.#wire, this.#options)
    this.#salt = await saltOf(this.#wire, this.#options)
    this.#cancels = await followCancels(this.#wire, this.#options, (cancel) => this.#onCancel(cancel))
    this.#answerCalls()
    await this.#wire.flush()
    this.#loop = this.#pullForEver()
  }

  /** Takes no more, gives back what runs. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const run of this.#runs) run.aborting.abort('shutdown')
    await Promise.all(this.#ends)
    this.#whenFree()
    await this.#loop
  }

  get #free(): number {
    return (this.#options.concurrency ?? 1) - this.#runs.size
  }

  /** High before normal before low; where nothing is there, waits on all at once. */
  async #pullForEver(): Promise<void> {
    while (!this.#stopping) {
      if (this.#free <= 0) await new Promise<void>((resolve) => (this.#whenFree = resolve))
      const before = this.#runs.size
      for (const lane of LANES) if (this.#free > 0 && !this.#stopping) await this.#pull(lane)
      if (this.#runs.size === before && this.#free > 0 && !this.#stopping)
        await Promise.race(LANES.map((lane) => this.#pull(lane, WAIT_MS)))
    }
  }

  #pull(consumer: string, waitMs?: number): Promise<void> {
    const { namespace, actor } = this.#options
    const from = { stream: `${namespace}-mailbox-${actor}`, consumer }
    const ask = waitMs === undefined ? { batch: this.#free } : { batch: 1, waitMs }
    return pull(this.#wire, from, ask, (delivery) => {
      // What arrives beyond the slots goes back at once: another worker may be free.
      if (this.#free <= 0 || this.#stopping) return void giveBack(this.#wire, delivery)
      const end = this.#run(delivery).catch(() => {})
      this.#ends.add(end)
      void end.then(() => this.#ends.delete(end))
    })
  }

  async #run(delivery: Delivery): Promise<void> {
    const { namespace, leaseMs } = this.#options
    let message: Message
    let invalid: InvalidMessage | undefined
    try {
      message = readMessage(delivery, namespace)
      ruleFor(message.headers, DEFAULT_RULE)
    } catch (error) {
      message = unreadable(delivery, namespace)
      invalid = error as InvalidMessage
    }
    const heldUntil = performance.now() + leaseMs * SAFE_SHARE
    const run: Run = {
      message,
      delivery,
      aborting: new AbortController(),
      heldUntil,
      isMarked: false,
      cancelled: undefined,
    }
    this.#runs.add(run)
    const heart = setInterval(() => void this.#beat(run), leaseMs / 3)
    try {
      const end = invalid === undefined ? await this.#execute(run) : dead('invalid', invalid)
      await this.#settle(run, end)
      if (run.isMarked) await unmark(this.#wire, namespace, message, delivery)
    } finally {
      clearInterval(heart)
      this.#runs.delete(run)
      this.#whenFree()
    }
  }

  /** Extends the lease. A heartbeat that is confirmed after the lease has lapsed says nothing: the message may be another's. */
  async #beat(run: Run): Promise<void> {
    const sentAt = performance.now()
    const isConfirmed = await say(this.#wire, run.delivery, '+WPI', 1)
    if (isConfirmed && this.#holds(run)) run.heldUntil = sentAt + this.#options.leaseMs * SAFE_SHARE
    if (!this.#holds(run)) run.aborting.abort('lease-lost')
  }

  #holds({ heldUntil }: Run): boolean {
    return performance.now() < heldUntil
  }

  async #execute(run: Run): Promise<End> {
    const { message, delivery } = run
    const early = this.#check(run)
    if (early !== undefined) return early
    if (this.#hasAccount(message) && (await isOver(this.#wire, message, delivery, this.#ledger)))
      return { kind: 'settled' }
    if (delivery.count > 1) {
      const known = await lookUp(this.#wire, this.#options.namespace, message, delivery)
      if (known === 'settled') return { kind: 'settled' }
      if (known === 'poison') return dead('poison', named('PoisonError', 'its workers died with it', 'POISON'))
      run.isMarked = true
    }
    return this.#handle(run)
  }

  /** In this order: expired, past its deadline, cancelled, unknown. */
  #check(run: Run): End | undefined {
    const { message } = run
    const now = Date.now()
    if (message.expires !== undefined && now >= message.expires)
      return {
        kind: 'dropped',
        status: 'expired',
        failure: named('ExpiredError', 'the message expired before it was run'),
      }
    if (message.deadline !== undefined && now >= message.deadline)
      return dead('deadline', named('DeadlineError', 'its deadline has passed', 'DEADLINE'))
    const cancel = this.#cancels.find((one) => message.sentAt <= one.at && speaksOf(one, message))
    if (cancel !== undefined) {
      this.#answer(cancel, 'waiting', message.id)
      return dropped(cancel)
    }
    if (this.#options.handlers[message.name] === undefined)
      return dead('unknown-message', named('ActorError', `no message ${message.name}`, 'UNKNOWN_MESSAGE'))
    return undefined
  }

  async #handle(run: Run): Promise<End> {
    const { message, delivery, aborting } = run
    let payload: unknown
    try {
      payload = delivery.body.length === 0 ? undefined : JSON.parse(Buffer.from(delivery.body).toString())
    } catch {
      return dead('invalid', named('PayloadError', 'the body is not JSON', 'UNDECODABLE'))
    }
    const { id, attempt, headers } = message
    try {
      const value = await this.#options.handlers[message.name]?.(payload, {
        id,
        attempt,
        headers,
        signal: aborting.signal,
      })
      return value instanceof Verdict ? this.#chosen(run, value) : { kind: 'done', value }
    } catch (error) {
      if (run.cancelled !== undefined) return dropped(run.cancelled)
      return this.#failed(run, error as Error)
    }
  }

  #chosen(run: Run, { kind, afterMs, reason }: Verdict): End {
    if (kind === 'snooze') return { kind: 'again', afterMs }
    if (kind === 'dead') return dead('rejected', named('Rejected', reason))
    return this.#failed(run, named('Retry', reason), afterMs)
  }

  #failed({ message }: Run, error: Error, chosenMs?: number): End {
    const { attempt, headers } = message
    const failure = { ...failureOf(error), attempts: attempt }
    const afterMs = delayAfter(ruleFor(headers, this.#options.rule ?? DEFAULT_RULE), attempt, Math.random())
    if (afterMs !== undefined) return { kind: 'again', afterMs: chosenMs ?? afterMs, failure }
    return { kind: 'dead', reason: 'failed', failure, stack: error.stack }
  }

  /** First the copy, confirmed, then the end of the delivery: a crash in between leaves both, and the next delivery finds the copy. */
  async #settle(run: Run, end: End): Promise<void> {
    const { message, delivery, aborting } = run
    // What another may hold by now is only ended as done.
    if (!this.#holds(run) && end.kind !== 'done' && end.kind !== 'settled') return
    if (aborting.signal.reason === 'shutdown' && end.kind !== 'done') {
      if (run.isMarked) await unmark(this.#wire, this.#options.namespace, message, delivery)
      run.isMarked = false
      return void (await giveBack(this.#wire, delivery))
    }
    switch (end.kind) {
      case 'settled':
        return void (await say(this.#wire, delivery, '+ACK'))
      case 'done':
        await this.#tellOutcome(run, 'done', end.value)
        return void (await say(this.#wire, delivery, '+ACK'))
      case 'again':
        return this.#park(run, end.afterMs, end.failure)
      case 'dead':
        return this.#bury(run, { ...end, worker: this.#options.name })
      case 'dropped':
        this.#event(run, end.status, end.status === 'cancelled' ? { reason: end.failure.message } : {})
        await this.#tellOutcome(run, end.status, end.failure)
        return void (await say(this.#wire, delivery, '+TERM', 1))
    }
  }

  async #park(run: Run, afterMs: number, failure: Failure | undefined): Promise<void> {
    const { namespace, actor, maxPayload, name } = this.#options
    const { message, delivery } = run
    this.#event(run, failure === undefined ? 'snooze' : 'retry', { afterMs, failure })
    const again = { afterMs, now: Date.now(), failure }
    const { body } = delivery
    const copy = fitting(
      body,
      maxPayload,
      [false, true].map((brief) => parkedCopy(message, delivery, namespace, { ...again, brief })),
    )
    // With a body as large as the server takes there is no room for what a copy has to say.
    if (copy === undefined) return this.#bury(run, { reason: 'failed', failure: failure ?? TOO_LARGE, worker: name })
    await store(this.#wire, `${namespace}-timer-${actor}`, copy, body)
    await say(this.#wire, delivery, '+ACK')
  }

  async #bury(run: Run, death: Death): Promise<void> {
    const { namespace, maxPayload } = this.#options
    const { message, delivery } = run
    await this.#storeLetter(letterOf(message, delivery, namespace, death, maxPayload))
    await this.#tellOutcome(run, 'dead', { ...death.failure, attempts: message.attempt })
    this.#event(run, 'dead', { reason: death.reason, failure: death.failure })
    await say(this.#wire, delivery, '+TERM', 1)
  }

  /** The end of a large body first, in a message of its own. */
  async #storeLetter({ tail, letter, body }: Letter): Promise<void> {
    const stream = `${this.#options.namespace}-dead`
    const seq = tail === undefined ? undefined : (await store(this.#wire, stream, tail, tail.body)).seq
    const headers = seq === undefined ? letter.headers : { ...letter.headers, 'Troupe-Tail': String(seq) }
    await store(this.#wire, stream, { ...letter, headers }, body)
  }

  /** Kept first, confirmed; told then, to whoever still listens. */
  async #tellOutcome({ message, delivery }: Run, status: string, value: unknown): Promise<void> {
    const { namespace } = this.#options
    const told = outcomeHeaders(message, delivery, status, 'application/json')
    const body = Buffer.from(value === undefined ? '' : JSON.stringify(value))
    if (message.keepMs !== undefined)
      await store(this.#wire, `${namespace}-results`, keptOutcome(message, delivery, namespace, told), body)
    if (this.#hasAccount(message))
      await account(this.#wire, message, delivery, this.#ledger, endsOf(status, message, value))
    if (message.reply !== undefined) this.#wire.publish(message.reply, told, body)
  }

  #hasAccount({ headers }: Message): boolean {
    return headers['Troupe-Schedule'] !== undefined && this.#options.keepsAccounts !== false
  }

  get #ledger(): LedgerPlace {
    return { ...this.#options, salt: this.#salt }
  }

  #onCancel(cancel: Cancel): void {
    this.#options.onCancel?.(cancel)
    for (const run of this.#runs) {
      if (run.message.sentAt > cancel.at || !speaksOf(cancel, run.message)) continue
      run.cancelled = cancel
      run.aborting.abort('cancelled')
      this.#answer(cancel, 'running', run.message.id)
    }
  }

  #answer({ reply }: Cancel, was: string, id: string): void {
    if (reply !== undefined) this.#wire.publish(reply, {}, Buffer.from(JSON.stringify({ was, id })))
  }

  #event({ message }: Run, event: string, data: object): void {
    const { id, actor, name, attempt } = message
    const body = {
      id,
      actor,
      message: name,
      attempt,
      worker: this.#options.name,
      at: new Date().toISOString(),
      ...data,
    }
    const subject = `${this.#options.namespace}.event.${actor}.${name}.${event}`
    this.#wire.publish(subject, {}, Buffer.from(JSON.stringify(body)))
  }

  /** Live calls, one of all workers; broadcasts, every one. */
  #answerCalls(): void {
    const { namespace, actor, handlers } = this.#options
    for (const name of Object.keys(handlers)) {
      this.#wire.subscribe(`${namespace}.call.${actor}.${name}`, (call) => void this.#answerCall(name, call), 'workers')
      this.#wire.subscribe(`${namespace}.all.${actor}.${name}`, (call) => void this.#answerCall(name, call))
    }
  }

  async #answerCall(name: string, { reply, headers, body }: Received): Promise<void> {
    const answer = (own: Headers, value: unknown): void => {
      if (reply !== undefined)
        this.#wire.publish(reply, own, Buffer.from(value === undefined ? '' : JSON.stringify(value)))
    }
    try {
      const payload: unknown = body.length === 0 ? undefined : JSON.parse(Buffer.from(body).toString())
      const ctx = { id: headers['Troupe-Id'] ?? 'live', attempt: 1, headers, signal: new AbortController().signal }
      answer({ 'Content-Type': 'application/json' }, await this.#options.handlers[name]?.(payload, ctx))
    } catch (error) {
      const code = error instanceof SyntaxError ? '400' : '500'
      const { message } = error as Error
      answer({ 'Nats-Service-Error-Code': code, 'Nats-Service-Error': message }, failureOf(error as Error))
    }
  }
}

/** What the ledger says of an end. A result of more than 8 KB is left out. */
function endsOf(status: string, { attempt }: Message, value: unknown): { status: string } & Record<string, unknown> {
  if (status !== 'done') return { status, attempts: attempt, failure: value }
  const isShort = (JSON.stringify(value) ?? '').length <= 8_192
  return { status, attempts: attempt, ...(value !== undefined && isShort ? { result: value } : {}) }
}

function dead(reason: string, error: Error): End {
  return { kind: 'dead', reason, failure: failureOf(error) }
}

function dropped({ reason = 'cancelled' }: Cancel): End {
  return { kind: 'dropped', status: 'cancelled', failure: { name: 'CancelledError', message: reason } }
}

function named(name: string, message: string, code?: string): Error {
  return Object.assign(new Error(message), { name }, code === undefined ? {} : { code })
}

function failureOf(error: Error): Failure {
  const { code } = error as { code?: unknown }
  return { name: error.name, message: error.message, ...(typeof code === 'string' ? { code } : {}) }
}
