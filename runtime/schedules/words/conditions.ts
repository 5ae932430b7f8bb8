/** Conditions in words. */

import type { ResolvedCondition } from '../conditions.ts'
import { parseDate, parseYearly } from '../moments.ts'
import { weekdayNames } from '../names.ts'
import { date, listed, monthDay, weekdays } from './phrases.ts'

/** More dates than this are only counted. */
const MOST_DATES = 6

/** What follows `only` or `except`. */
export function conditionWords(condition: ResolvedCondition): string {
  if ('between' in condition) return `between ${condition.between.join(' and ')}`
  if ('weekdays' in condition) return `on ${weekdays(condition.weekdays.map((day) => weekdayNames.indexOf(day)))}`
  if ('dates' in condition) return dateWords(condition.dates)
  if ('not' in condition) return `not ${nested(condition.not)}`
  const [parts, word] = 'and' in condition ? [condition.and, 'and'] : [condition.or, 'or']
  return parts.map((part) => (parts.length === 1 ? conditionWords(part) : nested(part))).join(` ${word} `)
}

function nested(condition: ResolvedCondition): string {
  const words = conditionWords(condition)
  return 'and' in condition || 'or' in condition ? `(${words})` : words
}

function dateWords(dates: readonly string[]): string {
  return dates.length > MOST_DATES ? `on ${dates.length} dates` : `on ${listed(dates.map(dateItem))}`
}

function dateItem(text: string): string {
  const [from = '', to] = text.split('/')
  return to === undefined ? oneDate(from) : `${oneDate(from)} to ${oneDate(to)}`
}

function oneDate(text: string): string {
  const yearly = parseYearly(text)
  return yearly === undefined ? date(parseDate(text) as number) : monthDay(...yearly)
}
