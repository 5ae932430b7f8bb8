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

const steppedAt = nextStep()

function nextStep(): { wall: number; monotonic: bigint } {
  const before = Date.now()
  while (Date.now() === before);
  return { wall: before + 1, monotonic: process.hrtime.bigint() }
}
