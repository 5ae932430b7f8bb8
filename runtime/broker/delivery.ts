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
  #headers: HeaderBlock | undefined
  readonly subject: string
  /** The subject that acks it. */
  readonly ackSubject: string
  readonly stream: string
  /** Its place in the stream. */
  readonly sequence: number
  /** How often it has been delivered, this time included. */
  readonly count: number
  /** Its place among the consumer's deliveries. */
  readonly consumerSequence: number
  /** The ack subject up to the delivery count: one for all deliveries of a consumer. */
  readonly ackPrefix: string
  /** When it was stored, epoch ms by the server's clock. */
  readonly storedAt: number
  /** Messages that wait behind it for the same consumer. */
  readonly pending: number
  /** Monotonic ms since when the lease surely counts; moved on by each confirmed heartbeat. */
  leasedAt: number

  constructor(msg: Msg, leasedAt: number) {
    this.#msg = msg
    this.subject = msg.subject
    this.ackSubject = msg.reply ?? ''
    const tokens = this.ackSubject.split('.')
    const first = tokens.length >= 11 ? 4 : 2
    const token = (place: number): string => tokens[first + place] ?? ''
    this.stream = token(0)
    this.count = Number(token(2))
    this.sequence = Number(token(3))
    this.consumerSequence = Number(token(4))
    // Nanoseconds are beyond what a number holds: the last six digits go first.
    this.storedAt = Number(token(5).slice(0, -6))
    this.pending = Number(token(6))
    const counted = tokens.slice(first + 2).reduce((length, text) => length + text.length + 1, 0)
    this.ackPrefix = this.ackSubject.slice(0, this.ackSubject.length - counted)
    this.leasedAt = leasedAt
  }

  /** `<stream>:<sequence>`: what copies name as their origin. */
  get origin(): string {
    return `${this.stream}:${this.sequence}`
  }

  get data(): Uint8Array {
    return this.#msg.data
  }

  get headers(): HeaderBlock {
    return (this.#headers ??= headersOf(this.#msg))
  }

  /** Bytes of body and headers together. */
  get size(): number {
    return (this.#msg as unknown as { size(): number }).size()
  }
}

/** A message's headers, whatever they are: the library's own reading throws for names that no client writes. */
export function headersOf(msg: Msg): HeaderBlock {
  const bytes = rawHeaders(msg)
  if (bytes !== undefined) return HeaderBlock.decode(bytes)
  const { headers } = msg
  if (headers === undefined) return HeaderBlock.none
  return new HeaderBlock(headers.keys().flatMap((name) => headers.values(name).map((value) => [name, value] as const)))
}

/**
 * The undecoded headers where the library's message has them in its usual place. Reading them through its map costs
 * 3 µs a message, a third of the whole budget; if the place ever moves, `headersOf` falls back to the map.
 */
function rawHeaders(msg: Msg): Uint8Array | undefined {
  const { _msg: info, _rdata: bytes } = msg as unknown as { _msg?: { hdr?: unknown }; _rdata?: unknown }
  if (!(bytes instanceof Uint8Array) || typeof info?.hdr !== 'number') return undefined
  return info.hdr > 0 ? bytes.subarray(0, info.hdr) : undefined
}
