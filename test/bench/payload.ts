import { nowMicros } from './clock.ts'

/** What every measured message carries: 200 bytes as JSON, as in LIMITS.md. */
export interface Payload {
  /** The message's number, with an offset so that all have the same number of digits. */
  readonly n: number
  /** When it was sent, in monotonic microseconds, where that is measured. */
  readonly sentAt: number
  /** When it is due, in epoch milliseconds; 0 where it is due at once. */
  readonly due: number
  readonly text: string
}

const size = 200
const empty: Payload = { n: 1e8, sentAt: nowMicros(), due: 0, text: '' }
const text = 'x'.repeat(size - JSON.stringify(empty).length)

/** The payload of message `n`. */
export function payload(n: number, due = 0): Payload {
  return { n: 1e8 + n, sentAt: empty.sentAt, due, text }
}

/** The same, stamped now. */
export function stamped(n: number): Payload {
  return { n: 1e8 + n, sentAt: nowMicros(), due: 0, text }
}
