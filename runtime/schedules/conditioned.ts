/**
 * A walk through a condition. Where the condition refuses a time, the search goes on where it may change its mind, not at the next
 * time: a rule of every second in one week of the year is found at once.
 */

import { DAY } from './civil.ts'
import type { Span, Test } from './conditions.ts'
import type { Walk } from './walk.ts'
import { changeNear, wallAt, type Zone } from './zone.ts'

/**
 * A search passes over at most so many stretches in which the condition doesn't hold, then there is no such time. Where a condition
 * changes every day these are more than 13 years; dates far away are one stretch. It bounds the search to well under a second.
 */
const MOST_REFUSALS = 5_000

/** The times of a walk at which the condition holds on the zone's wall clock. */
export function conditioned(walk: Walk, test: Test, zone: Zone): Walk {
  return {
    next: (after) =>
      search(walk.next(after), test, zone, (at, span) => {
        return walk.next(resumeAfter(at, span, zone) - 1)
      }),
    previous: (before) =>
      search(walk.previous(before), test, zone, (at, span) => {
        return walk.previous(resumeBefore(at, span, zone))
      }),
  }
}

function search(
  first: number | undefined,
  test: Test,
  zone: Zone,
  beyond: (at: number, span: Span) => number | undefined,
): number | undefined {
  let at = first
  for (let refusals = 0; at !== undefined && refusals < MOST_REFUSALS; refusals++) {
    const span = test(wallAt(zone, at))
    if (span.holds) return at
    at = beyond(at, span)
  }
  return undefined
}

/** Beyond so long a span clocks may be set any number of times; short of it by two days is surely within. */
const LONG = 3 * DAY
const SHORTER = 2 * DAY

/** The first moment after `at` at which a refusal may end: at the latest where the clock is set. */
function resumeAfter(at: number, span: Span, zone: Zone): number {
  const leftMs = span.until - wallAt(zone, at)
  if (leftMs > LONG) return at + leftMs - SHORTER
  return Math.min(at + leftMs, changeNear(zone, at, at + leftMs)?.at ?? Infinity)
}

/** The first moment from which on everything until `at` is refused: at the earliest where the clock was set. */
function resumeBefore(at: number, span: Span, zone: Zone): number {
  const passedMs = wallAt(zone, at) - span.from
  if (passedMs > LONG) return at - passedMs + SHORTER
  return Math.max(at - passedMs, changeNear(zone, at - passedMs, at)?.at ?? -Infinity)
}
