/** Weekdays and months by name, as people write them. */

import { describe, didYouMean } from '../errors.ts'
import { invalid, refuse } from './refuse.ts'

/** In the order of `CivilDay.weekday`. */
export const weekdayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
export type Weekday = (typeof weekdayNames)[number]

/** The first is number 1. */
export const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] as const
export type Month = (typeof monthNames)[number]

export const longWeekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const
export const longMonths = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const

/** Weekdays in the order of a working week. */
export const mondayFirst = (weekdays: readonly number[]): number[] =>
  [...weekdays].sort((a, b) => ((a + 6) % 7) - ((b + 6) % 7))

/** The index of a name, short or long, in any case; `undefined` for others. */
function indexIn(word: string, short: readonly string[], long: readonly string[]): number | undefined {
  const small = word.trim().toLowerCase()
  const index = Math.max(short.indexOf(small), long.map((name) => name.toLowerCase()).indexOf(small))
  return index < 0 ? undefined : index
}

function readName(word: string, name: string, short: readonly string[], long: readonly string[]): number {
  const index = indexIn(word, short, long)
  if (index !== undefined) return index
  const hint = didYouMean(word, [...short, ...long])
  throw invalid(`expected ${name} to be one of ${short.join(', ')}, got: ${describe(word)}${hint}`, name)
}

/**
 * Weekdays: `'tue'`, `'Tuesday'`, `'mon-fri'`, `'mon,wed'`, or a list of those.
 *
 * @returns their numbers, Monday first, without repeats
 */
export function readWeekdays(value: unknown, name: string): number[] {
  const texts = Array.isArray(value) ? value : [value]
  if (texts.length === 0) return refuse(name, 'a list with something in it', value)
  return mondayFirst([...new Set(texts.flatMap((text) => weekdaysIn(text, name)))])
}

function weekdaysIn(text: unknown, name: string): number[] {
  if (typeof text !== 'string') return refuse(name, 'weekdays such as "tue", "mon-fri" or ["mon", "thu"]', text)
  return text.split(',').flatMap((part) => {
    const [from = '', to = from, ...more] = part.split('-')
    if (more.length > 0) return refuse(name, 'weekdays such as "tue", "mon-fri" or ["mon", "thu"]', text)
    const [first, last] = [from, to].map((word) => readName(word, name, weekdayNames, longWeekdays)) as [number, number]
    return Array.from({ length: ((last - first + 7) % 7) + 1 }, (_, index) => (first + index) % 7)
  })
}

/** A month: `'jan'`, `'January'` or 1 to 12, as its number. */
export function readMonth(value: unknown, name: string): number {
  if (typeof value === 'string') return readName(value, name, monthNames, longMonths) + 1
  const isNumber = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 12
  return isNumber ? value : refuse(name, 'a month such as "jan" or 1', value)
}
