/**
 * Message headers: the names that Troupe knows, and a block of headers as it crosses the wire.
 *
 * The client library's own header map costs several microseconds a message: it keeps lists per name and canonical
 * spellings. `HeaderBlock` writes the bytes once and reads names only when asked. Names are matched exactly first, then
 * without regard to case, since other clients spell them as they like.
 */
import { PayloadError, describe } from '../errors.ts'

export const H = {
  id: 'Troupe-Id',
  dedupe: 'Nats-Msg-Id',
  contentType: 'Content-Type',
  attempt: 'Troupe-Attempt',
  origin: 'Troupe-Origin',
  sender: 'Troupe-Sender',
  reply: 'Troupe-Reply',
  keep: 'Troupe-Keep',
  due: 'Troupe-Due',
  /** Instead of it: due so long after it was stored. */
  delay: 'Troupe-Delay',
  /** On a parked retry: the due time of the message itself. */
  planned: 'Troupe-Planned',
  lane: 'Troupe-Lane',
  replace: 'Troupe-Replace',
  expires: 'Troupe-Expires',
  deadline: 'Troupe-Deadline',
  retry: 'Troupe-Retry',
  root: 'Troupe-Root',
  parent: 'Troupe-Parent',
  schedule: 'Troupe-Schedule',
  /** Beside `Troupe-Schedule`: what only the actor's own timers can make, so that nobody else can claim an occurrence. */
  proof: 'Troupe-Proof',
  /** On a notice that a schedule is to run after a message: the schedule, and which message ended how. */
  after: 'Troupe-After',
  cause: 'Troupe-Cause',
  error: 'Troupe-Error',
  status: 'Troupe-Status',
  /** On copies: the errors of earlier attempts, as a bounded JSON array. */
  history: 'Troupe-History',
  /** On copies: when the message was first stored, epoch ms. */
  sent: 'Troupe-Sent',
  /** On dead letters. */
  reason: 'Troupe-Reason',
  worker: 'Troupe-Worker',
  subject: 'Troupe-Subject',
  detail: 'Troupe-Detail',
  tail: 'Troupe-Tail',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  ttl: 'Nats-TTL',
  schedulePattern: 'Nats-Schedule',
  scheduleTarget: 'Nats-Schedule-Target',
  /** On records in a bucket that were deleted (ADR-8). */
  kvOperation: 'KV-Operation',
  expectedLastSubjectSequence: 'Nats-Expected-Last-Subject-Sequence',
} as const

/** One header as sent. A name may occur more than once. */
export type HeaderEntry = readonly [name: string, value: string]

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/
const START = 'NATS/1.0\r\n'

/** Throws `PayloadError` `INVALID_HEADER` for a name or value that would end its line or that NATS can't carry. */
export function checkHeader(name: string, value: unknown): HeaderEntry {
  if (!NAME.test(name)) {
    throw new PayloadError(
      'INVALID_HEADER',
      `expected a header's name to be letters, digits and "-", got: ${describe(name)}`,
    )
  }
  if (typeof value !== 'string' || /[\r\n\0]/.test(value)) {
    throw new PayloadError('INVALID_HEADER', `expected header ${name} to be text on one line, got: ${describe(value)}`)
  }
  return [name, value]
}

/**
 * Any text as a header's value: line breaks and control characters become spaces, and it ends at `limit` characters. The mark of
 * the cut is ASCII, which every client reads as text.
 */
export function headerText(text: string, limit = 512): string {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must go
  const line = text.replaceAll(/[\u0000-\u001F\u007F]+/g, ' ').trim()
  return line.length > limit ? `${line.slice(0, Math.max(0, limit - 3))}...`.slice(0, limit) : line
}

/** A day: the server's broom comes after everything that decides by the clock has decided. */
const BROOM_S = 86_400
/** The server refuses what its 64 bits of nanoseconds can't hold, 292 years. */
const LONGEST_TTL_S = 3_155_760_000

/** `Nats-TTL` of a message that expires `ms` from now. */
export function broomTtl(ms: number): string {
  return `${Math.min(LONGEST_TTL_S, Math.max(1, Math.ceil(ms / 1000)) + BROOM_S)}s`
}

/** The bytes of a block of headers. Values were checked, or come from `headerText`. */
export function encodeHeaders(entries: readonly HeaderEntry[]): Buffer {
  let text = START
  for (const [name, value] of entries) text += `${name}: ${value}\r\n`
  return Buffer.from(`${text}\r\n`)
}

/** The same bytes as a Buffer; what comes from a socket is one already. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A received block of headers, read when asked. */
export class HeaderBlock {
  /** Undefined: not read yet. */
  #entries: readonly HeaderEntry[] | undefined
  readonly #text: string

  constructor(entries: readonly HeaderEntry[] | undefined, text = '') {
    this.#entries = entries
    this.#text = text
  }

  static readonly none = new HeaderBlock([])

  /** Takes the bytes of a block. Lines that are no headers are left out, never an error: a worker must not fail on them. */
  static decode(bytes: Uint8Array, length = bytes.length): HeaderBlock {
    return new HeaderBlock(undefined, asBuffer(bytes).toString('utf8', 0, length))
  }

  /** The value of the one header that a plain message has, where there is no other. Spares the list. */
  get onlyDedupe(): string | undefined {
    const text = this.#text
    return text.startsWith(PLAIN) && text.indexOf('\r\n', PLAIN.length) === text.length - 4
      ? text.slice(PLAIN.length, -4)
      : undefined
  }

  get(name: string): string | undefined {
    const entries = this.entries()
    for (const entry of entries) if (entry[0] === name) return entry[1]
    if (entries.length === 0) return undefined
    const lower = name.toLowerCase()
    for (const entry of entries)
      if (entry[0].length === lower.length && entry[0].toLowerCase() === lower) return entry[1]
    return undefined
  }

  /** A whole number from 0, or undefined where the header is absent or anything else. */
  number(name: string): number | undefined {
    const value = this.get(name)
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined
  }

  /** The same with these in place of any of their names. */
  with(entries: readonly HeaderEntry[]): HeaderBlock {
    const names = new Set(entries.map(([name]) => name.toLowerCase()))
    return new HeaderBlock([...this.entries().filter(([name]) => !names.has(name.toLowerCase())), ...entries])
  }

  entries(): readonly HeaderEntry[] {
    return (this.#entries ??= parse(this.#text))
  }

  /** As a plain object for handlers; the last of several values wins. Made without a prototype: a name may be `__proto__`. */
  toObject(): Record<string, string> {
    const object: Record<string, string> = Object.create(null)
    for (const [name, value] of this.entries()) object[name] = value
    return object
  }
}

const PLAIN = `${START}${H.dedupe}: `

function parse(text: string): HeaderEntry[] {
  const entries: HeaderEntry[] = []
  let at = text.indexOf('\r\n') + 2
  while (at > 1 && at < text.length) {
    const end = text.indexOf('\r\n', at)
    if (end <= at) break
    const colon = text.indexOf(':', at)
    if (colon > at && colon < end) entries.push([text.slice(at, colon), text.slice(colon + 1, end).trim()])
    at = end + 2
  }
  return entries
}
