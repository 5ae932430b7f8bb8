/**
 * How soon the next member may be started. Each start that failed in a row makes the wait before the next one longer: what can't
 * start is no reason to keep the machine busy.
 */
import { nextDelay, type ResolvedBackoff } from '../time/backoff.ts'
import { random } from '../time/chance.ts'

const BACKOFF: ResolvedBackoff = { baseMs: 200, factor: 2, maxMs: 30_000, jitter: 0.2 }

export class Starts {
  readonly #resume: () => void
  #failures = 0
  #pause: NodeJS.Timeout | undefined

  /** `resume` is called when a wait is over. */
  constructor(resume: () => void) {
    this.#resume = resume
  }

  /** In a row. */
  get failures(): number {
    return this.#failures
  }
  get isPaused(): boolean {
    return this.#pause !== undefined
  }

  worked(): void {
    this.#failures = 0
  }

  failed(): void {
    this.#failures++
    this.stop()
    const end = (): void => {
      this.#pause = undefined
      this.#resume()
    }
    this.#pause = setTimeout(end, nextDelay(BACKOFF, this.#failures, random()))
  }

  /** Waits no more. */
  stop(): void {
    clearTimeout(this.#pause)
    this.#pause = undefined
  }
}
