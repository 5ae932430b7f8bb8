/**
 * Live calls and broadcasts: a message that is not stored, run by whoever is there now.
 *
 * The same handler, schema and time limit as a stored message's; no retry, no lease, no outcome but the reply. They have
 * slots of their own, as many as the mailbox: a flood of calls must not starve what is stored, nor the other way round.
 */
import type { ActorSpec, MessageSpec } from '../actor.ts'
import { H, type HeaderBlock } from '../broker/headers.ts'
import { decode, encode, parseContentType, type ContentType } from '../codec/codec.ts'
import { RunContext, type ContextHost, type RunEnd } from '../context.ts'
import { AbortedError, PayloadError, toError, toFailure } from '../errors.ts'
import type { Message } from '../message.ts'
import type { ActorTally } from '../observe/tally.ts'
import { isVerdict } from '../outcome.ts'
import { payloadError, validate } from '../schema.ts'
import type { Secrets } from '../secrets.ts'
import { nextId } from '../time/chance.ts'
import { sleep, systemClock, type Timer } from '../time/clock.ts'
import type { Invoke } from './execute.ts'

/** Error codes of live calls, after HTTP's, as NATS micro services do it. */
export const LIVE_CODES = { invalid: 400, timeLimit: 408, refused: 422, busy: 429, failed: 500, stopping: 503 } as const

export type LiveReply =
  | { readonly ok: true; readonly body: Uint8Array; readonly contentType: string }
  | { readonly ok: false; readonly code: number; readonly description: string; readonly body: Uint8Array }

export type LiveKind = 'calls' | 'broadcasts'

export interface LiveHost extends ContextHost {
  readonly spec: ActorSpec
  readonly invoke: Invoke
  readonly tally: ActorTally
  readonly secrets: Secrets
  readonly concurrency: number
  readonly timeLimitMs: number
  /** Largest message that the server takes: bytes. */
  readonly maxPayload: number
}

/** Room for a reply's headers. */
const REPLY_RESERVE = 1_024

export class Live {
  readonly #host: LiveHost
  readonly #running = new Set<{ ctx: RunContext; ended: Promise<unknown> }>()
  #hurry = (): void => {}
  readonly #hurried = new Promise<void>((resolve) => (this.#hurry = resolve))

  constructor(host: LiveHost) {
    this.#host = host
  }

  get running(): number {
    return this.#running.size
  }
  get actor(): string {
    return this.#host.spec.name
  }

  /** Runs one; never rejects. */
  async run(name: string, headers: HeaderBlock, data: Uint8Array, counted: LiveKind = 'calls'): Promise<LiveReply> {
    const from = systemClock.monotonic()
    const reply = await this.#run(name, headers, data, counted)
    const error = reply.ok ? undefined : `${reply.code}:${reply.description}`
    this.#host.tally.of(name)[counted].ended(systemClock.monotonic() - from, error)
    return reply
  }

  async #run(name: string, headers: HeaderBlock, data: Uint8Array, kind: LiveKind): Promise<LiveReply> {
    const spec = this.#host.spec.messages.get(name)
    if (spec === undefined) return refusal(LIVE_CODES.invalid, new Error(`no message ${name}`))
    if (this.#host.stopping) return refusal(LIVE_CODES.stopping, new Error('this worker is stopping'))
    if (this.#running.size >= this.#host.concurrency)
      return refusal(LIVE_CODES.busy, new Error('all slots for live calls are taken'))
    const ctx = new RunContext(
      this.#host,
      liveMessage(this.#host.spec.name, name, headers),
      systemClock.monotonic() + this.#limit(spec),
    )
    ctx.isLive = true
    ctx.isForAll = kind === 'broadcasts'
    const ended = this.#answer(spec, ctx, headers, data)
    const entry = { ctx, ended }
    this.#running.add(entry)
    try {
      const reply = await ended
      ctx.onEnd?.(endOf(reply))
      return reply
    } finally {
      this.#running.delete(entry)
    }
  }

  /** Waits for what runs, then tells it to stop. */
  async stop(withinMs: number): Promise<void> {
    const all = Promise.allSettled([...this.#running].map(({ ended }) => ended))
    const over = new AbortController()
    await Promise.race([all, this.#hurried, sleep(withinMs, over.signal).catch(() => {})])
    over.abort()
    for (const { ctx } of this.#running) ctx.abort(new AbortedError('shutdown', 'the system is stopping'))
  }

  /** What runs gets no more time. */
  hurry(): void {
    this.#hurry()
  }

  #limit(spec: MessageSpec): number {
    return spec.timeLimitMs ?? this.#host.timeLimitMs
  }

  async #answer(spec: MessageSpec, ctx: RunContext, headers: HeaderBlock, data: Uint8Array): Promise<LiveReply> {
    const type = headers.get(H.contentType)
    let timer: Timer | undefined
    const limit = new Promise<never>((_, reject) => {
      timer = systemClock.setTimer(() => {
        const reason = new AbortedError(
          'time-limit',
          `expected ${spec.name} to answer within its time limit of ${this.#limit(spec)} ms`,
        )
        ctx.abort(reason)
        reject(reason)
      }, this.#limit(spec))
    })
    limit.catch(() => {})
    try {
      const value = await Promise.race([this.#invoke(spec, ctx, type, data), limit])
      if (isVerdict(value))
        return refusal(LIVE_CODES.refused, new Error(value.kind === 'snooze' ? 'not now' : value.reason))
      return this.#reply(value, parseContentType(type))
    } catch (thrown) {
      return refusal(codeOf(thrown), toError(thrown))
    } finally {
      systemClock.clearTimer(timer)
    }
  }

  /** A result that can't be sent is the handler's failure, not the caller's. */
  #reply(value: unknown, contentType: ContentType): LiveReply {
    try {
      const body = encode(contentType, value)
      const limit = this.#host.maxPayload - REPLY_RESERVE
      if (body.length <= limit) return { ok: true, contentType, body }
      throw new PayloadError('TOO_LARGE', `expected a result of at most ${limit} bytes, got: ${body.length}`)
    } catch (thrown) {
      return refusal(LIVE_CODES.failed, toError(thrown))
    }
  }

  async #invoke(spec: MessageSpec, ctx: RunContext, type: string | undefined, data: Uint8Array): Promise<unknown> {
    let payload = decode(type, data)
    if (spec.schema !== undefined) {
      const checked = await validate(spec.schema, payload)
      if (checked.issues !== undefined) throw payloadError(ctx.actor, spec.name, checked.issues, this.#host.secrets)
      payload = checked.value
    }
    return this.#host.invoke(spec, payload, ctx)
  }
}

function endOf(reply: LiveReply): RunEnd {
  if (reply.ok) return { kind: 'done' }
  return { kind: 'dead', failure: { name: 'Error', message: reply.description, code: String(reply.code) } }
}

function codeOf(thrown: unknown): number {
  if (thrown instanceof PayloadError) return LIVE_CODES.invalid
  return thrown instanceof AbortedError && thrown.why === 'time-limit' ? LIVE_CODES.timeLimit : LIVE_CODES.failed
}

function refusal(code: number, error: Error): LiveReply {
  return { ok: false, code, description: error.message, body: encode('application/json', toFailure(error)) }
}

/** A live message has no place in a stream: what a stored one has from there is made up or absent. */
function liveMessage(actor: string, name: string, headers: HeaderBlock): Message {
  const id = headers.get(H.id)?.slice(0, 200) ?? nextId()
  return {
    id,
    actor,
    name,
    lane: 'normal',
    attempt: 1,
    contentType: headers.get(H.contentType),
    sender: headers.get(H.sender) ?? 'any',
    reply: undefined,
    keepMs: undefined,
    expires: undefined,
    deadline: undefined,
    planned: undefined,
    sentAt: systemClock.now(),
    root: headers.get(H.root) ?? id,
    parent: headers.get(H.parent),
    schedule: undefined,
    retry: undefined,
    ignored: [],
    headers,
  }
}
