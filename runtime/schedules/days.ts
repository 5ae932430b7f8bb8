/**
 * Walks of wall times that are days of a kind at times of a kind: what cron and calendar rules come down to.
 * Whole months are skipped, so that even the rarest day (29 February on a given weekday) is found in microseconds.
 */

import { civil, type CivilDay, DAY, dayFrom, dayOf, FIRST_MS, LAST_MS, SECOND, secondOfDay } from './civil.ts'
import type { Walk } from './walk.ts'

/** Seconds of a day at which a rule has times, in ascending order. Both searches include the given second. */
export interface TimesOfDay {
  from(second: number): number | undefined
  downFrom(second: number): number | undefined
}

export interface DayRule {
  readonly times: TimesOfDay
  monthMatches(year: number, month: number): boolean
  /** Asked only of days in months that match. */
  dayMatches(day: CivilDay): boolean
}

const LAST_SECOND = DAY / SECOND - 1
const FIRST_DAY = dayOf(FIRST_MS) - 1
const LAST_DAY = dayOf(LAST_MS) + 1

/** The wall times of a rule. */
export function dayWalk(rule: DayRule): Walk {
  return {
    next(after) {
      const from = Math.max(Math.floor(after / SECOND) * SECOND + SECOND, FIRST_DAY * DAY)
      const today = timeOn(rule, dayOf(from), rule.times.from(secondOfDay(from)))
      return today ?? wallOf(nextDay(rule, dayOf(from) + 1), rule.times.from(0))
    },
    previous(before) {
      const from = Math.min(Math.ceil(before / SECOND) * SECOND - SECOND, (LAST_DAY + 1) * DAY - SECOND)
      const today = timeOn(rule, dayOf(from), rule.times.downFrom(secondOfDay(from)))
      return today ?? wallOf(previousDay(rule, dayOf(from) - 1), rule.times.downFrom(LAST_SECOND))
    },
  }
}

function timeOn(rule: DayRule, day: number, second: number | undefined): number | undefined {
  if (second === undefined) return undefined
  const date = civil(day)
  return rule.monthMatches(date.year, date.month) && rule.dayMatches(date) ? wallOf(day, second) : undefined
}

const wallOf = (day: number | undefined, second: number | undefined): number | undefined =>
  day === undefined || second === undefined ? undefined : day * DAY + second * SECOND

function nextDay(rule: DayRule, from: number): number | undefined {
  let day = from
  while (day <= LAST_DAY) {
    const date = civil(day)
    if (!rule.monthMatches(date.year, date.month)) day = dayFrom(date.year, date.month + 1, 1)
    else if (rule.dayMatches(date)) return day
    else day++
  }
  return undefined
}

function previousDay(rule: DayRule, from: number): number | undefined {
  let day = from
  while (day >= FIRST_DAY) {
    const date = civil(day)
    if (!rule.monthMatches(date.year, date.month)) day = dayFrom(date.year, date.month, 0)
    else if (rule.dayMatches(date)) return day
    else day--
  }
  return undefined
}
