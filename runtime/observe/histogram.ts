/**
 * How long things took, counted in classes. Adding one is a few comparisons and additions: there are a hundred thousand a
 * second. Everything that shows durations (micro services, Prometheus) reads these.
 */

/**
 * Upper bounds of the classes in seconds: those that OpenTelemetry's messaging conventions ask for, with a finer one below
 * and, since handlers run for minutes, more above.
 */
export const BOUNDS: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300,
]

const BOUNDS_MS = BOUNDS.map((seconds) => seconds * 1000)

export class Histogram {
  /** One more than there are bounds: the last class has no end. */
  readonly #counts = Array.from({ length: BOUNDS.length + 1 }, () => 0)
  #count = 0
  #sumMs = 0
  /** Told of each besides: metrics that can't be read from here. */
  onAdded: ((ms: number) => void) | undefined

  add(ms: number): void {
    let at = 0
    while (at < BOUNDS_MS.length && ms > (BOUNDS_MS[at] as number)) at++
    this.#counts[at] = (this.#counts[at] as number) + 1
    this.#count++
    this.#sumMs += ms
    this.onAdded?.(ms)
  }

  get count(): number {
    return this.#count
  }
  get sumMs(): number {
    return this.#sumMs
  }

  /** How many took at most that long: a pair for each bound in seconds, the last for any (`Infinity`). */
  cumulative(): (readonly [bound: number, count: number])[] {
    let below = 0
    return this.#counts.map((count, at) => [BOUNDS[at] ?? Infinity, (below += count)] as const)
  }
}
