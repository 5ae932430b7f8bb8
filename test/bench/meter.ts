/**
 * Counts what a worker process handles and notes, at the counts it was asked for, the time, the CPU and the memory.
 * One counter for both sides, so that neither is measured better than the other.
 */
import { nowMs } from './clock.ts'

export interface Mark {
  /** Monotonic milliseconds. */
  readonly at: number
  /** CPU of the process until then, user and system, in microseconds. */
  readonly cpuUs: number
  /** Highest resident memory until then. */
  readonly peakRssMb: number
}

export interface Memory {
  readonly rssMb: number
  /** What is in use after a full collection: heap and buffers. */
  readonly heldMb: number
}

export class Meter {
  readonly #counts: readonly number[]
  readonly #marks: PromiseWithResolvers<Mark>[]
  readonly #samples: number[] = []
  #count = 0
  #next = 0
  #nextCount: number

  /** `counts`: when to make a mark, ascending. */
  constructor(counts: readonly number[]) {
    this.#counts = counts
    this.#marks = counts.map(() => withResolvers<Mark>())
    this.#nextCount = counts[0] ?? Number.POSITIVE_INFINITY
  }

  /** One more message was handled. */
  count(): void {
    if (++this.#count === this.#nextCount) this.#mark()
  }

  /** A measured value of one message, beside the counting. */
  sample(value: number): void {
    this.#samples.push(value)
  }

  /** All samples so far. */
  get samples(): readonly number[] {
    return this.#samples
  }

  /** Resolves when the count of this index was reached. */
  async mark(index: number): Promise<Mark> {
    const mark = this.#marks[index]
    if (mark === undefined)
      throw new Error(`expected the index of a mark, 0 to ${this.#marks.length - 1}, got: ${index}`)
    return mark.promise
  }

  #mark(): void {
    this.#marks[this.#next]?.resolve(markNow())
    this.#next++
    this.#nextCount = this.#counts[this.#next] ?? Number.POSITIVE_INFINITY
  }
}

/** Time, CPU and memory of this process now. */
export function markNow(): Mark {
  const { user, system } = process.cpuUsage()
  return { at: nowMs(), cpuUs: user + system, peakRssMb: process.resourceUsage().maxRSS / 1024 }
}

/** Memory of this process after a full collection. The process needs `--expose-gc`. */
export function memoryNow(): Memory {
  globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rssMb: rss / 2 ** 20, heldMb: (heapUsed + external) / 2 ** 20 }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

// Node 20 has no Promise.withResolvers.
function withResolvers<T>(): PromiseWithResolvers<T> {
  const parts: { resolve?: (value: T) => void } = {}
  const promise = new Promise<T>((resolve) => Object.assign(parts, { resolve }))
  return { promise, resolve: (value) => parts.resolve?.(value) }
}
