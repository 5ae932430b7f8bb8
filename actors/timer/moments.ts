/** What a timer holds in memory until its moment, by the server's clock; each is let go when it is due, and never before. */
import { Heap } from './heap.ts'

/** So many are let go in one go when many are due at one moment. */
export const SLICE = 256
/** No alarm is set for later than this: it rings, and looks again. A longer one than 24 days would ring at once, for ever. */
const LONGEST_MS = 60_000

export interface MomentsHost<T> {
  /** Epoch ms by the server's clock. */
  now(): number
  /** Its moment has come. */
  onDue(entry: T): void
  /** All that were due are let go, and nothing is left. */
  onEmpty(): void
}

export class Moments<T extends { readonly at: number }> {
  readonly #host: MomentsHost<T>
  readonly #held = new Heap<T>((entry) => entry.at)
  #alarm: NodeJS.Timeout | undefined
  #alarmAt = Infinity

  constructor(host: MomentsHost<T>) {
    this.#host = host
  }

  get size(): number {
    return this.#held.size
  }
  /** The first of the moments: epoch ms. */
  get nextAt(): number {
    return this.#held.peek()?.at ?? Infinity
  }

  hold(entry: T): void {
    this.#held.push(entry)
    if (entry.at < this.#alarmAt) this.#setAlarm(entry.at)
  }

  /** Takes out all that match. */
  remove(matches: (entry: T) => boolean): T[] {
    return this.#held.remove(matches)
  }

  /** Lets go what is due now: of its own accord, or because the clock was moved. */
  ring(): void {
    this.#alarmAt = Infinity
    const now = this.#host.now()
    for (let count = 0; ; count++) {
      const next = this.#held.peek()
      if (next === undefined) return this.#host.onEmpty()
      if (next.at > now) return this.#setAlarm(next.at)
      // The first of many are handled while the last are still to be published, and the loop stands still for none of them.
      if (count === SLICE) return void setImmediate(() => this.ring())
      this.#held.pop()
      this.#host.onDue(next)
    }
  }

  /** Rings no more. Returns all that it holds. */
  stop(): T[] {
    clearTimeout(this.#alarm)
    return this.#held.remove(() => true)
  }

  #setAlarm(at: number): void {
    clearTimeout(this.#alarm)
    this.#alarmAt = at
    // Node fires a timer up to a millisecond early; never early is then kept by looking again.
    const ms = Math.min(LONGEST_MS, Math.max(0, at - this.#host.now()))
    this.#alarm = setTimeout(() => this.ring(), ms)
  }
}
