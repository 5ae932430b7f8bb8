/** How fast actors work: messages ended per second over the last minute, from counts that are there anyway. */
import { systemClock, type Timer } from '../time/clock.ts'

const SAMPLE_MS = 5_000
/** So many samples are kept: a minute. */
const SAMPLES = 13

interface Sample {
  readonly at: number
  readonly count: number
}

export class Rates {
  readonly #read: () => Iterable<readonly [actor: string, count: number]>
  readonly #samples = new Map<string, Sample[]>()
  #timer: Timer | undefined

  constructor(read: () => Iterable<readonly [actor: string, count: number]>) {
    this.#read = read
  }

  start(): void {
    this.#sample()
    this.#timer = systemClock.setTimer(() => this.start(), SAMPLE_MS, { unref: true })
  }
  stop(): void {
    systemClock.clearTimer(this.#timer)
  }

  /** Per second, over the last minute or what there is of it; 0 in the first moments. */
  of(actor: string, count: number): number {
    const [first] = this.#samples.get(actor) ?? []
    if (first === undefined) return 0
    const seconds = (systemClock.monotonic() - first.at) / 1000
    return seconds < 0.5 ? 0 : Math.round(((count - first.count) / seconds) * 100) / 100
  }

  #sample(): void {
    const at = systemClock.monotonic()
    for (const [actor, count] of this.#read()) {
      const samples = this.#samples.get(actor) ?? []
      this.#samples.set(actor, [...samples, { at, count }].slice(-SAMPLES))
    }
  }
}
