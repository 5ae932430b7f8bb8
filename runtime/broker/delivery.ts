/**
 * One hand-over of a stored message to this process, read from what the server sent.
 *
 * The place of a delivery stands in its ack subject (ADR-15): `$JS.ACK.<stream>.<consumer>.<count>.<stream seq>.
 * <consumer seq>.<time>.<pending>`, and in the longer form with domain and account before the stream. It is parsed by hand:
 * this runs once per message.
 */
import type { Msg } from '@nats-io/transport-node'

import { HeaderBlock } from './headers.ts'

/** A message with its place in a stream: a delivery, or one that was read. */
export interface Placed {
  readonly subject: string
  readonly stream: string
  readonly sequence: number
  readonly headers: HeaderBlock
  readonly data: Uint8Array
  /** When it was stored, epoch ms by the server's clock. */
  readonly storedAt: number
}

export class Delivery implements Placed {
  readonly #msg: Msg
  /** Length of the ack subject up to the delivery count. */
  readonly #prefixLength: number
  #headers: HeaderBlock | undefined
  readonly subject: string
  /** The subject that acks it. */
  readonly ackSubject: string
  /** Its place in the stream. */
  readonly sequence: number
  /** How often it has been delivered, this time included. */
  readonly count: number
  /** Its place among the consumer's deliveries. */
  readonly consumerSequence: number
  /** Messages that wait behind it for the same consumer. */
  readonly pending: number
  /** When it was stored, epoch ms by the server's clock. */
  readonly storedAt: number
  /** Whether more waits behind it for the same consumer. */
  readonly hasMore: boolean
  /** Monotonic ms since when the lease surely counts. */
  readonly leasedAt: number

  constructor(msg: Msg, leasedAt: number) {
    const ackSubject = msg.reply ?? ''
    const first = findDots(ackSubject)
    const field = (number: number): number =>
      digits(ackSubject, (places[first + number] ?? 0) + 1, places[first + number + 1] ?? 0)
    this.#msg = msg
    this.#prefixLength = places[first] ?? 0
    this.subject = msg.subject
    this.ackSubject = ackSubject
    this.count = field(0)
    this.sequence = field(1)
    this.consumerSequence = field(2)
    this.pending = field(4)
    // Nanoseconds are beyond what a number holds: the last six digits are left out.
    this.storedAt = digits(ackSubject, (places[first + 3] ?? 0) + 1, (places[first + 4] ?? 0) - 6)
    // A number without leading zeros: its first digit says whether it is none.
    this.hasMore = ackSubject.charCodeAt((places[first + 4] ?? 0) + 1) !== ZERO
    this.leasedAt = leasedAt
  }

  get stream(): string {
    return streamOf(this.ackPrefix)
  }

  /** The ack subject up to the delivery count: one for all deliveries of a consumer. */
  get ackPrefix(): string {
    return this.ackSubject.slice(0, this.#prefixLength)
  }

  /** `<stream>:<sequence>`: what copies name as their origin. */
  get origin(): string {
    return `${this.stream}:${this.sequence}`
  }

  get data(): Uint8Array {
    return this.#msg.data
  }

  /** Bytes that hold the body from `bodyAt` on: a view of the body alone costs more than reading it. */
  get bytes(): Uint8Array {
    return innards(this.#msg).bytes ?? this.#msg.data
  }
  get bodyAt(): number {
    const { bytes, headerBytes } = innards(this.#msg)
    return bytes === undefined ? 0 : Math.max(0, headerBytes)
  }

  get headers(): HeaderBlock {
    return (this.#headers ??= headersOf(this.#msg))
  }

  /** What it says, read now; nothing of that stays here, for those who hold thousands of deliveries. */
  read(): Placed {
    const { subject, stream, sequence, storedAt } = this
    const msg = this.#msg
    return {
      subject,
      stream,
      sequence,
      storedAt,
      headers: headersOf(msg),
      get data() {
        return msg.data
      },
    }
  }

  /** Bytes of body and headers together. */
  get size(): number {
    return (this.#msg as unknown as { size(): number }).size()
  }
}

/** The stream that an ack subject is about, from what stands before the delivery count. */
export function streamOf(ackPrefix: string): string {
  const consumerAt = ackPrefix.lastIndexOf('.')
  return ackPrefix.slice(ackPrefix.lastIndexOf('.', consumerAt - 1) + 1, consumerAt)
}

const DOT = 46
const ZERO = 48
const places = new Int32Array(16)

/**
 * Notes in `places` where the dots of an ack subject stand; returns the one before the count. Four tokens come before it; in
 * the longer form, of 11 tokens or more, six do.
 */
function findDots(ackSubject: string): number {
  let found = 0
  for (let at = 0; at < ackSubject.length && found < places.length; at++) {
    if (ackSubject.charCodeAt(at) === DOT) places[found++] = at
  }
  if (found < places.length) places[found] = ackSubject.length
  return found >= 10 ? 5 : 3
}

function digits(text: string, from: number, to: number): number {
  let value = 0
  for (let at = from; at < to; at++) value = value * 10 + text.charCodeAt(at) - ZERO
  return value
}

/** A message's headers, whatever they are: the library's own reading throws for names that no client writes. */
export function headersOf(msg: Msg): HeaderBlock {
  const { bytes, headerBytes } = innards(msg)
  if (bytes !== undefined) return headerBytes > 0 ? HeaderBlock.decode(bytes, headerBytes) : HeaderBlock.none
  const { headers } = msg
  if (headers === undefined) return HeaderBlock.none
  return new HeaderBlock(headers.keys().flatMap((name) => headers.values(name).map((value) => [name, value] as const)))
}

/**
 * The undecoded message, where the library has it in its usual place: headers, then body. Reading headers through its map
 * costs 3 µs a message, a third of the whole budget. If the place ever moves, there are no bytes here and the map is used.
 */
function innards(msg: Msg): { bytes: Uint8Array | undefined; headerBytes: number } {
  const { _msg: info, _rdata: bytes } = msg as unknown as { _msg?: { hdr?: unknown }; _rdata?: unknown }
  if (!(bytes instanceof Uint8Array) || typeof info?.hdr !== 'number') return MOVED
  return { bytes, headerBytes: info.hdr }
}

const MOVED = { bytes: undefined, headerBytes: 0 }
