/**
 * The only place that reads the clock. Whoever needs the time takes a `Clock`, so that tests can move it.
 *
 * Owns: reading wall and monotonic time, timers of any length. Does not own: when something is due (its caller decides
 * that, as instants), nor durations as users write them (`duration.ts`).
 */

/** A started timer, for `clearTimer`. */
export interface Timer {
  /** For the clock that made it. */
  cancel(): void
}

/** Time as a part of the runtime sees it. */
export interface Clock {
  /** Wall time in epoch milliseconds, whole. It jumps when the machine's clock is set. */
  now(): number
  /** Milliseconds since some fixed moment, with fractions. It never goes back: measure and time out by this one. */
  monotonic(): number
  /**
   * Calls `fn` once after `ms` milliseconds, however many (`setTimeout` fires at once beyond 24.8 days).
   * `unref: true` lets the process end while the timer waits.
   */
  setTimer(fn: () => void, ms: number, options?: { readonly unref?: boolean }): Timer
  /** Stops a timer; `undefined` and timers that have fired are fine. */
  clearTimer(timer: Timer | undefined): void
}

const longestTimeout = 2 ** 31 - 1

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (fn, ms, options) => startTimer(fn, ms, options?.unref === true),
  clearTimer: (timer) => timer?.cancel(),
}

function startTimer(fn: () => void, ms: number, unref: boolean): Timer {
  const dueAt = performance.now() + ms
  let handle: NodeJS.Timeout
  const arm = (leftMs: number): void => {
    handle = leftMs > longestTimeout ? setTimeout(rearm, longestTimeout) : setTimeout(fn, Math.max(0, leftMs))
    if (unref) handle.unref()
  }
  const rearm = (): void => arm(dueAt - performance.now())
  arm(ms)
  return { cancel: () => clearTimeout(handle) }
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it aborts. */
export async function sleep(ms: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  signal?.throwIfAborted()
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    const stop = (): void => {
      clock.clearTimer(timer)
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/**
 * The machine's monotonic time minus this thread's, in milliseconds: threads of one process count from different moments,
 * and compare times by it.
 */
export function clockOffset(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now()
}
