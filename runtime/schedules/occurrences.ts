/**
 * When a rule is due: pure functions of a rule and a moment, without a clock. All moments are epoch milliseconds in whole seconds.
 *
 * Owns: next, previous, ranges, preview. Does not own: what any of that leads to (policies, ledger, ticks).
 *
 * Invariants, for every rule:
 * - O1: `nextAfter` and `previousBefore` are strict and are each other's inverse;
 * - O2: `occurrences` is ascending without repeats and is what repeated `nextAfter` gives.
 */

import { parseInstant } from '../time/duration.ts'
import { walkOf } from './compile.ts'
import { invalid, readBy, readWhole } from './refuse.ts'
import { type Moment, resolveRule, type ResolvedRule, type ScheduleRule } from './rule.ts'

/** The first occurrence after a moment; `undefined` where there is none. */
export const nextAfter = (rule: ResolvedRule, ms: number): number | undefined => walkOf(rule).next(ms)

/** The last occurrence before a moment; `undefined` where there is none. */
export const previousBefore = (rule: ResolvedRule, ms: number): number | undefined => walkOf(rule).previous(ms)

/** The occurrences from a moment (included) until another (not included), one after the other as they are asked for. */
export function* occurrences(rule: ResolvedRule, fromMs: number, untilMs: number): Generator<number, void, undefined> {
  const walk = walkOf(rule)
  let at = walk.next(fromMs - 1)
  while (at !== undefined && at < untilMs) {
    yield at
    at = walk.next(at)
  }
}

/** Which of a rule's times to show. */
export interface PreviewOptions {
  /** From this moment on, included. */
  readonly from: Moment
  /** Until this moment, not included. Default: as long as there are any. */
  readonly until?: Moment
  /** At most so many, 1 to 10,000. Default: 10. */
  readonly count?: number
}

/**
 * The next times of a rule, without storing anything: what a schedule with it would do.
 *
 * @throws ConfigError `INVALID_SCHEDULE`
 */
export function preview(rule: ScheduleRule, options: PreviewOptions): Date[] {
  const resolved = resolveRule(rule, 'rule')
  const from = readBy(parseInstant, options.from, 'preview.from')
  const until = options.until === undefined ? Infinity : readBy(parseInstant, options.until, 'preview.until')
  if (until <= from) throw invalid('expected preview.until to be after preview.from', 'preview.until')
  const count = readWhole(options.count ?? 10, 'preview.count', 1, 10_000)
  const dates: Date[] = []
  for (const at of occurrences(resolved, from, until)) {
    if (dates.push(new Date(at)) === count) break
  }
  return dates
}
