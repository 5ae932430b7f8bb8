/** When a message is given up that its mailbox does not take. */
import { JetStreamError } from '../../runtime/broker/api.ts'
import { PayloadError } from '../../runtime/errors.ts'

/** With the timer's waits (1 s, doubled each time, to 60 s) a mailbox has about so long to take a message. */
const MAX_TRIES = 30
const PATIENCE_MS = 25 * 60_000

/**
 * A mailbox that refuses (full) has so many tries; one that is away (no leader, no answer) has any number. A delivery's count does not tell
 * them apart. So none is given up as long after the mailbox was away as all the tries take.
 */
export class Patience {
  /** Monotonic ms. */
  #awayAt = -Infinity

  /** Whether this refusal, at this delivery of a message, is its last. */
  isOver(error: Error, tries: number, now: number): boolean {
    if (isFinal(error)) return true
    if (!isRefusal(error)) this.wasAway(now)
    return this.isWornOut(tries, now)
  }

  wasAway(now: number): void {
    this.#awayAt = now
  }

  /** Whether one more refusal is the last, where so many deliveries came to nothing. */
  isWornOut(tries: number, now: number): boolean {
    return tries >= MAX_TRIES && now - this.#awayAt >= PATIENCE_MS
  }
}

/** However often it is tried again, it will not be taken. */
export function isFinal(error: unknown): boolean {
  return error instanceof PayloadError || (error instanceof JetStreamError && error.refusal === 'refused')
}

function isRefusal(error: Error): boolean {
  return error instanceof JetStreamError && error.refusal !== 'away'
}
