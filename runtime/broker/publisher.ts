/**
 * Publishing into streams with JetStream's ack, many in flight on one inbox (replies.ts).
 *
 * What may go wrong, and why it is safe:
 * 1. The ack does not come (server killed, connection cut): published again under the same dedupe key, while the window
 *    surely holds (80 % of it, from the first publish). Later than that the outcome is unknown, and says so.
 * 2. Nobody answers (503: no leader yet, server starting, or no such stream): tried again with a pause for the patience of
 *    the caller, then `JetStreamError` `away`. Who knows how to create the stream does so (mailboxes).
 * 3. An answer that is no ack of the expected stream: somebody else listens on the subject and answers. It is left aside and
 *    the server's own is waited for.
 */
import type { Msg } from '@nats-io/transport-node'

import { UnavailableError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { JetStreamError, readAnswer, toJetStreamError } from './api.ts'
import type { Connection } from './connection.ts'
import { tooLarge } from './problems.ts'
import type { Replies, Request } from './replies.ts'

/** JetStream's ack of one message. */
export interface Published {
  readonly sequence: number
  /** The dedupe key was known: the message that was stored first stands. */
  readonly duplicate: boolean
  /** It was published more than once, so a duplicate may be of our own first try. */
  readonly repeated: boolean
}

export interface Publication {
  readonly subject: string
  readonly payload: Uint8Array | undefined
  readonly headers: Uint8Array | undefined
  /** The stream that must acknowledge it. */
  readonly stream: string
  /** How long it is safe to repeat, from now: ms. 80 % of the dedupe window where a key is set, 0 without one. */
  readonly repeatMs: number
  /** How long to try again while nobody answers for the stream: ms. Default `repeatMs`. */
  readonly awayMs?: number
}

/** Between two tries at a stream that is away. */
const AWAY_PAUSE_MS = 100

export class Publisher {
  readonly #connection: Connection
  readonly #replies: Replies
  readonly #heardOf = new Set<string>()

  constructor(connection: Connection, replies: Replies) {
    this.#connection = connection
    this.#replies = replies
  }

  /** Largest message, headers included: bytes. */
  get maxPayload(): number {
    return this.#connection.maxPayload
  }

  /** Whether this stream has acknowledged anything of ours. */
  hasHeardOf(stream: string): boolean {
    return this.#heardOf.has(stream)
  }

  /** Stores a message. Throws `JetStreamError`, `PayloadError` `TOO_LARGE`, or `UnavailableError` `OUTCOME_UNKNOWN` where no ack came in time. */
  publish(publication: Publication): Promise<Published> {
    return new Promise((resolve, reject) => this.store(publication, resolve, reject))
  }

  /** The same with callbacks: no promise on the way, for those who send thousands. */
  store(publication: Publication, onStored: (ack: Published) => void, onError: (error: Error) => void): void {
    const { subject, payload, headers, stream } = publication
    const size = (payload?.length ?? 0) + (headers?.length ?? 0)
    if (size > this.maxPayload) return onError(tooLarge(subject, size, this.maxPayload))
    const now = this.#replies.roughNow
    const repeatUntil = now + publication.repeatMs
    const awayUntil = now + (publication.awayMs ?? publication.repeatMs)
    let before = 0
    const again = (error: JetStreamError, tries: number): void => {
      before += tries
      if (error.refusal !== 'away' || systemClock.monotonic() >= awayUntil) return onError(error)
      setTimeout(() => this.#replies.request(request), AWAY_PAUSE_MS)
    }
    const request = {
      subject,
      payload,
      headers,
      repeatUntil,
      onReply: (reply: Msg, tries: number): ReturnType<Request['onReply']> => {
        const ack = readAck(reply, stream, subject, before + tries)
        if (ack === undefined) return false
        if (ack instanceof JetStreamError) {
          again(ack, tries)
          return ack.refusal === 'away' ? 'away' : undefined
        }
        this.#heardOf.add(stream)
        onStored(ack)
      },
      onError: (error: Error) => onError(isTimeout(error) ? outcomeUnknown(subject, error) : error),
    }
    this.#replies.request(request)
  }

  /** Publishes without an ack and without being kept: events, outcomes to live senders. Lost while disconnected, and where it is too large. */
  tell(subject: string, payload: Uint8Array | undefined, headers?: Uint8Array): void {
    if ((payload?.length ?? 0) + (headers?.length ?? 0) > this.maxPayload) return
    if (this.#connection.connected && !this.#connection.closed) this.#connection.publish(subject, payload, headers)
  }
}

/** The ack, the server's refusal, or undefined for an answer that is neither: not from this stream. */
function readAck(reply: Msg, stream: string, subject: string, tries: number): Published | JetStreamError | undefined {
  const answer = readAnswer(reply, subject) as {
    stream?: unknown
    seq?: unknown
    duplicate?: unknown
    error?: { code: number; err_code?: number }
  }
  if (typeof answer !== 'object' || answer === null) return undefined
  if (answer.error) return answer.error.err_code === 0 ? undefined : toJetStreamError(answer.error, subject)
  if (answer.stream !== stream || typeof answer.seq !== 'number') return undefined
  return { sequence: answer.seq, duplicate: answer.duplicate === true, repeated: tries > 1 }
}

function isTimeout(error: Error): boolean {
  return error instanceof UnavailableError && error.code === 'TIMEOUT'
}

function outcomeUnknown(subject: string, cause: Error): UnavailableError {
  const text = `expected NATS to acknowledge the message on ${subject}, but no answer came: it may be stored or not. Send it again with the same id.`
  return new UnavailableError('OUTCOME_UNKNOWN', text, { cause, data: { subject } })
}
