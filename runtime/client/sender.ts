/**
 * What a service holds to send messages: `connect()` returns one, and every handler has one in its context.
 *
 * A send is: validate (where the schema is known) → encode → publish → wait for the ack. Its promise resolves when the
 * message is stored (P1). It may be called thousands of times without waiting; the acks share one inbox.
 */
import type { ActorSpec, BoundMessage, MessageRef } from '../actor.ts'
import { JetStreamError } from '../broker/api.ts'
import { SAFE_SHARE_OF_WINDOW } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { CancelAnswer, CancelRequest } from '../broker/cancels.ts'
import { encodeHeaders, H, type HeaderBlock, type HeaderEntry } from '../broker/headers.ts'
import type { Publication, Published } from '../broker/publisher.ts'
import type { ServerClock } from '../broker/serverClock.ts'
import { encode } from '../codec/codec.ts'
import { ActorError, ConfigError, PayloadError, UnavailableError, describe, toError } from '../errors.ts'
import type { ResultOf } from '../outcome.ts'
import { payloadError, validate } from '../schema.ts'
import { nextId } from '../time/chance.ts'
import { systemClock } from '../time/clock.ts'
import { parseDuration, type Duration } from '../time/duration.ts'
import { liveCall } from './call.ts'
import { CONTENT_TYPES, checkOptions, dueAt, optionHeaders, type SendOptions } from './options.ts'
import { explainRefusal } from './refusals.ts'
import { waitForKept, type Waiters } from './results.ts'

/** A message that is stored. */
export interface Sent<Result = unknown> {
  readonly id: string
  readonly actor: string
  readonly message: string
  /** The id was known within the dedupe window: the earlier message stands, this one was not stored again. */
  readonly duplicate: boolean
  /** Its outcome, as kept (`keep`). Throws `OutcomeError` where it did not end as done, `UnavailableError` `TIMEOUT`, `ConfigError` `NOT_KEPT`. */
  result(options?: { timeout?: Duration }): Promise<Result>
  /** Cancels it wherever it is. `was` says what it met; `unknown` = nothing within the timeout: it waits, or has ended. */
  cancel(options?: { reason?: string; timeout?: Duration }): Promise<{ was: CancelAnswer['was'] | 'unknown' }>
}

/** Fate of one message of `sendMany`. */
export type Fate<Result> =
  | { readonly sent: Sent<Result>; readonly error?: undefined }
  | { readonly sent?: undefined; readonly error: Error }

/** Where a message goes: a reference without the types of its payload and result. */
interface Target {
  readonly actor: string
  readonly message: string
  readonly spec: ActorSpec | undefined
}

export interface SenderHost {
  readonly broker: Broker
  readonly clock: ServerClock
  readonly waiters: Waiters
  /** The sender's name: outcomes go to `…reply.<name>.…`, kept results under it. */
  readonly name: string
}

/** What a message inherits from the one whose handler sends it. */
export interface Lineage {
  readonly root: string
  readonly parent: string
  readonly trace: readonly HeaderEntry[]
}

/** Copies add headers to a message: so much of the server's limit is kept free (DESIGN section 5). */
const COPY_RESERVE = 16_384
const ASK_TIMEOUT_MS = 30_000
const CANCEL_TIMEOUT_MS = 2_000
/** While a mailbox has no leader or its server starts. */
const AWAY_MS = 10_000
/** Messages of one `sendMany` that wait for their ack at once. */
const WINDOW = 512

export class Sender {
  readonly #host: SenderHost
  readonly #lineage: Lineage | undefined

  constructor(host: SenderHost, lineage?: Lineage) {
    this.#host = host
    this.#lineage = lineage
  }

  /**
   * Stores a message in its actor's mailbox. Throws `PayloadError` (`INVALID_PAYLOAD`, `TOO_LARGE`, …), `ConfigError`
   * (`INVALID_OPTION`), `ActorError` `UNKNOWN_ACTOR`, `UnavailableError` (`MAILBOX_FULL`, `OUTCOME_UNKNOWN`, …), `BrokerError`.
   */
  async send<I, R>(ref: MessageRef<I, R>, payload: NoInfer<I>, options?: SendOptions): Promise<Sent<ResultOf<R>>> {
    if (options !== undefined) checkOptions(options)
    await this.#check(ref, payload)
    return this.#sendChecked<R>(ref, payload, options ?? NO_OPTIONS, [])
  }

  /** Sends what `mailer.welcome.with(payload)` made. */
  sendBound<I, R>(bound: BoundMessage<I, R>, options?: SendOptions): Promise<Sent<ResultOf<R>>> {
    return this.send(bound.ref, bound.payload, options)
  }

  /**
   * Sends many in one pipelined call, in order. Never throws for one of them: each has its fate, at its place. Options
   * hold for all; `id` may be a function of payload and place, so that a repeat of the call stores nothing twice.
   */
  async sendMany<I, R>(
    ref: MessageRef<I, R>,
    payloads: Iterable<NoInfer<I>>,
    options: Omit<SendOptions, 'id'> & { id?: (payload: NoInfer<I>, index: number) => string } = {},
  ): Promise<Fate<ResultOf<R>>[]> {
    const { id, ...rest } = options
    checkOptions(rest)
    const fates: Fate<ResultOf<R>>[] = []
    const flight = new Flight(WINDOW)
    let index = 0
    for (const payload of payloads) {
      const place = index++
      if (flight.isFull) await flight.room()
      flight.begin()
      this.#sendOneOf(ref, payload, rest, id === undefined ? undefined : () => id(payload, place)).then(
        (sent) => {
          fates[place] = { sent }
          flight.end()
        },
        (error: unknown) => {
          fates[place] = { error: toError(error) }
          flight.end()
        },
      )
      // Alone: where the mailbox has to be created first, the others would overtake it and each other.
      if (place === 0) await flight.landed()
    }
    await flight.landed()
    return fates
  }

  /**
   * Sends a message and waits for its outcome. The message is stored like any other: if the wait ends, it is still handled.
   * `timeout` (default 30 s) is for the wait. Throws what `send` throws, `OutcomeError` (`DEAD`, `CANCELLED`, `EXPIRED`), `UnavailableError` `TIMEOUT`.
   */
  async ask<I, R>(
    ref: MessageRef<I, R>,
    payload: NoInfer<I>,
    options: SendOptions & { timeout?: Duration } = {},
  ): Promise<ResultOf<R>> {
    const { timeout, ...rest } = options
    checkOptions(rest)
    await this.#check(ref, payload)
    const timeoutMs = timeout === undefined ? ASK_TIMEOUT_MS : parseDuration(timeout, 'timeout')
    const waiter = this.#host.waiters.wait(`${ref.actor}.${ref.message}`, timeoutMs)
    try {
      const sent = await this.#sendChecked(ref, payload, rest, [[H.reply, waiter.subject]])
      if (sent.duplicate) throw duplicateAsk(sent.id)
      return (await waiter.outcome) as ResultOf<R>
    } finally {
      waiter.drop()
    }
  }

  /**
   * Calls a live worker: request and reply, nothing stored, no retry. Throws `ActorError` `NO_LIVE_WORKER` where none runs,
   * `OutcomeError` `DEAD` with the handler's error, `UnavailableError` `TIMEOUT` (default 30 s) or `BUSY`.
   */
  async call<I, R>(ref: MessageRef<I, R>, payload: NoInfer<I>, options: CallOptions = {}): Promise<ResultOf<R>> {
    await this.#check(ref, payload)
    const { timeout = ASK_TIMEOUT_MS, format = 'json', headers = {} } = options
    const own = [...optionHeaders({ headers, format }, () => 0), ...this.#lineageHeaders()]
    const body = encode(CONTENT_TYPES[format], payload)
    return (await liveCall(this.#host.broker, ref, body, own, parseDuration(timeout, 'timeout'))) as ResultOf<R>
  }

  /** Tells every live worker of the actor. Nothing is stored; who does not run now will never know. */
  async broadcast<I>(
    ref: MessageRef<I, unknown>,
    payload: NoInfer<I>,
    options: Omit<CallOptions, 'timeout'> = {},
  ): Promise<void> {
    await this.#check(ref, payload)
    const { format = 'json', headers = {} } = options
    const { connection, subjects } = this.#host.broker
    const own = [...optionHeaders({ headers, format }, () => 0), ...this.#lineageHeaders()]
    if (!connection.connected)
      throw new UnavailableError(
        'DISCONNECTED',
        'expected a connection to NATS to broadcast on, but there is none now. Try again.',
      )
    await connection.publishHeard(
      subjects.broadcast(ref.actor, ref.message),
      encode(CONTENT_TYPES[format], payload),
      encodeHeaders(own),
    )
  }

  /** Cancels by id or filter, whoever sent it. Durable: a worker that starts later honours it too. */
  async cancel(
    actor: string,
    request: CancelRequest,
    options: { timeout?: Duration } = {},
  ): Promise<{ was: CancelAnswer['was'] | 'unknown' }> {
    if ([request.id, request.message, request.root, request.header].every((field) => field === undefined)) {
      throw new ConfigError(
        'INVALID_OPTION',
        'expected a cancel to name an id, a message, a root or a header, got none of them',
      )
    }
    const timeoutMs = options.timeout === undefined ? CANCEL_TIMEOUT_MS : parseDuration(options.timeout, 'timeout')
    const { broker, waiters } = this.#host
    const waiter = waiters.wait(`the cancel of ${request.id ?? describe(request)}`, timeoutMs)
    try {
      const headers = encodeHeaders([
        [H.dedupe, nextId()],
        [H.reply, waiter.subject],
      ])
      const publication = {
        subject: broker.subjects.cancel(actor),
        payload: Buffer.from(JSON.stringify(request)),
        headers,
      }
      await broker.assets.shared()
      await broker.publisher.publish({
        ...publication,
        stream: broker.subjects.cancelStream,
        repeatMs: 60_000,
        awayMs: AWAY_MS,
      })
      return await waiter.outcome.then(
        (answer) => ({ was: (answer as CancelAnswer).was }),
        (error: unknown) => {
          if (error instanceof UnavailableError && error.code === 'TIMEOUT') return { was: 'unknown' as const }
          throw error
        },
      )
    } finally {
      waiter.drop()
    }
  }

  /** `send`, where the id is made by a function of the caller's: that it throws is this message's fate, not that of all. */
  async #sendOneOf<I, R>(
    ref: MessageRef<I, R>,
    payload: I,
    options: SendOptions,
    id: (() => string) | undefined,
  ): Promise<Sent<ResultOf<R>>> {
    return this.send(ref, payload, id === undefined ? options : { ...options, id: id() })
  }

  async #check(ref: Target, payload: unknown): Promise<void> {
    const spec = ref?.spec?.messages.get(ref.message)
    if (spec?.schema === undefined) {
      if (typeof ref?.actor === 'string' && typeof ref.message === 'string') return
      throw new ActorError(
        'UNKNOWN_MESSAGE',
        `expected a message of an actor, like mailer.welcome, got: ${describe(ref)}. Is its name spelled right?`,
      )
    }
    const checked = await validate(spec.schema, payload)
    if (checked.issues !== undefined) throw payloadError(ref.actor, ref.message, checked.issues)
  }

  async #sendChecked<R>(
    ref: Target,
    payload: unknown,
    options: SendOptions,
    extra: readonly HeaderEntry[],
  ): Promise<Sent<ResultOf<R>>> {
    const { subjects } = this.#host.broker
    const id = options.id ?? nextId()
    const body = encode(CONTENT_TYPES[options.format ?? 'json'], payload)
    const due = await this.#dueAt(options)
    const headers = this.#headers(id, options, due, extra)
    if (ref.spec !== undefined && !ref.spec.lanes.includes(options.lane ?? 'normal'))
      throw noSuchLane(ref, options.lane ?? 'normal')
    const subject =
      due === undefined
        ? subjects.message(ref.actor, ref.message, options.lane)
        : subjects.later(ref.actor, ref.message)
    const stored = await this.#store(ref, subject, body, headers)
    return new SentMessage(this, this.#host, ref, id, stored, options.keep !== undefined) as Sent<ResultOf<R>>
  }

  /** By the server's clock, which is asked when the first delayed message is sent. */
  async #dueAt(options: SendOptions): Promise<number | undefined> {
    if (options.delay === undefined && options.at === undefined) return undefined
    const { clock, broker } = this.#host
    if (options.delay !== undefined && !clock.isKnown) {
      await broker.assets.shared()
      await clock.start()
    }
    const due = dueAt(options, () => clock.now())
    return due === undefined ? undefined : Math.ceil(due)
  }

  #headers(id: string, options: SendOptions, due: number | undefined, extra: readonly HeaderEntry[]): Buffer {
    if (options === NO_OPTIONS && extra.length === 0 && this.#lineage === undefined) return plainHeaders(id)
    const from = (): number => due ?? this.#host.clock.now()
    const headers: HeaderEntry[] = [[H.dedupe, options.replace ? nextId() : headerId(id)]]
    if (options.replace || headerId(id) !== id) headers.push([H.id, headerId(id)])
    headers.push(
      ...optionHeaders(options, from).filter(([name]) => due === undefined || name !== H.ttl),
      ...extra,
      ...this.#lineageHeaders(),
    )
    if (this.#host.name !== 'any') headers.push([H.sender, this.#host.name])
    if (due === undefined) return encodeHeaders(headers)
    headers.push([H.due, String(due)])
    if (options.lane !== undefined && options.lane !== 'normal') headers.push([H.lane, options.lane])
    if (options.replace) headers.push([H.replace, 'true'])
    return encodeHeaders(headers)
  }

  #lineageHeaders(): HeaderEntry[] {
    if (this.#lineage === undefined) return []
    const { root, parent, trace } = this.#lineage
    return [[H.root, root], [H.parent, parent], ...trace]
  }

  #store(ref: Target, subject: string, payload: Uint8Array, headers: Uint8Array): Promise<Published> {
    const { broker } = this.#host
    const { maxPayload } = broker.publisher
    const limit = Math.max(maxPayload - COPY_RESERVE, maxPayload >> 1)
    const size = payload.length + headers.length
    if (size > limit) throw tooLarge(ref, size, limit)
    const windowMs =
      ref.spec === undefined ? broker.assets.settings.dedupeWindowMs : broker.assets.dedupeWindowMs(ref.spec)
    const stream = broker.subjects.mailboxStream(ref.actor)
    const publication = { subject, payload, headers, stream, repeatMs: windowMs * SAFE_SHARE_OF_WINDOW, awayMs: 0 }
    // With a stream that never answered, one silence is enough to look whether it is there: where somebody else listens
    // on the subject, the server does not say that no stream does.
    const isNew = !broker.publisher.hasHeardOf(stream)
    const first = isNew ? { ...publication, repeatMs: 0 } : publication
    const from = isNew ? systemClock.monotonic() : 0
    return new Promise((resolve, reject) => {
      broker.publisher.store(first, resolve, (error) => {
        if (isNew && isUnanswered(error))
          return void this.#afterSilence(ref, publication, error, from).then(resolve, reject)
        if (!(error instanceof JetStreamError)) return reject(error)
        this.#again(ref, publication, error).then(resolve, reject)
      })
    })
  }

  /** No answer: the mailbox may be missing, or only slow. The same key makes a repeat safe. */
  async #afterSilence(ref: Target, publication: Publication, silence: Error, from: number): Promise<Published> {
    const { broker } = this.#host
    const problem = await broker.api.streamInfo(publication.stream).then(
      () => undefined,
      (error: unknown) => toError(error),
    )
    const isGone = problem instanceof JetStreamError && problem.refusal === 'gone'
    if (isGone && ref.spec === undefined) throw await explainRefusal(broker, ref, problem)
    if (isGone && ref.spec !== undefined) {
      broker.assets.forget()
      await broker.assets.mailbox(ref.spec)
      return broker.publisher.publish(publication)
    }
    const leftMs = publication.repeatMs - (systemClock.monotonic() - from)
    if (leftMs <= 0) throw silence
    return broker.publisher.publish({ ...publication, repeatMs: leftMs })
  }

  /** Nobody took it: create the mailbox where its definition is known, else say why. */
  async #again(ref: Target, publication: Publication, error: JetStreamError): Promise<Published> {
    const { broker } = this.#host
    try {
      if (error.refusal !== 'away') throw error
      if (ref.spec !== undefined) {
        await broker.assets.mailboxAgain(ref.spec)
      } else {
        await broker.api.streamInfo(publication.stream)
      }
      return await broker.publisher.publish({ ...publication, awayMs: AWAY_MS })
    } catch (cause) {
      throw await explainRefusal(broker, ref, cause)
    }
  }
}

export interface CallOptions {
  /** Default 30 s. */
  timeout?: Duration
  format?: 'json' | 'msgpack'
  headers?: Readonly<Record<string, string>>
}

const NO_OPTIONS: SendOptions = Object.freeze({})

/** How many of a long list are under way. Waiting with Promise.race would look at all of them for each that lands. */
class Flight {
  readonly #most: number
  #count = 0
  #wake: (() => void) | undefined
  #until = 0

  constructor(most: number) {
    this.#most = most
  }

  get isFull(): boolean {
    return this.#count >= this.#most
  }
  begin(): void {
    this.#count++
  }
  end(): void {
    if (--this.#count <= this.#until) this.#wake?.()
  }
  /** Resolves when half of them have landed. */
  room(): Promise<void> {
    return this.#fallTo(this.#most >> 1)
  }
  landed(): Promise<void> {
    return this.#fallTo(0)
  }

  #fallTo(until: number): Promise<void> {
    if (this.#count <= until) return Promise.resolve()
    this.#until = until
    return new Promise((resolve) => (this.#wake = resolve))
  }
}

class SentMessage implements Sent {
  readonly id: string
  readonly duplicate: boolean
  readonly #sender: Sender
  readonly #host: SenderHost
  readonly #ref: { actor: string; message: string }
  readonly #isKept: boolean
  /** Its place in its mailbox, or that of the message whose duplicate it is. */
  readonly #sequence: number

  constructor(
    sender: Sender,
    host: SenderHost,
    ref: { actor: string; message: string },
    id: string,
    stored: Published,
    isKept: boolean,
  ) {
    this.#sender = sender
    this.#host = host
    this.#ref = ref
    this.id = id
    this.duplicate = stored.duplicate
    this.#sequence = stored.sequence
    this.#isKept = isKept
  }

  get actor(): string {
    return this.#ref.actor
  }
  get message(): string {
    return this.#ref.message
  }

  async result(options: { timeout?: Duration } = {}): Promise<unknown> {
    if (!this.#isKept) {
      const text = `expected ${this.actor}.${this.message} to be sent with "keep", so that its result can be read. Send it with { keep: '1h' }, or use ask().`
      throw new ConfigError('NOT_KEPT', text)
    }
    const timeoutMs = options.timeout === undefined ? ASK_TIMEOUT_MS : parseDuration(options.timeout, 'timeout')
    return waitForKept(
      this.#host.broker,
      { ...this.#ref, id: this.id, sender: this.#host.name, sequence: this.#sequence },
      timeoutMs,
    )
  }

  cancel(options: { reason?: string; timeout?: Duration } = {}): Promise<{ was: CancelAnswer['was'] | 'unknown' }> {
    const { reason, ...rest } = options
    return this.#sender.cancel(this.actor, { id: this.id, ...(reason === undefined ? {} : { reason }) }, rest)
  }
}

/** The whole block of a plain message: one header, made without a list. */
function plainHeaders(id: string): Buffer {
  return Buffer.from(`NATS/1.0\r\n${H.dedupe}: ${id}\r\n\r\n`, 'latin1')
}

function isUnanswered(error: Error): boolean {
  return error instanceof UnavailableError && error.code === 'OUTCOME_UNKNOWN'
}

/** An id as a header carries it: as it is, unless a line break or a margin would change it. */
function headerId(id: string): string {
  // oxlint-disable-next-line no-control-regex -- exactly these characters cannot stand in a header
  if (!/[\u0000-\u001F\u007F]|^\s|\s$/.test(id)) return id
  throw new PayloadError(
    'INVALID_ID',
    `expected id to have no control characters and no space at its ends, got: ${describe(id)}`,
  )
}

function duplicateAsk(id: string): UnavailableError {
  const text = `expected a new id to ask with, but ${describe(id)} was sent within the dedupe window: its outcome goes to who asked first. Use another id, or send with "keep" and read result().`
  return new UnavailableError('DUPLICATE', text, { data: { id } })
}

function noSuchLane(ref: Target, lane: string): ConfigError {
  return new ConfigError(
    'INVALID_OPTION',
    `expected lane to be one of ${ref.spec?.lanes.join(', ')}: the lanes that ${ref.actor} declares, got: ${describe(lane)}`,
  )
}

function tooLarge(ref: Target, size: number, limit: number): PayloadError {
  const text = `expected ${ref.actor}.${ref.message} to have at most ${limit} bytes with its headers, got: ${size}. Store the data elsewhere and send where it is, or raise max_payload on the server.`
  return new PayloadError('TOO_LARGE', text, { data: { size, limit } })
}

/** A message's lineage for what its handler sends. */
export function lineageOf(message: { id: string; root: string; headers: HeaderBlock }): Lineage {
  const trace: HeaderEntry[] = []
  for (const name of [H.traceparent, H.tracestate]) {
    const value = message.headers.get(name)
    if (value !== undefined) trace.push([name, value])
  }
  return { root: message.root, parent: message.id, trace }
}
