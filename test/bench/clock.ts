/**
 * Two clocks that all processes of one machine share: a monotonic one for spans, and the wall clock with fractions of a
 * millisecond for due times. `Date.now()` alone counts whole milliseconds, which is coarse where 5 ms are the limit.
 */

/** Monotonic milliseconds, the same in every process of this machine. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Monotonic microseconds as a whole number, so that it has the same number of digits in every payload of a run. */
export function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** Wall clock in milliseconds with fractions: where `Date.now()` last stepped, plus the monotonic time since then. */
export function epochMs(): number {
  const passed = Number(process.hrtime.bigint() - steppedAt.monotonic) / 1e6
  return steppedAt.wall + passed
}

/**
 * Of several steps the one that was noticed first: who is put off the CPU between a step and the look at the other clock
 * would take every message for earlier than it is.
 */
const steppedAt = Array.from({ length: 20 }, nextStep).reduce((best, step) =>
  startOf(step) > startOf(best) ? step : best,
)

interface Step {
  readonly wall: number
  readonly monotonic: bigint
}

function startOf({ wall, monotonic }: Step): number {
  return wall - Number(monotonic) / 1e6
}

function nextStep(): Step {
  const before = Date.now()
  let wall = before
  while (wall === before) wall = Date.now()
  return { wall, monotonic: process.hrtime.bigint() }
}
