/**
 * Counts what a worker process handles and notes, at the counts it was asked for, the time, the CPU and the memory.
 * One counter for both sides, so that neither is measured better than the other.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { nowMs } from './clock.ts'

const SETTLE_MS = 100
const SLACK_BYTES = 2 ** 14

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

/**
 * Memory of this process after full collections. Buffers are freed beside the program, and what has a finalizer only by the next
 * collection: so it collects until nothing more goes. The process needs `--expose-gc`.
 */
export async function memoryNow(): Promise<Memory> {
  let least = Number.POSITIVE_INFINITY
  for (;;) {
    globalThis.gc?.()
    await sleep(SETTLE_MS)
    const { rss, heapUsed, external } = process.memoryUsage()
    const held = heapUsed + external
    if (held > least - SLACK_BYTES) return { rssMb: rss / 2 ** 20, heldMb: Math.min(held, least) / 2 ** 20 }
    least = held
  }
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
