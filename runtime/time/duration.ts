/**
 * Durations and instants as users write them, read once into whole milliseconds. Inside Troupe a time span is a number
 * of milliseconds in a name that ends in `Ms`.
 */

import { ConfigError, describe } from '../errors.ts'

/**
 * A span of time: a number of milliseconds, text (`'250ms'`, `'30s'`, `'2m'`, `'1.5h'`, `'7d'`, `'1w'`, `'1h30m'`,
 * units in falling order), or an object whose parts are added up. A day has 24 hours. Fractions of a millisecond are rounded.
 */
export type Duration = number | string | DurationParts

/** A duration in parts: `{ minutes: 5 }`. Parts that are absent count as 0. */
export interface DurationParts {
  readonly days?: number
  readonly hours?: number
  readonly minutes?: number
  readonly seconds?: number
  readonly milliseconds?: number
}

const unitMs = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const
const partMs: Readonly<Record<string, number>> = {
  days: unitMs.d,
  hours: unitMs.h,
  minutes: unitMs.m,
  seconds: unitMs.s,
  milliseconds: unitMs.ms,
}

/** The longest duration: 100 years of 365.25 days. */
export const longestMs = 36_525 * unitMs.d

const amount = String.raw`\d+(?:\.\d+)?`
const durationText = new RegExp(
  `^${['w', 'd', 'h', 'm', 's', 'ms'].map((unit) => `(?:(${amount})${unit})?`).join('')}$`,
)
// Longer text is no duration, and is not worth a regular expression's time.
const longestText = 100

/**
 * A duration as whole milliseconds, from 0 to 100 years.
 *
 * @param name what the value is called where the user wrote it: `retry.backoff.base`
 * @throws ConfigError `INVALID_OPTION`
 */
export function parseDuration(value: unknown, name: string): number {
  const ms = Math.round(measure(value))
  if (ms >= 0 && ms <= longestMs) return ms
  const expected = `expected ${name} to be a duration such as "30s", "1h30m", { minutes: 5 } or a number of milliseconds`
  throw new ConfigError('INVALID_OPTION', `${expected}, ${problem(value, ms)}`, { data: { name } })
}

/** Milliseconds of a duration, `NaN` for everything else. */
function measure(value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value === 'string') return measureText(value)
  return typeof value === 'object' && value !== null ? measureParts(value) : NaN
}

function measureText(text: string): number {
  const match = text === '' || text.length > longestText ? null : durationText.exec(text)
  if (match === null) return NaN
  return Object.values(unitMs).reduce((sum, ms, index) => sum + Number(match[index + 1] ?? 0) * ms, 0)
}

function measureParts(parts: object): number {
  const entries = Object.entries(parts).filter(([, count]) => count !== undefined)
  if (entries.length === 0) return NaN
  return entries.reduce((sum, [part, count]) => {
    const known = Object.hasOwn(partMs, part) && typeof count === 'number' && count >= 0
    return known ? sum + count * (partMs[part] ?? NaN) : NaN
  }, 0)
}

function problem(value: unknown, ms: number): string {
  if (ms > longestMs) return `at most 100 years, got: ${describe(value)}`
  if (ms < 0) return `not negative, got: ${describe(value)}`
  const meant = typeof value === 'string' ? repair(value) : undefined
  return `got: ${describe(value)}${meant === undefined ? '' : `, did you mean "${meant}"?`}`
}

const longUnits: readonly (readonly [RegExp, string])[] = [
  [/milliseconds?|millis|msecs?/g, 'ms'],
  [/seconds?|secs?/g, 's'],
  [/minutes?|mins?/g, 'm'],
  [/hours?|hrs?/g, 'h'],
  [/days?/g, 'd'],
  [/weeks?|wks?/g, 'w'],
]

/** What text such as `30 sec` or `5000` was probably meant to be. */
function repair(text: string): string | undefined {
  if (text.length > longestText) return undefined
  const compact = text.toLowerCase().replaceAll(/[\s,]+|and/g, '')
  const short = longUnits.reduce((repaired, [long, unit]) => repaired.replaceAll(long, unit), compact)
  const meant = /^\d+$/.test(short) ? `${short}ms` : short
  return Number.isNaN(measureText(meant)) ? undefined : meant
}

/** A duration as short text that `parseDuration` reads back to the same value: `1h30m`, `250ms`, `0s`. */
export function formatDuration(ms: number): string {
  let rest = Math.round(Math.abs(ms))
  if (rest === 0) return '0s'
  let text = ms < 0 ? '-' : ''
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / unitMs[unit])
    if (count > 0) text += `${count}${unit}`
    rest -= count * unitMs[unit]
  }
  return text
}

const latestInstant = 8.64e15
const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,30})?(?:[Zz]|[+-]\d{2}:\d{2})$/

/**
 * A moment as epoch milliseconds: a `Date`, text of RFC 3339 with its offset (`2027-03-28T01:00:00Z`), or epoch milliseconds.
 * Leap seconds (`:60`) are refused, and so is a day that its month does not have.
 *
 * @throws ConfigError `INVALID_OPTION`
 */
export function parseInstant(value: unknown, name: string): number {
  const ms = instantMs(value)
  if (Math.abs(ms) <= latestInstant) return ms
  const expected = `expected ${name} to be a Date, epoch milliseconds or RFC 3339 text such as "2027-03-28T01:00:00Z"`
  throw new ConfigError('INVALID_OPTION', `${expected}, got: ${describeInstant(value)}`, { data: { name } })
}

function instantMs(value: unknown): number {
  if (value instanceof Date) return value.getTime()
  if (typeof value === 'number') return Math.round(value)
  return typeof value === 'string' ? parseRfc3339(value) : NaN
}

function parseRfc3339(text: string): number {
  const match = rfc3339.exec(text)
  if (match === null) return NaN
  const [, year, month, day] = match.map(Number)
  // `Date.parse` takes the 30th of February for the 2nd of March.
  const lastDay = new Date(Date.UTC(2000 + ((year ?? 0) % 400), month ?? 0, 0)).getUTCDate()
  return (day ?? 0) > lastDay ? NaN : Date.parse(text.toUpperCase().replace(' ', 'T'))
}

function describeInstant(value: unknown): string {
  return value instanceof Date ? 'an invalid Date' : describe(value)
}
