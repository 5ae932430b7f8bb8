/** What the timer reads and writes: a delayed message as sent, as parked, as released, as put into its mailbox. */
import type { Placed } from '../../runtime/broker/delivery.ts'
import { broomTtl, encodeHeaders, H, type HeaderBlock, type HeaderEntry } from '../../runtime/broker/headers.ts'
import { LANES, type Lane, type Subjects } from '../../runtime/broker/subjects.ts'
import { toError, toFailure, type Failure } from '../../runtime/errors.ts'
import { keptHeaders } from '../../runtime/flow/copies.ts'
import { readMessage, unreadableMessage, type Message } from '../../runtime/message.ts'

/**
 * Ready to be put into its mailbox: everything is made before the moment at which it is due. Thousands are held at a time, so it has
 * nothing of the message that can be read again (`messageOf`): what young collections copy costs time at the worst moment.
 */
export interface Due {
  /** Epoch ms by the server's clock. */
  readonly at: number
  readonly id: string
  /** The message's name. */
  readonly name: string
  readonly subject: string
  readonly headers: Uint8Array
  /** For a retry: the sequence of the delivery that it was made from. */
  readonly original: number | undefined
  /** Its place among what was sent to be replaced: the sequence of the `later` message. */
  readonly place: number
  /** Sent with `replace`: when it is due, a later one under its id may have taken its place. */
  readonly isReplaceable: boolean
}

export interface Later {
  readonly due: Due
  readonly message: Message
  readonly lane: Lane
  readonly isReplacing: boolean
  readonly failure?: undefined
}

interface Unreadable {
  readonly message: Message
  readonly failure: Failure
}

/** A message from the `later` queue; without a time it is due now. */
export function readLater(placed: Placed, subjects: Subjects, actor: string, salt: string): Later | Unreadable {
  return reading(placed, subjects, actor, () => {
    const message = readOriginal(placed, subjects, actor)
    const lane = laneOf(placed.headers, message)
    const isReplacing = placed.headers.get(H.replace) === 'true'
    const due = {
      at: message.planned ?? 0,
      id: message.id,
      name: message.name,
      subject: subjects.message(actor, message.name, lane),
      headers: released(placed, message, `at:${placed.sequence}:${salt}`, message.planned),
      original: undefined,
      place: placed.sequence,
      isReplaceable: isReplacing,
    }
    return { due, message, lane, isReplacing }
  })
}

/** A message that the server released, or that is still parked. */
export function readDue(
  placed: Placed,
  subjects: Subjects,
  actor: string,
  salt: string,
): { due: Due; failure?: undefined } | Unreadable {
  return reading(placed, subjects, actor, () => {
    const message = readOriginal(placed, subjects, actor)
    const [stream, sequence] = originOf(placed.headers)
    const isRetry = subjects.parseDue(placed.subject) === 'retry'
    // The original is deleted: only what its own place in the subject says, and only in this actor's mailbox.
    const isOwn = stream === subjects.mailboxStream(actor) && placed.subject === subjects.dueRetry(actor, sequence)
    const due = {
      at: message.planned ?? 0,
      id: message.id,
      name: message.name,
      subject: subjects.message(actor, message.name, laneOf(placed.headers, message)),
      headers: released(
        placed,
        message,
        `${isRetry ? 'retry' : 'at'}:${sequence}:${salt}`,
        // When a retry is due is no plan of its sender's.
        isRetry ? placed.headers.number(H.planned) : message.planned,
      ),
      original: isRetry && isOwn ? sequence : undefined,
      place: sequence,
      isReplaceable: !isRetry && placed.headers.get(H.replace) === 'true',
    }
    return { due }
  })
}

/** The message of something delayed, whatever stage it is at; where it can't be read, what is known of it. */
export function messageOf(placed: Placed, subjects: Subjects, actor: string): Message {
  return reading(placed, subjects, actor, () => ({ message: readOriginal(placed, subjects, actor) })).message
}

/** The headers of a parked copy, without those of its schedule. */
export function parkedHeaders(placed: Placed, { message, lane, isReplacing }: Later): HeaderEntry[] {
  return [
    ...(isReplacing ? [[H.replace, 'true'] as const] : []),
    ...keptHeaders(message),
    [H.id, message.id],
    [H.dedupe, `at:${placed.sequence}`],
    [H.origin, `${placed.stream}:${placed.sequence}`],
    [H.subject, placed.subject],
    [H.sent, String(placed.storedAt)],
    [H.due, String(message.planned ?? 0)],
    [H.lane, lane],
  ]
}

function reading<T>(placed: Placed, subjects: Subjects, actor: string, read: () => T): T | Unreadable {
  try {
    return read()
  } catch (error) {
    return { message: unreadableMessage(placed, subjects, actor), failure: toFailure(toError(error)) }
  }
}

/** Read as its first subject says: the parked copy carries it, since its own subject has no room for it. */
function readOriginal(placed: Placed, subjects: Subjects, actor: string): Message {
  const subject = placed.headers.get(H.subject)
  const isOwn = subjects.parseMailbox(placed.subject) !== undefined
  const first =
    !isOwn && subject !== undefined && subjects.parseMailbox(subject)?.actor === actor ? subject : placed.subject
  return readMessage(first === placed.subject ? placed : at(placed, first), subjects, actor)
}

/** The same message under another subject. Written out, since a delivery's fields are getters. */
function at({ stream, sequence, headers, data, storedAt }: Placed, subject: string): Placed {
  return { subject, stream, sequence, headers, data, storedAt }
}

/** The headers under which it enters its lane. */
function released(placed: Placed, message: Message, key: string, planned: number | undefined): Buffer {
  const carried = [H.attempt, H.error, H.history].flatMap((name): HeaderEntry[] => {
    const value = placed.headers.get(name)
    return value === undefined ? [] : [[name, value]]
  })
  const origin = placed.headers.get(H.origin)
  const headers: HeaderEntry[] = [
    ...keptHeaders(message),
    ...carried,
    [H.id, message.id],
    [H.dedupe, key],
    [H.origin, origin ?? `${placed.stream}:${placed.sequence}`],
    [H.sent, String(message.sentAt)],
  ]
  if (planned !== undefined) headers.push([H.due, String(planned)])
  if (message.expires !== undefined) {
    headers.push([H.ttl, broomTtl(message.expires - Math.max(message.planned ?? 0, placed.storedAt))])
  }
  return encodeHeaders(headers)
}

/** As its sender said for a delayed one; a retry goes back to where it came from. */
function laneOf(headers: HeaderBlock, message: Message): Lane {
  const lane = headers.get(H.lane) ?? message.lane
  return LANES.find((name) => name === lane) ?? 'normal'
}

function originOf(headers: HeaderBlock): [stream: string, sequence: number] {
  const text = headers.get(H.origin) ?? ''
  const colon = text.lastIndexOf(':')
  return [text.slice(0, colon), Number(text.slice(colon + 1))]
}
