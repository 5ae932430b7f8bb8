/**
 * JetStream's request API (`$JS.API.…`) over the shared reply inbox, with its errors told apart by what they mean for us.
 *
 * Reads that decide something go to the stream's leader (`STREAM.MSG.GET`), never to a follower's direct get.
 */
import type { ConsumerConfig, ConsumerInfo, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'

import { BrokerError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { headersOf } from './delivery.ts'
import { HeaderBlock } from './headers.ts'
import { isNoResponders, type Replies, type Request } from './replies.ts'

/** What an error of JetStream means for the caller. */
export type Refusal =
  /** Nobody answered, no leader, not ready: wait and repeat, never drop. */
  | 'away'
  /** The stream, consumer or message does not exist. */
  | 'gone'
  /** A compare-and-set lost. */
  | 'conflict'
  /** A bound of the stream is reached (discard new). */
  | 'full'
  /** It exists with other settings. */
  | 'differs'
  /** Everything else: this request will never be taken as it is. */
  | 'refused'

/** JetStream's answer that it would not do what was asked. `errCode` is the server's own (ADR-7). */
export class JetStreamError extends BrokerError {
  readonly refusal: Refusal
  readonly errCode: number
  /** Of a compare-and-set that lost: the sequence that stands there, 0 for none; undefined where it is about to change. */
  readonly lastSequence: number | undefined

  constructor(refusal: Refusal, errCode: number, text: string, subject: string) {
    super(`JETSTREAM_${refusal.toUpperCase()}`, `NATS refused ${subject}: ${text} (${errCode})`, {
      data: { subject, errCode },
    })
    this.refusal = refusal
    this.errCode = errCode
    const found = /wrong last sequence: (\d+)/.exec(text)?.[1]
    this.lastSequence = found === undefined ? undefined : Number(found)
  }
}

/** A message read from a stream. */
export interface Stored {
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  readonly headers: HeaderBlock
  readonly data: Uint8Array
  /** When it was stored, epoch ms by the server's clock. */
  readonly storedAt: number
}

interface ApiError {
  readonly code: number
  readonly err_code?: number
  readonly description?: string
}

/** The server's error codes that we act on (nats-server `server/errors.json`). */
const BY_CODE: Readonly<Record<number, Refusal>> = {
  10059: 'gone', // stream not found
  10014: 'gone', // consumer not found
  10037: 'gone', // no message found
  10071: 'conflict', // wrong last sequence: {seq}
  10164: 'conflict', // wrong last sequence
  10058: 'differs', // stream name already in use with a different configuration
  10148: 'differs', // consumer already exists
  10105: 'differs', // consumer name already in use
  10005: 'away', // no suitable peers for placement: too few servers are there now for so many copies
  10006: 'away', // JetStream not in clustered mode: it starts
  10007: 'away', // JetStream cluster not assigned to this server
  10008: 'away', // JetStream system temporarily unavailable
  10009: 'away', // JetStream cluster can not handle request: no leader
  10023: 'away', // insufficient resources
  10028: 'full', // insufficient memory resources available
  10047: 'full', // insufficient storage resources available
  10118: 'away', // stream is offline
  10119: 'away', // consumer is offline
  10158: 'away', // duplicate message id is in process: our own first try, whose fate is not decided yet
  10167: 'away', // too many requests
  10039: 'refused', // JetStream not enabled for account
  10076: 'refused', // JetStream not enabled
}

/** Status of a direct get that found nothing. */
const NO_MESSAGE = 404

export function toJetStreamError(error: ApiError, subject: string): JetStreamError {
  const errCode = error.err_code ?? error.code
  const text = error.description ?? 'no reason given'
  return new JetStreamError(BY_CODE[errCode] ?? byText(error.code, text), errCode, text, subject)
}

function byText(code: number, text: string): Refusal {
  if (/maximum (messages|bytes)|message size exceeds|per subject/i.test(text))
    return /size/i.test(text) ? 'refused' : 'full'
  if (
    /no space|store (is )?closed|no leader|temporarily|unavailable|timeout|not current|stalled|in progress/i.test(text)
  )
    return 'away'
  return code === 503 || code === 504 ? 'away' : 'refused'
}

export class JetStreamApi {
  readonly #replies: Replies
  readonly #prefix: string

  constructor(replies: Replies, domain: string | undefined) {
    this.#replies = replies
    this.#prefix = domain === undefined ? '$JS.API' : `$JS.${domain}.API`
  }

  /** Where a pull request for this consumer goes. */
  nextSubject(stream: string, consumer: string): string {
    return `${this.#prefix}.CONSUMER.MSG.NEXT.${stream}.${consumer}`
  }

  /** Where the last message of a subject can be read by who may read only that subject. May come from a follower. */
  directSubject(stream: string, subject: string): string {
    return `${this.#prefix}.DIRECT.GET.${stream}.${subject}`
  }

  /** Where a key's subject is published: in another JetStream domain, below its API (ADR-8). */
  keySubject(subject: string): string {
    return this.#prefix === '$JS.API' ? subject : `${this.#prefix}.${subject}`
  }

  /** Where messages of a stream are read one after the other, by a body that says which. */
  directStream(stream: string): string {
    return `${this.#prefix}.DIRECT.GET.${stream}`
  }

  /** The last message of a subject, as any copy of the stream answers it. */
  direct(stream: string, subject: string): Promise<Msg> {
    return this.#replies.ask(this.directSubject(stream, subject), undefined, { isOfLeader: false })
  }

  createStream(config: Partial<StreamConfig> & { name: string }): Promise<StreamInfo> {
    return this.call(`STREAM.CREATE.${config.name}`, config)
  }
  updateStream(config: Partial<StreamConfig> & { name: string }): Promise<StreamInfo> {
    return this.call(`STREAM.UPDATE.${config.name}`, config)
  }
  deleteStream(stream: string): Promise<unknown> {
    return this.call(`STREAM.DELETE.${stream}`)
  }
  streamInfo(
    stream: string,
    options?: { subjects_filter?: string; offset?: number },
  ): Promise<StreamInfo & { ts: string }> {
    return this.call(`STREAM.INFO.${stream}`, options)
  }
  putConsumer(stream: string, config: Partial<ConsumerConfig> & { name: string }): Promise<ConsumerInfo> {
    return this.call(`CONSUMER.CREATE.${stream}.${config.name}`, { stream_name: stream, config })
  }
  consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo & { ts: string }> {
    return this.call(`CONSUMER.INFO.${stream}.${consumer}`)
  }
  /** Nothing is delivered until that moment (epoch ms), or again at once where there is none. */
  async pauseConsumer(stream: string, consumer: string, until: number | undefined): Promise<void> {
    const body = until === undefined ? {} : { pause_until: new Date(until).toISOString() }
    await this.call(`CONSUMER.PAUSE.${stream}.${consumer}`, body)
  }
  /** All consumers of a stream. */
  async consumers(stream: string): Promise<ConsumerInfo[]> {
    const found: ConsumerInfo[] = []
    for (;;) {
      const body = { offset: found.length }
      const page = await this.call<{ consumers: ConsumerInfo[] | null; total: number }>(`CONSUMER.LIST.${stream}`, body)
      found.push(...(page.consumers ?? []))
      if ((page.consumers ?? []).length === 0 || found.length >= page.total) return found
    }
  }
  deleteConsumer(stream: string, consumer: string): Promise<unknown> {
    return this.call(`CONSUMER.DELETE.${stream}.${consumer}`)
  }
  /** Removes one exact subject (or with `keep` all but the newest of it). Never call it with a wildcard: see LIMITS, schedules. */
  async purge(stream: string, filter: string): Promise<number> {
    return (await this.call<{ purged: number }>(`STREAM.PURGE.${stream}`, { filter })).purged
  }

  /** Deletes one message; false where it is gone already. */
  async deleteMessage(stream: string, sequence: number): Promise<boolean> {
    try {
      await this.call(`STREAM.MSG.DELETE.${stream}`, { seq: sequence, no_erase: true })
      return true
    } catch (error) {
      // The server says 10057 for a sequence beyond its first or last message, 10043 for one between them.
      if (
        error instanceof JetStreamError &&
        (error.errCode === 10057 || error.errCode === 10043 || error.refusal === 'gone')
      )
        return false
      throw error
    }
  }

  /** The leader's message: the last of a subject, one by its sequence, or the next of a subject from a sequence on. */
  async readMessage(
    stream: string,
    which: { last_by_subj: string } | { seq: number } | { next_by_subj: string; seq: number },
  ): Promise<Stored | undefined> {
    try {
      const { message } = await this.call<{ message: StoredWire }>(`STREAM.MSG.GET.${stream}`, which)
      return storedMessage(stream, message)
    } catch (error) {
      if (error instanceof JetStreamError && error.refusal === 'gone' && error.errCode === 10037) return undefined
      throw error
    }
  }

  /**
   * How many messages of a stream have a subject that matches: a direct get says beside the first one how many come after
   * it. Throws `JetStreamError` `away` where the stream does not exist or allows no direct get: nobody listens there then.
   */
  async count(stream: string, filter: string): Promise<number> {
    const subject = `${this.#prefix}.DIRECT.GET.${stream}`
    const which = Buffer.from(JSON.stringify({ seq: 1, next_by_subj: filter, batch: 1 }))
    const reply = await this.#replies.ask(subject, which, { isOfLeader: false })
    // The last of that name is the server's: a sender may have set another.
    const after = headersOf(reply)
      .entries()
      .findLast(([name]) => name === 'Nats-Num-Pending')
    if (after !== undefined) return Number(after[1]) + 1
    if (reply.headers?.code === NO_MESSAGE) return 0
    throw toJetStreamError(
      { code: reply.headers?.code ?? 500, description: reply.headers?.description ?? 'no count' },
      subject,
    )
  }

  /**
   * How many subjects of a stream match, for who may not read it: listed from beyond their end, so that the answer has their
   * number and none of their names. The server goes through them all for it: 0.3 µs each, five times what `count` takes.
   */
  async countSubjects(stream: string, filter: string): Promise<number> {
    const body = { subjects_filter: filter, offset: Number.MAX_SAFE_INTEGER }
    return (await this.call<{ total?: number }>(`STREAM.INFO.${stream}`, body)).total ?? 0
  }

  /**
   * Any call by its name below `$JS.API`. Throws `JetStreamError`, `UnavailableError` `TIMEOUT`. A cluster that elects a leader
   * says nothing, or that it is not available: then it is asked again for twice the request timeout, all of our calls being
   * safe to repeat. Where nobody listens at all, JetStream is off: that is told at once.
   */
  call<T>(name: string, body?: unknown): Promise<T> {
    const subject = `${this.#prefix}.${name}`
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const repeatUntil = systemClock.monotonic() + 2 * this.#replies.timeoutMs
    return new Promise((resolve, reject) => {
      const request: Request = {
        subject,
        payload,
        repeatUntil,
        everyMs: Math.min(ASK_AGAIN_MS, this.#replies.timeoutMs),
        onReply: (reply) => {
          const answer = readAnswer(reply, subject) as T & { error?: ApiError }
          if (!answer.error) return resolve(answer)
          const error = toJetStreamError(answer.error, subject)
          const isOver = error.refusal !== 'away' || isNoResponders(reply) || systemClock.monotonic() >= repeatUntil
          if (isOver) reject(error)
          else setTimeout(() => this.#replies.request(request), AWAY_PAUSE_MS)
          return error.refusal === 'away' ? 'away' : undefined
        },
        onError: reject,
      }
      this.#replies.request(request)
    })
  }
}

/** Without a word of JetStream's API for so long it is asked again: a server that has just died takes its questions along. */
const ASK_AGAIN_MS = 2_000
const AWAY_PAUSE_MS = 250

interface StoredWire {
  readonly subject: string
  readonly seq: number
  readonly hdrs?: string
  readonly data?: string
  readonly time: string
}

function storedMessage(stream: string, wire: StoredWire): Stored {
  return {
    stream,
    subject: wire.subject,
    sequence: wire.seq,
    headers: wire.hdrs === undefined ? HeaderBlock.none : HeaderBlock.decode(Buffer.from(wire.hdrs, 'base64')),
    data: wire.data === undefined ? new Uint8Array(0) : Buffer.from(wire.data, 'base64'),
    storedAt: Date.parse(wire.time),
  }
}

/** An answer's JSON; nobody there and no JSON are errors in the same form as the server's own. */
export function readAnswer(reply: Msg, subject: string): unknown {
  const { data } = reply
  if (data.length === 0) {
    const code = reply.headers?.code ?? 0
    const description = isNoResponders(reply)
      ? 'nobody answers: is JetStream on, and may this user use it?'
      : 'an empty answer'
    return { error: { code: code || 500, err_code: code, description } satisfies ApiError }
  }
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString())
  } catch {
    return {
      error: { code: 500, err_code: 0, description: `an answer that is no JSON on ${subject}` } satisfies ApiError,
    }
  }
}
