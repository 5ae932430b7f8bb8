/** A clock that stands still until it is moved: for tests, where minutes would pass. */

import type { Clock, Timer } from './clock.ts'

/** A clock that its holder moves. */
export interface ManualClock extends Clock {
  /**
   * Moves time forward and fires what becomes due, in order of due time, each at its own time. After each timer the event loop
   * turns once, so that code which awaited it can start its next timer in time.
   */
  advance(ms: number): Promise<void>
  /**
   * Sets wall time. Forward is `advance`; backward is what happens when a machine's clock is set back: `monotonic` and
   * the timers don't notice.
   */
  set(epochMs: number): Promise<void>
  /** How many timers wait. */
  readonly waiting: number
}

interface Waiting extends Timer {
  readonly dueAt: number
  readonly fn: () => void
}

/** @param start wall time in epoch milliseconds, by default the first moment of 2026 in UTC */
export function manualClock(start: number = Date.UTC(2026, 0, 1)): ManualClock {
  const waiting = new Set<Waiting>()
  let elapsed = 0
  let offset = start

  const setTimer = (fn: () => void, ms: number): Timer => {
    const timer: Waiting = { dueAt: elapsed + Math.max(0, ms), fn, cancel: () => void waiting.delete(timer) }
    waiting.add(timer)
    return timer
  }

  const advance = async (ms: number): Promise<void> => {
    const until = elapsed + ms
    for (let next = earliest(waiting, until); next !== undefined; next = earliest(waiting, until)) {
      waiting.delete(next)
      elapsed = Math.max(elapsed, next.dueAt)
      next.fn()
      await new Promise((resolve) => setImmediate(resolve))
    }
    elapsed = Math.max(elapsed, until)
  }

  const now = (): number => offset + Math.floor(elapsed)
  return {
    now,
    monotonic: () => elapsed,
    setTimer,
    clearTimer: (timer) => timer?.cancel(),
    advance,
    set: async (epochMs) => {
      if (epochMs >= now()) return advance(epochMs - now())
      offset += epochMs - now()
    },
    get waiting() {
      return waiting.size
    },
  }
}

/** The timer that is due first until then; of two at one moment, the one that was set first. */
function earliest(waiting: Iterable<Waiting>, until: number): Waiting | undefined {
  let first: Waiting | undefined
  for (const timer of waiting) {
    if (timer.dueAt <= until && (first === undefined || timer.dueAt < first.dueAt)) first = timer
  }
  return first
}
