/** Small parts of speech. */

import { civil, SECOND } from '../civil.ts'
import { formatTimeOfDay } from '../moments.ts'
import { longMonths, longWeekdays, mondayFirst } from '../names.ts'

/** `a, b and c` */
export function listed(words: readonly string[], last = 'and'): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1) as string}`
}

/** `1st`, `22nd`, `113th` */
export function ordinal(number: number): string {
  const teens = number % 100 >= 11 && number % 100 <= 13
  const ending = teens ? 'th' : (['th', 'st', 'nd', 'rd'][number % 10] ?? 'th')
  return `${number}${ending}`
}

/** From the beginning or, below zero, from the end: `2nd`, `last`, `2nd to last`. */
export function place(number: number): string {
  if (number > 0) return ordinal(number)
  return number === -1 ? 'last' : `${ordinal(-number)} to last`
}

/** `minute`, `15 minutes` */
export const counted = (count: number, unit: string): string => (count === 1 ? unit : `${count} ${unit}s`)

/** `08:00, 12:00 and 20:00` */
export const timesOfDay = (seconds: readonly number[]): string => listed(seconds.map(formatTimeOfDay))

/** Numbers in order as runs: `[1, 2, 3, 7]` is `[[1, 3], [7, 7]]`. */
export function runs(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = []
  for (const number of numbers) {
    const run = found.at(-1)
    if (run !== undefined && run[1] === number - 1) run[1] = number
    else found.push([number, number])
  }
  return found
}

/** Runs of three and more as `a to b`, the rest one by one. */
function ranged(numbers: readonly number[], say: (number: number) => string, last: string): string {
  const parts = runs(numbers).flatMap(([from, to]) =>
    to - from >= 2 ? [`${say(from)} to ${say(to)}`] : from === to ? [say(from)] : [say(from), say(to)],
  )
  return listed(parts, last)
}

/** Numbers as `0 to 15 and 30`. */
export const numbersOf = (numbers: readonly number[]): string => ranged(numbers, String, 'and')

/** `Monday to Friday`, `Saturday and Sunday`; 0 is Sunday. */
export function weekdays(numbers: readonly number[], last = 'and'): string {
  const fromMonday = mondayFirst(numbers).map((number) => (number + 6) % 7)
  return ranged(fromMonday, (number) => longWeekdays[(number + 1) % 7] as string, last)
}

/** `January to March and July`; 1 is January. */
export const months = (numbers: readonly number[]): string =>
  ranged(numbers, (number) => longMonths[number - 1] as string, 'and')

/** `25 December` */
export const monthDay = (month: number, dayOfMonth: number): string =>
  `${dayOfMonth} ${longMonths[month - 1] as string}`

/** `14 July 2027` */
export function date(day: number): string {
  const { year, month, dayOfMonth } = civil(day)
  return `${monthDay(month, dayOfMonth)} ${year}`
}

const units = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const

/** `15 minutes`, `1 hour 30 minutes`. */
export function span(ms: number): string {
  let left = Math.round(ms / SECOND)
  const words: string[] = []
  for (const [unit, size] of units) {
    const count = Math.floor(left / size)
    if (count > 0) words.push(`${count} ${unit}${count === 1 ? '' : 's'}`)
    left %= size
  }
  return words.join(' ')
}

/** `every hour`, `every 1 minute 30 seconds`. */
export const every = (ms: number): string => `every ${span(ms).replace(/^1 (\w+)$/, '$1')}`
