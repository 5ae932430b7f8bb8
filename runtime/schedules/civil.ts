/**
 * The proleptic Gregorian calendar in plain numbers. A *wall time* is what a clock on the wall shows, held as the epoch
 * milliseconds that it would be if the wall hung in UTC; a *day* is a wall time in whole days.
 */

export const SECOND = 1_000
export const MINUTE = 60_000
export const HOUR = 3_600_000
export const DAY = 86_400_000

/** Schedules live in these years: nothing is planned before or after. It bounds every search for a next occurrence. */
export const FIRST_MS = Date.UTC(1970, 0, 1)
export const LAST_MS = Date.UTC(2200, 0, 1) - SECOND

/** A day with its parts. */
export interface CivilDay {
  readonly day: number
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly dayOfMonth: number
  /** 0 is Sunday. */
  readonly weekday: number
}

export const dayOf = (wallMs: number): number => Math.floor(wallMs / DAY)

/** Seconds since midnight. */
export const secondOfDay = (wallMs: number): number => Math.floor((wallMs - dayOf(wallMs) * DAY) / SECOND)

/** Months and days may be out of range, as for `Date.UTC`: day 0 is the last one of the month before. */
export const dayFrom = (year: number, month: number, dayOfMonth: number): number =>
  Date.UTC(year, month - 1, dayOfMonth) / DAY

export const daysInMonth = (year: number, month: number): number =>
  dayFrom(year, month + 1, 1) - dayFrom(year, month, 1)

/** 0 is Sunday. */
export const weekdayOf = (day: number): number => (((day + 4) % 7) + 7) % 7

export function civil(day: number): CivilDay {
  const date = new Date(day * DAY)
  return {
    day,
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    dayOfMonth: date.getUTCDate(),
    weekday: weekdayOf(day),
  }
}
