/**
 * Leases of running messages (P2).
 *
 * A worker owns a delivered message for the consumer's `ack_wait`. Heartbeats extend it, sent by the keeper: a thread with
 * its own connection, since a handler may block this thread's event loop for minutes. The two share one table in memory:
 * this side writes which deliveries run, the keeper writes when a heartbeat of each was confirmed.
 *
 * Row: stream sequence, consumer sequence, delivery count, keep until, confirmed at, subject. A row is free when its
 * sequence is 0. All times are `monotonic()` of this thread.
 *
 * Invariants
 * 1. A row is filled before its handler starts and cleared when its ack is sent: the keeper never extends what no longer
 *    runs. (It may read a row that changes under it; then one heartbeat extends another message of ours by one lease.)
 * 2. `confirmedAt` is the time at which a heartbeat that was confirmed was *sent*: so the lease holds until then + lease.
 * 3. Past 80 % of a lease without confirmation it may have lapsed: `holds` is false, and the run is to be aborted. It stays
 *    so: a heartbeat that is confirmed later extends the lease of whoever has the message by then.
 * 4. A table that grows gets another piece of memory, and rows of the first stay where they are: one memory that can grow is read
 *    and written thirty times slower by V8 (310 ns a message against 11). Rows of the n-th piece count from n × PIECE.
 * 5. The keeper stops at `keepUntil` (the run's limit and grace), so a handler that hangs for ever gives its message back.
 */
import { systemClock } from '../time/clock.ts'
import type { Delivery } from './delivery.ts'

export const ROW = {
  sequence: 0,
  consumerSequence: 1,
  count: 2,
  keepUntil: 3,
  confirmedAt: 4,
  subject: 5,
  size: 6,
} as const

/** Share of a lease after which an unconfirmed one is taken as lost. */
export const SAFE_SHARE = 0.8

/** What a table of leases tells the keeper of itself. */
export interface LeasesHost {
  onMemory(memory: SharedArrayBuffer): void
  onPrefix(number: number, prefix: string): void
}

/** More rows than any piece has. */
const PIECE = 2 ** 24

export class Leases {
  readonly leaseMs: number
  readonly #rows: Float64Array
  readonly #morePieces: Float64Array[] = []
  readonly #free: number[] = []
  #capacity = 0
  /** Ack subjects up to the delivery count, by number: one per consumer and connection. */
  readonly #prefixes = new Map<string, number>()
  #last = { text: ' ', number: -1 }
  readonly #host: LeasesHost

  constructor(leaseMs: number, capacity: number, host: LeasesHost) {
    this.leaseMs = leaseMs
    this.#host = host
    this.#rows = this.#piece(capacity, 0)
  }

  /** Has at least so many rows from now on. */
  grow(capacity: number): void {
    const missing = capacity - this.#capacity
    if (missing > 0) this.#morePieces.push(this.#piece(missing, (this.#morePieces.length + 1) * PIECE))
  }

  #piece(capacity: number, first: number): Float64Array {
    const memory = new SharedArrayBuffer(capacity * ROW.size * Float64Array.BYTES_PER_ELEMENT)
    this.#capacity += capacity
    for (let index = capacity - 1; index >= 0; index--) this.#free.push(first + index * ROW.size)
    this.#host.onMemory(memory)
    return new Float64Array(memory)
  }

  /** Whether a lease that was last confirmed then still surely holds. */
  isFresh(confirmedAt: number, now = systemClock.monotonic()): boolean {
    return now - confirmedAt < this.leaseMs * SAFE_SHARE
  }

  /** Enters a delivery; returns its row, or -1 where the table is full (then it is not extended, and its age decides). */
  enter(delivery: Delivery, keepUntil: number): number {
    const place = this.#free.pop()
    if (place === undefined) return -1
    const rows = this.#rowsAt(place)
    const row = place % PIECE
    rows[row + ROW.subject] = this.#prefixOf(delivery)
    rows[row + ROW.count] = delivery.count
    rows[row + ROW.consumerSequence] = delivery.consumerSequence
    rows[row + ROW.keepUntil] = keepUntil
    rows[row + ROW.confirmedAt] = delivery.leasedAt
    // Last: a row counts from the moment at which it has a sequence.
    rows[row + ROW.sequence] = delivery.sequence
    return place
  }

  leave(place: number): void {
    if (place < 0) return
    this.#rowsAt(place)[(place % PIECE) + ROW.sequence] = 0
    this.#free.push(place)
  }

  keepUntil(place: number, until: number): void {
    if (place >= 0) this.#rowsAt(place)[(place % PIECE) + ROW.keepUntil] = until
  }

  /** Whether the lease of a delivery surely holds, by its last confirmed heartbeat or, without one, its arrival. */
  holds(place: number, delivery: Delivery): boolean {
    if (place < 0) return this.isFresh(delivery.leasedAt)
    return this.isFresh(this.#rowsAt(place)[(place % PIECE) + ROW.confirmedAt] ?? delivery.leasedAt)
  }

  #rowsAt(place: number): Float64Array {
    return place < PIECE ? this.#rows : (this.#morePieces[Math.floor(place / PIECE) - 1] ?? this.#rows)
  }

  /** Most deliveries come from the consumer that the last one came from. */
  #prefixOf({ ackSubject, ackPrefix }: Delivery): number {
    if (!ackSubject.startsWith(this.#last.text) || ackPrefix.length !== this.#last.text.length) {
      this.#last = { text: ackPrefix, number: this.#prefix(ackPrefix) }
    }
    return this.#last.number
  }

  #prefix(text: string): number {
    const known = this.#prefixes.get(text)
    if (known !== undefined) return known
    const number = this.#prefixes.size
    this.#prefixes.set(text, number)
    this.#host.onPrefix(number, text)
    return number
  }
}
