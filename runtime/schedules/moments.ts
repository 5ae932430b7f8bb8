/** Moments, wall times, dates and times of day as text. */

import { civil, DAY, dayFrom, daysInMonth, SECOND } from './civil.ts'
import { refuse } from './refuse.ts'

/** RFC 3339 in UTC; without fractions where there are none: `2027-03-28T01:00:00Z`. */
export function formatMoment(ms: number): string {
  const text = new Date(ms).toISOString()
  return ms % SECOND === 0 ? `${text.slice(0, -5)}Z` : text
}

const wallText = /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?))?$/

/** A wall time without offset, `2027-03-28T09:00` or `2027-03-28`, as wall milliseconds; `undefined` for all else. */
export function parseWall(value: unknown): number | undefined {
  const match = typeof value === 'string' ? wallText.exec(value) : null
  const day = parseDate(match?.[1])
  const second = parseTimeOfDay(match?.[2] ?? '00:00')
  return day === undefined || second === undefined ? undefined : day * DAY + second * SECOND
}

/** `2027-03-28T09:00:00` */
export const formatWall = (wallMs: number): string => new Date(wallMs).toISOString().slice(0, 19)

/** `2027-03-28` as a day; `undefined` for all else, and for days that their month doesn't have. */
export function parseDate(value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^(\d{4})-(\d{2})-(\d{2})$/.exec(value) : null
  if (match === null) return undefined
  const [year, month, dayOfMonth] = match.slice(1).map(Number) as [number, number, number]
  const exists = year >= 1970 && year < 2200 && month >= 1 && month <= 12 && dayOfMonth >= 1
  return exists && dayOfMonth <= daysInMonth(year, month) ? dayFrom(year, month, dayOfMonth) : undefined
}

export const formatDate = (day: number): string => new Date(day * DAY).toISOString().slice(0, 10)

/** `2027-03-28` as a day. */
export function readDate(value: unknown, name: string): number {
  return parseDate(value) ?? refuse(name, 'a date from 1970 to 2199 such as "2027-03-28"', value)
}

/** `09:00`, `9:00` or `09:00:30` as seconds since midnight; `undefined` for all else. */
export function parseTimeOfDay(value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(value) : null
  if (match === null) return undefined
  const [hour, minute, second] = [match[1], match[2], match[3] ?? 0].map(Number) as [number, number, number]
  return hour < 24 && minute < 60 && second < 60 ? hour * 3_600 + minute * 60 + second : undefined
}

/** `09:00` as seconds since midnight. */
export function readTimeOfDay(value: unknown, name: string): number {
  return parseTimeOfDay(value) ?? refuse(name, 'a time of day such as "08:00" or "23:59:30"', value)
}

/** `09:00`, with seconds where there are any. */
export function formatTimeOfDay(second: number): string {
  const text = new Date(second * SECOND).toISOString().slice(11, 19)
  return second % 60 === 0 ? text.slice(0, 5) : text
}

/** A day that comes every year, `12-25`, as month and day; `undefined` for all else. 29 February counts as one. */
export function parseYearly(value: unknown): readonly [month: number, dayOfMonth: number] | undefined {
  const match = typeof value === 'string' ? /^(\d{2})-(\d{2})$/.exec(value) : null
  const day = match === null ? undefined : parseDate(`2000-${match[1]}-${match[2]}`)
  if (day === undefined) return undefined
  const { month, dayOfMonth } = civil(day)
  return [month, dayOfMonth]
}
