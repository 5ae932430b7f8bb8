/** The copies that a worker and a timer make of a message: PROTOCOL.md, "Copies". Pure: the vectors in vectors/copies.json run on this. */
import type { Headers } from '../../scenario/client.ts'
import { encodeToken } from '../verbs.ts'
import { originOf, type Delivery, type Message } from './message.ts'

export interface Failure {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly attempts?: number
}

export interface Copy {
  readonly subject: string
  readonly headers: Headers
}

/** A copy makes these itself; the original's are dropped, and all that begin with `Nats-`. */
const OWN = new Set([
  'troupe-id', 'troupe-attempt', 'troupe-origin', 'troupe-due', 'troupe-delay', 'troupe-planned', 'troupe-lane', 'troupe-error',
  'troupe-history', 'troupe-sent', 'troupe-replace', 'troupe-subject', 'troupe-reason', 'troupe-worker',
  'troupe-detail', 'troupe-tail',
]) // prettier-ignore

export function keptHeaders(headers: Headers): Headers {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !/^nats-/i.test(name) && !OWN.has(name.toLowerCase())),
  )
}

/** One line of text within a limit, its cut marked in ASCII. */
export function oneLine(text: string, limit = 512): string {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must go
  const line = text.replaceAll(/[\u0000-\u001F\u007F]+/g, ' ').trim()
  return line.length > limit ? `${line.slice(0, limit - 3)}...` : line
}

function provenance(message: Message, delivery: Delivery): Headers {
  return {
    'Troupe-Id': oneLine(message.id),
    'Troupe-Origin': originOf(delivery),
    'Troupe-Subject': delivery.subject,
    'Troupe-Sent': String(message.sentAt),
  }
}

const errorLine = ({ name, message }: Failure): string => oneLine(`${name}: ${message}`)

/** JSON on one line, in ASCII. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007F-\uFFFF]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

interface Past {
  readonly attempt: number
  readonly at: string
  readonly error: string
}

/** The errors of earlier attempts, at most ten. */
export function historyOf({ headers }: Message): Past[] {
  try {
    const list: unknown = JSON.parse(headers['Troupe-History'] ?? '[]')
    return Array.isArray(list) ? (list as Past[]).slice(-10) : []
  } catch {
    return []
  }
}

const EARLY_MS = 500
/** What is due sooner is not parked with a schedule. */
export const HOLD_MS = 600

/** Schedule headers: the server releases half a second before it is due. */
export function schedule(dueAt: number, target: string): Headers {
  return { 'Nats-Schedule': `@at ${new Date(dueAt - EARLY_MS).toISOString()}`, 'Nats-Schedule-Target': target }
}

export interface Again {
  readonly afterMs: number
  /** Epoch ms by the server's clock. */
  readonly now: number
  /** Absent: a snooze, which counts no attempt. */
  readonly failure?: Failure | undefined
  /** Without the headers of its sender and its history: where all of them don't fit. */
  readonly brief?: boolean
}

/** A retry or a snooze, parked under its id and the sequence of its delivery. */
export function parkedCopy(
  message: Message,
  delivery: Delivery,
  namespace: string,
  { afterMs, now, failure, brief = false }: Again,
): Copy {
  const { actor, attempt } = message
  const { sequence } = delivery
  const dueAt = Math.round(now + afterMs)
  const due = `${namespace}.timer.due.${actor}.retry.${sequence}`
  const isHeld = afterMs <= HOLD_MS
  const at = new Date(now).toISOString()
  const history =
    failure === undefined ? historyOf(message) : [...historyOf(message), { attempt, at, error: errorLine(failure) }]
  return {
    subject: isHeld ? due : `${namespace}.timer.retry.${actor}.${encodeToken(message.id)}.${sequence}`,
    headers: {
      ...(brief ? contentType(message) : keptHeaders(message.headers)),
      ...provenance(message, delivery),
      'Nats-Msg-Id': `${failure ? 'retry' : 'snooze'}:${sequence}`,
      'Troupe-Attempt': String(failure ? attempt + 1 : attempt),
      'Troupe-Due': String(dueAt),
      ...(message.due === undefined ? {} : { 'Troupe-Planned': String(message.due) }),
      ...(failure === undefined ? {} : { 'Troupe-Error': errorLine(failure) }),
      ...(history.length === 0 || brief ? {} : { 'Troupe-History': asciiJson(history.slice(-10)) }),
      ...(isHeld ? {} : schedule(dueAt, due)),
    },
  }
}

export interface Death {
  readonly reason: string
  readonly failure: Failure
  readonly stack?: string | undefined
  readonly worker: string
}

/** A dead letter. Its body is the message's, as it came. */
export function deadLetter(message: Message, delivery: Delivery, namespace: string, death: Death, brief = false): Copy {
  const { reason, failure, stack, worker } = death
  const detail = {
    failure,
    ...(stack === undefined ? {} : { stack: stack.slice(0, 4_000) }),
    history: historyOf(message),
  }
  return {
    subject: `${namespace}.dead.${message.actor}.${encodeToken(message.name)}.${encodeToken(message.id)}`,
    headers: {
      ...(brief ? contentType(message) : keptHeaders(message.headers)),
      ...provenance(message, delivery),
      'Nats-Msg-Id': `dead:${message.actor}:${delivery.sequence}`,
      'Troupe-Reason': reason,
      'Troupe-Error': oneLine(`${failure.name}: ${failure.message}`, brief ? 128 : 512),
      'Troupe-Attempt': String(message.attempt),
      'Troupe-Worker': oneLine(worker),
      ...(brief ? {} : { 'Troupe-Detail': asciiJson(detail) }),
    },
  }
}

/** Without it a body could not be read again. */
function contentType({ contentType: type }: Message): Headers {
  return type === undefined ? {} : { 'Content-Type': type }
}

/** Bytes of a block of headers. */
export function blockSize(headers: Headers): number {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.byteLength(`NATS/1.0\r\n${lines.join('')}\r\n`)
}

/** The first of the copies that the server takes with that body. */
export function fitting(body: Uint8Array, maxPayload: number, copies: readonly Copy[]): Copy | undefined {
  return copies.find(({ headers }) => blockSize(headers) + body.length <= maxPayload)
}

export interface Letter {
  readonly letter: Copy
  readonly body: Uint8Array
  /** The end of the body, to be stored first; the letter then names its sequence in `Troupe-Tail`. */
  readonly tail: (Copy & { readonly body: Uint8Array }) | undefined
}

/** Room for the header that names the tail. */
const TAIL_RESERVE = 64

/** A letter that fits: all headers; else few; else few, and the body in two parts. */
export function letterOf(
  message: Message,
  delivery: Delivery,
  namespace: string,
  death: Death,
  maxPayload: number,
): Letter {
  const { body } = delivery
  const letters = [false, true].map((brief) => deadLetter(message, delivery, namespace, death, brief))
  const whole = fitting(body, maxPayload, letters)
  if (whole !== undefined) return { letter: whole, body, tail: undefined }
  const letter = letters[1] as Copy
  const cut = Math.max(0, maxPayload - blockSize(letter.headers) - TAIL_RESERVE)
  const headers = { 'Nats-Msg-Id': `${letter.headers['Nats-Msg-Id']}:tail` }
  return {
    letter,
    body: body.subarray(0, cut),
    tail: { subject: `${letter.subject}.tail`, headers, body: body.subarray(cut) },
  }
}

/** An outcome as it is told. */
export function outcomeHeaders(message: Message, delivery: Delivery, status: string, contentType: string): Headers {
  return {
    'Troupe-Status': status,
    'Troupe-Id': oneLine(message.id),
    'Troupe-Origin': originOf(delivery),
    'Content-Type': contentType,
  }
}

/** The same, as it is kept. */
export function keptOutcome(message: Message, delivery: Delivery, namespace: string, told: Headers): Copy {
  const seconds = Math.max(1, Math.ceil((message.keepMs ?? 0) / 1_000))
  return {
    subject: `${namespace}.result.${message.actor}.${encodeToken(message.sender)}.${encodeToken(message.id)}`,
    headers: { ...told, 'Nats-TTL': `${seconds}s`, 'Nats-Msg-Id': `result:${originOf(delivery)}` },
  }
}

/** A delayed message, as a timer parks it: its slot is `subject`, free or not. */
export function parkedLater(message: Message, delivery: Delivery, namespace: string): Copy {
  const [name, id] = [encodeToken(message.name), encodeToken(message.id)]
  const due = message.due ?? 0
  const lane = message.headers['Troupe-Lane'] ?? 'normal'
  return {
    subject: `${namespace}.timer.at.${message.actor}.${name}.${id}`,
    headers: {
      ...(message.headers['Troupe-Replace'] === 'true' ? { 'Troupe-Replace': 'true' } : {}),
      ...keptHeaders(message.headers),
      ...provenance(message, delivery),
      // What is cancelled is what was stored before: by the server's word, whatever the sender wrote.
      'Troupe-Sent': String(delivery.storedAt),
      'Nats-Msg-Id': `at:${delivery.sequence}`,
      'Troupe-Due': String(due),
      'Troupe-Lane': ['high', 'normal', 'low'].includes(lane) ? lane : 'normal',
      ...schedule(due, `${namespace}.timer.due.${message.actor}.at.${name}.${id}`),
    },
  }
}
