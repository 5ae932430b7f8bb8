/**
 * Putting a message into its mailbox, and what to do where nobody takes it.
 *
 * 1. No such stream (503, or silence where somebody else listens on the subject): made now where the definition is known;
 *    else the typed error says which actors there are.
 * 2. Full, refused, no rights: the typed error says who must act (refusals.ts).
 * Repeats go under the same key, so none of this can store a message twice.
 */
import type { ActorSpec } from '../actor.ts'
import { JetStreamError } from '../broker/api.ts'
import { SAFE_SHARE_OF_WINDOW } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { Publication, Published } from '../broker/publisher.ts'
import { BrokerError, PayloadError, UnavailableError, toError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { explainRefusal } from './refusals.ts'

/** Where a message goes: a reference without the types of its payload and result. */
export interface Target {
  readonly actor: string
  readonly message: string
  readonly spec: ActorSpec | undefined
}

/** Copies add headers to a message: so much of the server's limit is kept free (DESIGN section 5). */
const COPY_RESERVE = 16_384
/** While a mailbox has no leader, its server starts, or we find our way to a server that is not cut off: well beyond an election. */
export const AWAY_MS = 30_000
/** Between two looks at whether the mailbox is there at all. */
const LOOK_AGAIN_MS = 2_000

/** Stores bytes in a mailbox. */
export function storeMessage(
  broker: Broker,
  ref: Target,
  bytes: { subject: string; payload: Uint8Array; headers: Uint8Array },
): Promise<Published> {
  const { subject, payload, headers } = bytes
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
  const from = systemClock.monotonic()
  const left = (): Publication => ({
    ...publication,
    repeatMs: Math.max(0, publication.repeatMs - (systemClock.monotonic() - from)),
  })
  return new Promise((resolve, reject) => {
    broker.publisher.store(first, resolve, (error) => {
      if (isNew && isUnanswered(error)) return void afterSilence(broker, ref, left, error).then(resolve, reject)
      if (!(error instanceof JetStreamError)) return reject(error)
      again(broker, ref, left, error).then(resolve, reject)
    })
  })
}

/** Stores a cancel; where nobody takes it, the streams that all share may not have been made yet. */
export async function storeCancel(broker: Broker, publication: Omit<Publication, 'awayMs'>): Promise<void> {
  try {
    await broker.publisher.publish({ ...publication, awayMs: 0 })
  } catch (error) {
    if (!isAway(error)) throw error
    await broker.assets.shared().catch((problem: unknown) => {
      if (!isAway(problem) && !isForbidden(problem)) throw problem
    })
    await broker.publisher.publish({ ...publication, awayMs: AWAY_MS })
  }
}

/** No answer: the mailbox may be missing, or only slow. The same key makes a repeat safe while its window holds (`left`). */
async function afterSilence(broker: Broker, ref: Target, left: () => Publication, silence: Error): Promise<Published> {
  const problem = await broker.api.streamInfo(left().stream).then(
    () => undefined,
    (error: unknown) => toError(error),
  )
  const isGone = problem instanceof JetStreamError && problem.refusal === 'gone'
  if (isGone && ref.spec === undefined) throw await explainRefusal(broker, ref, problem)
  if (isGone && ref.spec !== undefined) {
    await broker.assets.mailboxAgain(ref.spec, false)
  } else if (left().repeatMs === 0) {
    throw silence
  }
  return broker.publisher.publish(left())
}

/**
 * Nobody took it: there is no such mailbox, which is made now where its definition is known, or it has no leader at the moment.
 * In the midst of an election the look itself has no answer, so both are tried in turns while the patience lasts.
 */
async function again(broker: Broker, ref: Target, left: () => Publication, error: JetStreamError): Promise<Published> {
  const from = systemClock.monotonic()
  let mayLook = true
  try {
    if (error.refusal !== 'away') throw error
    for (;;) {
      mayLook = mayLook && (await lookAt(broker, ref, left().stream))
      // Who may not look has to guess; on a single server a stream that is there has its leader.
      const patienceMs = mayLook || broker.connection.isClustered ? AWAY_MS : LOOK_AGAIN_MS
      const restMs = Math.max(0, from + patienceMs - systemClock.monotonic())
      const isLast = restMs <= LOOK_AGAIN_MS
      try {
        return await broker.publisher.publish({ ...left(), awayMs: isLast ? restMs : LOOK_AGAIN_MS })
      } catch (cause) {
        if (isLast || !isAway(cause)) throw cause
      }
    }
  } catch (cause) {
    throw await explainRefusal(broker, ref, cause, mayLook)
  }
}

/** Makes the mailbox, or sees whether it is there; false where this user may do neither. */
async function lookAt(broker: Broker, { spec }: Target, stream: string): Promise<boolean> {
  try {
    if (spec !== undefined) await broker.assets.mailboxAgain(spec, broker.publisher.hasHeardOf(stream))
    else await broker.api.streamInfo(stream)
  } catch (cause) {
    if (isForbidden(cause)) return false
    if (!isAway(cause)) throw cause
  }
  return true
}

function isForbidden(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'FORBIDDEN'
}

/** No leader, or no word: it may be another in a moment. */
function isAway(error: unknown): boolean {
  if (error instanceof JetStreamError) return error.refusal === 'away'
  return error instanceof UnavailableError && error.code === 'TIMEOUT'
}

function isUnanswered(error: Error): boolean {
  return error instanceof UnavailableError && error.code === 'OUTCOME_UNKNOWN'
}

function tooLarge(ref: Target, size: number, limit: number): PayloadError {
  const text = `expected ${ref.actor}.${ref.message} to have at most ${limit} bytes with its headers, got: ${size}. Store the data elsewhere and send where it is, or raise max_payload on the server.`
  return new PayloadError('TOO_LARGE', text, { data: { size, limit } })
}
