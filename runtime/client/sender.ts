/**
 * What a service holds to send messages: `connect()` returns one, and every handler has one in its context.
 *
 * A send is: validate (where the schema is known) → encode → publish → wait for the ack. Its promise resolves when the
 * message is stored (P1). It may be called thousands of times without waiting; the acks share one inbox.
 */
import type { BoundMessage, MessageRef } from '../actor.ts'
import type { Broker } from '../broker/broker.ts'
import type { CancelRequest } from '../broker/cancels.ts'
import { encodeHeaders, H, type HeaderEntry } from '../broker/headers.ts'
import type { Published } from '../broker/publisher.ts'
import type { ServerClock } from '../broker/serverClock.ts'
import { encode } from '../codec/codec.ts'
import { ActorError, ConfigError, UnavailableError, describe, toError } from '../errors.ts'
import type { SendTallies } from '../observe/sendTally.ts'
import type { Sending, Tracing } from '../observe/tracing.ts'
import type { ResultOf } from '../outcome.ts'
import { payloadError, validate } from '../schema.ts'
import { nextId } from '../time/chance.ts'
import { systemClock } from '../time/clock.ts'
import { parseDuration, type Duration } from '../time/duration.ts'
import { liveCall } from './call.ts'
import { requestCancel, type CancelFound } from './cancel.ts'
import { dueOf, envelopeHeaders, NO_OPTIONS, untraced, type Lineage, type Timing } from './envelope.ts'
import { Flight } from './flight.ts'
import { CONTENT_TYPES, checkOptions, dueAt, optionHeaders, type SendOptions } from './options.ts'
import type { Waiters } from './results.ts'
import type { Outgoing, SendMiddleware } from './sending.ts'
import { ASK_TIMEOUT_MS, SentMessage, type Sent, type SentPlace } from './sent.ts'
import type { SentEvents } from './sentEvents.ts'
import { headersUnder, openSpan, underSpan } from './spans.ts'
import { storeMessage, type Target } from './store.ts'

/** Fate of one message of `sendMany`. */
export type Fate<Result> =
  | { readonly sent: Sent<Result>; readonly error?: undefined }
  | { readonly sent?: undefined; readonly error: Error }

export interface SenderHost {
  readonly broker: Broker
  readonly clock: ServerClock
  readonly waiters: Waiters
  readonly sentEvents: SentEvents
  readonly tallies: SendTallies
  readonly tracing: Tracing
  /** The sender's name: outcomes go to `…reply.<name>.…`, kept results under it. */
  readonly name: string
  /** Wrapped around sending. */
  readonly sending: SendMiddleware | undefined
}

const CANCEL_TIMEOUT_MS = 2_000
const NOW: Timing = Object.freeze({})
/** Messages of one `sendMany` that wait for their ack at once. */
const WINDOW = 512

export class Sender {
  readonly #host: SenderHost
  readonly #lineage: Lineage | undefined
  readonly #sentHost: ConstructorParameters<typeof SentMessage>[0]

  constructor(host: SenderHost, lineage?: Lineage) {
    this.#host = host
    this.#lineage = lineage
    const { broker, name } = host
    this.#sentHost = { broker, name, cancel: (actor, request, options) => this.cancel(actor, request, options) }
  }

  /**
   * Stores a message in its actor's mailbox. Throws `PayloadError` (`INVALID_PAYLOAD`, `TOO_LARGE`, …), `ConfigError`
   * (`INVALID_OPTION`), `ActorError` `UNKNOWN_ACTOR`, `UnavailableError` (`MAILBOX_FULL`, `OUTCOME_UNKNOWN`, …), `BrokerError`.
   */
  send<I, R>(ref: MessageRef<I, R>, payload: NoInfer<I>, options?: SendOptions): Promise<Sent<ResultOf<R>>> {
    const { sending } = this.#host
    return sending === undefined ? this.#send(ref, payload, options) : this.#sendThrough(sending, ref, payload, options)
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
    const own = Object.keys(rest).length === 0 ? NO_OPTIONS : rest
    const fates: Fate<ResultOf<R>>[] = []
    const flight = new Flight(WINDOW)
    let index = 0
    for (const payload of payloads) {
      const place = index++
      if (flight.isFull) await flight.room()
      flight.begin()
      this.#sendOneOf(ref, payload, own, id === undefined ? undefined : () => id(payload, place)).then(
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
    const timeoutMs = timeout === undefined ? ASK_TIMEOUT_MS : parseDuration(timeout, 'timeout')
    const { sending } = this.#host
    if (sending === undefined) return this.#ask(ref, payload, rest, timeoutMs)
    const outgoing = this.#outgoing('ask', ref, payload, rest)
    return sending(outgoing, (changed) => this.#ask<I, R>(ref, changed.payload as I, changed.options, timeoutMs))
  }

  async #ask<I, R>(ref: MessageRef<I, R>, payload: I, options: SendOptions, timeoutMs: number): Promise<ResultOf<R>> {
    checkOptions(options)
    await this.#check(ref, payload)
    await this.#host.waiters.open()
    const waiter = this.#host.waiters.wait(`${ref.actor}.${ref.message}`, timeoutMs)
    const span = openSpan(this.#host, 'ask', { ...ref, ...options }, this.#lineage)
    return underSpan(span, async () => {
      try {
        const sent = await this.#sendChecked(ref, payload, options, [[H.reply, waiter.subject]], span)
        if (sent.duplicate) throw duplicateAsk(sent.id)
        return (await waiter.outcome) as ResultOf<R>
      } finally {
        waiter.drop()
      }
    })
  }

  /**
   * Calls a live worker: request and reply, nothing stored, no retry. Throws `ActorError` `NO_LIVE_WORKER` where none runs,
   * `OutcomeError` `DEAD` with the handler's error, `UnavailableError` `TIMEOUT` (default 30 s) or `BUSY`.
   */
  async call<I, R>(ref: MessageRef<I, R>, payload: NoInfer<I>, options: CallOptions = {}): Promise<ResultOf<R>> {
    await this.#check(ref, payload)
    const { timeout = ASK_TIMEOUT_MS, format = 'json', headers = {} } = options
    const timeoutMs = parseDuration(timeout, 'timeout')
    const body = encode(CONTENT_TYPES[format], payload)
    const span = openSpan(this.#host, 'call', ref, this.#lineage)
    const own = [...optionHeaders({ headers, format }, () => 0), ...headersUnder(span, this.#lineage)]
    const answer = await underSpan(span, () => liveCall(this.#host.broker, ref, body, own, timeoutMs))
    return answer as ResultOf<R>
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
    if (!connection.connected)
      throw new UnavailableError(
        'DISCONNECTED',
        'expected a connection to NATS to broadcast on, but there is none now. Try again.',
      )
    const body = encode(CONTENT_TYPES[format], payload)
    const span = openSpan(this.#host, 'broadcast', ref, this.#lineage)
    const own = [...optionHeaders({ headers, format }, () => 0), ...headersUnder(span, this.#lineage)]
    const subject = subjects.broadcast(ref.actor, ref.message)
    await underSpan(span, () => connection.publishHeard(subject, body, encodeHeaders(own)))
  }

  /** A message that this process sent before, from the data of its `SentMessage`. */
  sentBefore(place: SentPlace): SentMessage {
    return new SentMessage(this.#sentHost, place)
  }

  /** Cancels by id or filter, whoever sent it. Durable: a worker that starts later honours it too. */
  async cancel(actor: string, request: CancelRequest, options: { timeout?: Duration } = {}): Promise<CancelFound> {
    const timeoutMs = options.timeout === undefined ? CANCEL_TIMEOUT_MS : parseDuration(options.timeout, 'timeout')
    return requestCancel(this.#host, actor, request, timeoutMs)
  }

  async #sendThrough<I, R>(
    sending: SendMiddleware,
    ref: MessageRef<I, R>,
    payload: I,
    options: SendOptions = NO_OPTIONS,
  ): Promise<Sent<ResultOf<R>>> {
    const outgoing = this.#outgoing('send', ref, payload, options)
    return sending(outgoing, (changed) => this.#send<I, R>(ref, changed.payload as I, changed.options))
  }

  async #send<I, R>(ref: MessageRef<I, R>, payload: I, options?: SendOptions): Promise<Sent<ResultOf<R>>> {
    if (options !== undefined) checkOptions(options)
    await this.#check(ref, payload)
    return this.#sendChecked<R>(ref, payload, options ?? NO_OPTIONS, [])
  }

  #outgoing(kind: Outgoing['kind'], ref: Target, payload: unknown, options: SendOptions): Outgoing {
    const { parent: id, root } = this.#lineage ?? {}
    const from = id === undefined || root === undefined ? undefined : { id, root }
    return { kind, actor: ref?.actor, message: ref?.message, payload, options, from }
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

  #sendChecked<R>(
    ref: Target,
    payload: unknown,
    options: SendOptions,
    extra: readonly HeaderEntry[],
    above?: Sending,
  ): Promise<Sent<ResultOf<R>>> {
    const id = options.id ?? nextId()
    const about = { actor: ref.actor, message: ref.message, id, lane: options.lane }
    const span = openSpan(this.#host, 'send', about, this.#lineage, above)
    if (span === undefined) return this.#sendUnder(ref, id, payload, options, extra, this.#lineage)
    const under = [...extra, ...span.headers]
    return underSpan(span, () => this.#sendUnder(ref, id, payload, options, under, untraced(this.#lineage)))
  }

  async #sendUnder<R>(
    ref: Target,
    id: string,
    payload: unknown,
    options: SendOptions,
    extra: readonly HeaderEntry[],
    lineage: Lineage | undefined,
  ): Promise<Sent<ResultOf<R>>> {
    const body = encode(CONTENT_TYPES[options.format ?? 'json'], payload)
    const timing = this.#timing(options)
    const { name: sender, clock, broker, tallies } = this.#host
    const now = (): number => clock.now()
    const headers = envelopeHeaders({ id, options, timing, lineage, sender, extra, now })
    const due = dueOf(timing, now)
    const subject = this.#subjectOf(ref, options, due)
    const tally = tallies.of(ref.actor, ref.message)
    const from = systemClock.monotonic()
    try {
      const stored = await storeMessage(broker, ref, { subject, payload: body, headers })
      tally.stored(systemClock.monotonic() - from)
      return this.#sent(ref, id, options, due, stored)
    } catch (thrown) {
      tally.failed(systemClock.monotonic() - from, toError(thrown))
      throw thrown
    }
  }

  /** Throws `ConfigError` `INVALID_OPTION` for a lane that the actor does not have. */
  #subjectOf(ref: Target, { lane }: SendOptions, due: number | undefined): string {
    const { subjects } = this.#host.broker
    if (ref.spec !== undefined && !ref.spec.lanes.includes(lane ?? 'normal')) throw noSuchLane(ref, lane ?? 'normal')
    return due === undefined ? subjects.message(ref.actor, ref.message, lane) : subjects.later(ref.actor, ref.message)
  }

  #sent<R>(
    ref: Target,
    id: string,
    options: SendOptions,
    due: number | undefined,
    stored: Published,
  ): Sent<ResultOf<R>> {
    const { actor, message } = ref
    const { sequence } = stored
    const duplicate = stored.duplicate && !stored.repeated
    if (!duplicate && this.#host.sentEvents.isHeard(actor, ref.spec)) this.#tellSent(ref, id, options, due)
    const place = { actor, message, id, duplicate, sequence, isKept: options.keep !== undefined }
    return new SentMessage(this.#sentHost, place) as Sent<ResultOf<R>>
  }

  #tellSent({ actor, message, spec }: Target, id: string, { lane = 'normal' }: SendOptions, due?: number): void {
    const lineage = this.#lineage === undefined ? {} : { parent: this.#lineage.parent, root: this.#lineage.root }
    const planned = due === undefined ? {} : { due: new Date(due).toISOString() }
    this.#host.sentEvents.tell({ id, actor, message, lane, ...planned, ...lineage }, spec)
  }

  /**
   * When it is to be sent. Where the server's clock is not known here, a delay goes as it is, and counts from when the server
   * has stored the message: so a sender needs no rights to ask for the time.
   */
  #timing(options: SendOptions): Timing {
    if (options.delay === undefined && options.at === undefined) return NOW
    const { clock } = this.#host
    const isRelative = options.delay !== undefined && !clock.isKnown && clock.skewMs === 0
    const delayMs = isRelative ? dueAt(options, () => 0) : undefined
    const due = isRelative ? undefined : dueAt(options, () => clock.now())
    return { ...(due === undefined ? {} : { due: Math.ceil(due) }), ...(delayMs === undefined ? {} : { delayMs }) }
  }
}

export interface CallOptions {
  /** Default 30 s. */
  timeout?: Duration
  format?: 'json' | 'msgpack'
  headers?: Readonly<Record<string, string>>
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
