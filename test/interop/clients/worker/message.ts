/** A delivery and what its headers say: PROTOCOL.md, "Reading a message". Pure. */
import type { Headers } from '../../scenario/client.ts'
import type { Received } from '../wire.ts'

/** Where a delivery comes from: its reply subject. */
export interface Place {
  readonly stream: string
  readonly consumer: string
  /** How often it has been delivered, this time included. */
  readonly count: number
  readonly sequence: number
  /** When it was stored, epoch ms by the server's clock. */
  readonly storedAt: number
}

/** `$JS.ACK.<stream>.<consumer>.<count>.<sequence>.<consumer sequence>.<time>.<pending>`, or with domain and account before the stream. */
export function placeOf(ackSubject: string): Place {
  const tokens = ackSubject.split('.')
  const [stream = '', consumer = '', count, sequence, , time = ''] = tokens.slice(tokens.length >= 11 ? 4 : 2)
  return {
    stream,
    consumer,
    count: Number(count),
    sequence: Number(sequence),
    storedAt: Number(time.slice(0, -6)),
  }
}

export interface Delivery extends Place {
  readonly subject: string
  readonly ackSubject: string
  readonly headers: Headers
  readonly body: Uint8Array
}

export function deliveryOf({ subject, reply = '', headers, body }: Received): Delivery {
  return { ...placeOf(reply), subject, ackSubject: reply, headers, body }
}

export interface Message {
  readonly id: string
  readonly actor: string
  readonly name: string
  readonly attempt: number
  readonly contentType: string | undefined
  readonly sender: string
  readonly reply: string | undefined
  readonly keepMs: number | undefined
  readonly expires: number | undefined
  readonly deadline: number | undefined
  readonly due: number | undefined
  readonly sentAt: number
  readonly root: string
  readonly headers: Headers
}

/** What the sender has to be told is wrong: the message becomes a dead letter, `invalid`. */
export class InvalidMessage extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'PayloadError'
    this.code = code
  }
}

export function readMessage(delivery: Delivery, namespace: string): Message {
  const [, , actor = '', ...rest] = delivery.subject.split('.')
  const get = reader(delivery.headers)
  const id = get('Troupe-Id') || get('Nats-Msg-Id') || originOf(delivery)
  if (Buffer.byteLength(id) > 200) throw new InvalidMessage('INVALID_ID', 'expected an id of at most 200 bytes')
  return {
    id,
    actor,
    name: rest.join('.'),
    attempt: whole(get, 'Troupe-Attempt', 1) ?? 1,
    contentType: get('Content-Type'),
    sender: get('Troupe-Sender')?.slice(0, 200) || 'any',
    reply: replySubject(get('Troupe-Reply'), namespace),
    keepMs: durationMs(get('Troupe-Keep') ?? ''),
    expires: whole(get, 'Troupe-Expires', 0),
    deadline: whole(get, 'Troupe-Deadline', 0),
    due: whole(get, 'Troupe-Due', 0, LATEST_DUE) ?? dueAfter(get, delivery),
    sentAt: Number(/^\d{1,15}$/.exec(get('Troupe-Sent') ?? '')?.[0] ?? delivery.storedAt),
    root: get('Troupe-Root') ?? id,
    headers: delivery.headers,
  }
}

/** What is known of a message whose headers make no sense: enough to bury it. */
export function unreadable(delivery: Delivery, namespace: string): Message {
  const [, , actor = '', ...rest] = delivery.subject.split('.')
  return {
    id: originOf(delivery),
    actor,
    name: rest.join('.'),
    attempt: 1,
    contentType: undefined,
    sender: 'any',
    reply: replySubject(reader(delivery.headers)('Troupe-Reply'), namespace),
    keepMs: undefined,
    expires: undefined,
    deadline: undefined,
    due: undefined,
    sentAt: delivery.storedAt,
    root: originOf(delivery),
    headers: delivery.headers,
  }
}

export function originOf({ stream, sequence }: { stream: string; sequence: number }): string {
  return `${stream}:${sequence}`
}

/** On `later`: a delay that counts from when the server has stored the message. */
function dueAfter(get: Get, { subject, storedAt }: Delivery): number | undefined {
  const delay = get('Troupe-Delay')
  if (delay === undefined) return undefined
  const ms = durationMs(delay)
  if (ms === undefined) throw new InvalidMessage('INVALID_HEADER', 'expected header Troupe-Delay to be a duration')
  return subject.split('.')[1] === 'later' ? Math.ceil(storedAt + ms) : undefined
}

type Get = (name: string) => string | undefined

/** Exact first, then in any case: clients spell names as they like. */
function reader(headers: Headers): Get {
  const lower = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  return (name) => headers[name] ?? lower.get(name.toLowerCase())
}

/** The end of the year 9999: the last moment that a schedule can name. */
const LATEST_DUE = 253_402_300_799_999

function whole(get: Get, name: string, least: number, most = 999_999_999_999_999): number | undefined {
  const value = get(name)
  if (value === undefined) return undefined
  if (/^\d{1,15}$/.test(value) && Number(value) >= least && Number(value) <= most) return Number(value)
  throw new InvalidMessage('INVALID_HEADER', `expected header ${name} to be a whole number from ${least}`)
}

/** Only below `<namespace>.reply.`, two literal tokens or more: nobody makes a worker publish elsewhere. */
export function replySubject(subject: string | undefined, namespace: string): string | undefined {
  const prefix = `${namespace}.reply.`
  if (subject === undefined || subject.length > 1024 || !subject.startsWith(prefix)) return undefined
  const tokens = subject.slice(prefix.length).split('.')
  // oxlint-disable-next-line no-control-regex -- control characters must not stand in a subject
  const isLiteral = tokens.every((token) => /^[^\s*>\u0000-\u001F\u007F]+$/.test(token))
  return tokens.length >= 2 && isLiteral ? subject : undefined
}

const UNITS: [string, number][] = [
  ['w', 604_800_000], ['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1_000], ['ms', 1],
] // prettier-ignore
const DURATION = new RegExp(`^${UNITS.map(([unit]) => String.raw`(?:(\d+(?:\.\d+)?)${unit})?`).join('')}$`)
const HUNDRED_YEARS = 36_525 * 86_400_000

/** `1h30m` in milliseconds; undefined for what is no duration. */
export function durationMs(text: string): number | undefined {
  const match = text === '' || text.length > 100 ? null : DURATION.exec(text)
  if (match === null) return undefined
  const ms = Math.round(UNITS.reduce((sum, [, unit], index) => sum + Number(match[index + 1] ?? 0) * unit, 0))
  return ms <= HUNDRED_YEARS ? ms : undefined
}
