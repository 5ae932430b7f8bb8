/**
 * Wall times of a rule, laid over the clocks of a zone.
 *
 * Invariants, for every rule that is written in wall times:
 * - Z1: a wall time that exists once is planned at its moment;
 * - Z2: one that the clock jumps over is planned at the moment at which the gap ends, together with all others of that gap and
 *   with the gap's end itself: one occurrence;
 * - Z3: one that the clock shows twice is planned at its first moment, and with `dst: 'both'` at its second as well.
 *
 * Why the search is short: the *first* moment of a wall time never falls while wall times rise, so the next occurrence is the first
 * moment of the next wall time. Only the second passes need a look of their own, and they reach at most a day beyond a change.
 */

import { DAY } from './civil.ts'
import type { Walk } from './walk.ts'
import { changeNear, type Change, meaningOf, momentsOf, wallAt, type Zone } from './zone.ts'

/** What happens to wall times that exist twice. */
export type Repeated = 'once' | 'both'

/** The moments of a walk of wall times in a zone. */
export function zoned(wall: Walk, zone: Zone, repeated: Repeated): Walk {
  const once = firstPasses(wall, zone)
  return repeated === 'once' ? once : withSecondPasses(once, wall, zone)
}

/** Every wall time once: at its first moment, or at the end of the gap that swallowed it. */
function firstPasses(wall: Walk, zone: Zone): Walk {
  const first = (wallMs: number | undefined): number | undefined =>
    wallMs === undefined ? undefined : momentsOf(zone, wallMs, false)[0]
  return {
    next: (after) => first(wall.next(lastPassed(zone, after))),
    previous: (before) => first(wall.previous(firstUnpassed(zone, before))),
  }
}

/** The last wall time whose first moment is not after `ms`: in a second pass it is the end of what is shown twice. */
function lastPassed(zone: Zone, ms: number): number {
  const wallMs = wallAt(zone, ms)
  const meaning = meaningOf(zone, wallMs)
  return meaning.kind === 'twice' && ms >= meaning.second ? repeatedUntil(meaning.change) - 1 : wallMs
}

/** The first wall time whose first moment is not before `ms`: at the end of a gap it is the gap's beginning. */
function firstUnpassed(zone: Zone, ms: number): number {
  const wallMs = wallAt(zone, ms)
  const meaning = meaningOf(zone, wallMs)
  if (meaning.kind === 'twice' && ms >= meaning.second) return repeatedUntil(meaning.change)
  const change = changeNear(zone, ms - 1, ms)
  return change !== undefined && change.after > change.before ? change.at + change.before : wallMs
}

/** Of the wall times that a change makes appear twice: from, and until (not included). */
const repeatedFrom = (change: Change): number => change.at + change.after
const repeatedUntil = (change: Change): number => change.at + change.before
const isSetBack = (change: Change | undefined): change is Change => change !== undefined && change.after < change.before

/**
 * Second passes beside first ones. One that comes next has its first pass behind it, so its change is at most a day away; one that
 * came last has its first pass as the last of those, or shortly before it.
 */
function withSecondPasses(once: Walk, wall: Walk, zone: Zone): Walk {
  return {
    next(after) {
      const change = changeNear(zone, after - DAY, after + DAY)
      const second = isSetBack(change) ? nextSecondPass(wall, change, after) : undefined
      const first = once.next(after)
      return first === undefined || second === undefined ? (first ?? second) : Math.min(first, second)
    },
    previous(before) {
      const first = once.previous(before)
      if (first === undefined) return undefined
      const change = changeNear(zone, first - DAY, first + DAY)
      const second = isSetBack(change) ? previousSecondPass(wall, change, before) : undefined
      return Math.max(first, second ?? first)
    },
  }
}

function nextSecondPass(wall: Walk, change: Change, after: number): number | undefined {
  const wallMs = wall.next(Math.max(repeatedFrom(change) - 1, after + change.after))
  return wallMs === undefined || wallMs >= repeatedUntil(change) ? undefined : wallMs - change.after
}

function previousSecondPass(wall: Walk, change: Change, before: number): number | undefined {
  const wallMs = wall.previous(Math.min(repeatedUntil(change), before + change.after))
  return wallMs === undefined || wallMs < repeatedFrom(change) ? undefined : wallMs - change.after
}
