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
 * 4. The keeper stops at `keepUntil` (the run's limit and grace), so a handler that hangs for ever gives its message back.
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

export class Leases {
  readonly memory: SharedArrayBuffer
  readonly leaseMs: number
  readonly #rows: Float64Array
  readonly #free: number[]
  /** Ack subjects up to the delivery count, by number: one per consumer and connection. */
  readonly #prefixes = new Map<string, number>()
  #last = { text: ' ', number: -1 }
  readonly #onPrefix: (number: number, prefix: string) => void

  constructor(leaseMs: number, capacity: number, onPrefix: (number: number, prefix: string) => void) {
    this.leaseMs = leaseMs
    this.memory = new SharedArrayBuffer(capacity * ROW.size * Float64Array.BYTES_PER_ELEMENT)
    this.#rows = new Float64Array(this.memory)
    this.#free = Array.from({ length: capacity }, (_, index) => (capacity - 1 - index) * ROW.size)
    this.#onPrefix = onPrefix
  }

  /** Whether a lease that was last confirmed then still surely holds. */
  isFresh(confirmedAt: number, now = systemClock.monotonic()): boolean {
    return now - confirmedAt < this.leaseMs * SAFE_SHARE
  }

  /** Enters a delivery; returns its row, or -1 where the table is full (then it is not extended, and its age decides). */
  enter(delivery: Delivery, keepUntil: number): number {
    const row = this.#free.pop()
    if (row === undefined) return -1
    const rows = this.#rows
    rows[row + ROW.subject] = this.#prefixOf(delivery)
    rows[row + ROW.count] = delivery.count
    rows[row + ROW.consumerSequence] = delivery.consumerSequence
    rows[row + ROW.keepUntil] = keepUntil
    rows[row + ROW.confirmedAt] = delivery.leasedAt
    // Last: a row counts from the moment at which it has a sequence.
    rows[row + ROW.sequence] = delivery.sequence
    return row
  }

  leave(row: number): void {
    if (row < 0) return
    this.#rows[row + ROW.sequence] = 0
    this.#free.push(row)
  }

  keepUntil(row: number, until: number): void {
    if (row >= 0) this.#rows[row + ROW.keepUntil] = until
  }

  /** Whether the lease of a delivery surely holds, by its last confirmed heartbeat or, without one, its arrival. */
  holds(row: number, delivery: Delivery): boolean {
    return this.isFresh(row < 0 ? delivery.leasedAt : (this.#rows[row + ROW.confirmedAt] ?? delivery.leasedAt))
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
    this.#onPrefix(number, text)
    return number
  }
}
