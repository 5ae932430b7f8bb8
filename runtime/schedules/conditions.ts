/**
 * Conditions that a rule's times have to meet: checking them, their normal form, and where they hold.
 *
 * They are asked of the wall clock at the moment of an occurrence. A time that a gap moved to the gap's end is asked there.
 */

import { civil, DAY, dayFrom, dayOf, daysInMonth, SECOND, weekdayOf } from './civil.ts'
import { formatTimeOfDay, parseDate, parseYearly, readTimeOfDay } from './moments.ts'
import { readWeekdays, type Weekday, weekdayNames } from './names.ts'
import { invalid, readObject, refuse } from './refuse.ts'

/**
 * A condition. Of several keys in one object all have to hold; of a list, any. Text is a date, as in `dates`: so
 * `except: ['12-25', '2027-04-05']` is a list of holidays.
 */
export type Condition = string | ConditionObject | readonly Condition[]

export interface ConditionObject {
  /** From a time of day (included) to another (not included), over midnight where the second is not later: `['22:00', '06:00']`. */
  readonly between?: readonly [string, string] | string
  /** `'mon-fri'`, `'sat,sun'`, `['mon', 'thu']`. */
  readonly weekdays?: string | readonly string[]
  /**
   * Dates `'2027-12-25'`, every year's `'12-25'`, and ranges of either with both ends included: `'2027-06-01/2027-08-31'`,
   * `'12-24/01-06'`, `{ from: '2027-06-01', to: '2027-08-31' }`.
   */
  readonly dates?: DateItem | readonly DateItem[]
  readonly and?: readonly Condition[]
  readonly or?: readonly Condition[]
  readonly not?: Condition
}

export type DateItem = string | { readonly from: string; readonly to: string }

/** A condition in normal form: one key each. */
export type ResolvedCondition =
  | { readonly between: readonly [string, string] }
  | { readonly weekdays: readonly Weekday[] }
  | { readonly dates: readonly string[] }
  | { readonly and: readonly ResolvedCondition[] }
  | { readonly or: readonly ResolvedCondition[] }
  | { readonly not: ResolvedCondition }

/** Whether a condition holds at a wall time, and the wall times around it in which that is so: from (included), until (not). */
export interface Span {
  readonly holds: boolean
  readonly from: number
  readonly until: number
}

/** Where a condition holds. */
export type Test = (wallMs: number) => Span

const keys = ['between', 'weekdays', 'dates', 'and', 'or', 'not'] as const
type Key = (typeof keys)[number]

/** Bounds of what one record may ask for. */
const DEEPEST = 16
const MOST = 1_000

/** @throws ConfigError `INVALID_SCHEDULE` */
export function resolveCondition(value: unknown, name: string, depth = 0): ResolvedCondition {
  if (depth > DEEPEST) return refuse(name, `a condition at most ${DEEPEST} deep`, value)
  if (typeof value === 'string') return { dates: readDates(value, name) }
  if (Array.isArray(value)) return anyOf(value, name, depth)
  const object = readObject(value, name, keys)
  const parts = keys.filter((key) => object[key] !== undefined)
  if (parts.length === 0) return refuse(name, `a condition with one of ${keys.join(', ')}`, value)
  const resolved = parts.map((key) => readers[key](object[key], `${name}.${key}`, depth))
  return resolved.length === 1 ? (resolved[0] as ResolvedCondition) : { and: resolved }
}

const readers: Readonly<Record<Key, (value: unknown, name: string, depth: number) => ResolvedCondition>> = {
  between: (value, name) => ({ between: readBetween(value, name) }),
  weekdays: (value, name) => ({ weekdays: readWeekdays(value, name).map((day) => weekdayNames[day] as Weekday) }),
  dates: (value, name) => ({ dates: readDates(value, name) }),
  and: (value, name, depth) => ({ and: readList(value, name, depth) }),
  or: (value, name, depth) => ({ or: readList(value, name, depth) }),
  not: (value, name, depth) => ({ not: resolveCondition(value, name, depth + 1) }),
}

function readList(value: unknown, name: string, depth: number): ResolvedCondition[] {
  const fits = Array.isArray(value) && value.length > 0 && value.length <= MOST
  if (!fits) return refuse(name, `a list of 1 to ${MOST} conditions`, value)
  return value.map((one, index) => resolveCondition(one, `${name}[${index}]`, depth + 1))
}

/** A list of nothing but texts is one list of dates. */
function anyOf(value: readonly unknown[], name: string, depth: number): ResolvedCondition {
  const isDates = value.length > 0 && value.every((one) => typeof one === 'string')
  return isDates ? { dates: readDates(value, name) } : { or: readList(value, name, depth) }
}

function readBetween(value: unknown, name: string): [string, string] {
  const ends: unknown = typeof value === 'string' ? value.split('-').map((end) => end.trim()) : value
  if (!Array.isArray(ends) || ends.length !== 2)
    return refuse(name, 'two times of day such as ["09:00", "17:00"]', value)
  const from = readTimeOfDay(ends[0], `${name}[0]`)
  const to = ends[1] === '24:00' ? 0 : readTimeOfDay(ends[1], `${name}[1]`)
  if (from === to)
    throw invalid(`expected ${name} to be two different times of day, got twice ${formatTimeOfDay(from)}`, name)
  return [formatTimeOfDay(from), formatTimeOfDay(to)]
}

function readDates(value: unknown, name: string): string[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (items.length === 0 || items.length > MOST) return refuse(name, `a list of 1 to ${MOST} dates`, value)
  return items.map((item, index) => readDateItem(item, Array.isArray(value) ? `${name}[${index}]` : name))
}

/** Dates and ranges as text. */
function readDateItem(value: unknown, name: string): string {
  const text = typeof value === 'object' ? rangeText(value, name) : value
  const range = typeof text === 'string' ? parseRange(text) : undefined
  if (range !== undefined && (range.kind === 'yearly' || range.from <= range.to)) return text as string
  return refuse(name, 'a date such as "2027-12-25" or "12-25", or a range such as "2027-06-01/2027-08-31"', value)
}

function rangeText(value: unknown, name: string): string {
  const { from, to } = readObject(value, name, ['from', 'to'])
  return `${String(from)}/${String(to)}`
}

type DateRange =
  | { readonly kind: 'fixed'; readonly from: number; readonly to: number }
  | { readonly kind: 'yearly'; readonly from: readonly [number, number]; readonly to: readonly [number, number] }

function parseRange(text: string): DateRange | undefined {
  const [first = '', last = first, ...more] = text.split('/')
  if (more.length > 0) return undefined
  const [from, to] = [parseDate(first), parseDate(last)]
  if (from !== undefined && to !== undefined) return { kind: 'fixed', from, to }
  const [start, end] = [parseYearly(first), parseYearly(last)]
  return start !== undefined && end !== undefined ? { kind: 'yearly', from: start, to: end } : undefined
}

/** What `only` and `except` of a rule come to; `undefined` where it has neither. */
export function conditionOf(rule: {
  readonly only?: ResolvedCondition
  readonly except?: ResolvedCondition
}): Test | undefined {
  const tests = [
    ...(rule.only === undefined ? [] : [compileCondition(rule.only)]),
    ...(rule.except === undefined ? [] : [inverse(compileCondition(rule.except))]),
  ]
  return tests.length > 1 ? allOf(tests) : tests[0]
}

function compileCondition(condition: ResolvedCondition): Test {
  if ('between' in condition) return betweenTest(condition.between)
  if ('weekdays' in condition) return weekdayTest(condition.weekdays.map((day) => weekdayNames.indexOf(day)))
  if ('dates' in condition) return someOf(condition.dates.map(dateTest))
  if ('and' in condition) return allOf(condition.and.map(compileCondition))
  return 'or' in condition ? someOf(condition.or.map(compileCondition)) : inverse(compileCondition(condition.not))
}

const inverse =
  (test: Test): Test =>
  (wallMs) => {
    const { holds, from, until } = test(wallMs)
    return { holds: !holds, from, until }
  }

const someOf = (tests: readonly Test[]): Test => inverse(allOf(tests.map(inverse)))

/** All hold: where their spans meet. One doesn't: the span of those that don't, taken together, and the first such ends the search. */
function allOf(tests: readonly Test[]): Test {
  return (wallMs) => {
    const spans = tests.map((test) => test(wallMs))
    const refusing = spans.filter(({ holds }) => !holds)
    const [from, until] = [spans.map((span) => span.from), spans.map((span) => span.until)]
    if (refusing.length === 0) return { holds: true, from: Math.max(...from), until: Math.min(...until) }
    return {
      holds: false,
      from: Math.min(...refusing.map((span) => span.from)),
      until: Math.max(...refusing.map((span) => span.until)),
    }
  }
}

function betweenTest(between: readonly [string, string]): Test {
  const [from, to] = between.map((time) => readTimeOfDay(time, 'between') * SECOND) as [number, number]
  const [first, second] = [Math.min(from, to), Math.max(from, to)]
  const isOver = from > to
  return (wallMs) => {
    const midnight = dayOf(wallMs) * DAY
    const time = wallMs - midnight
    if (time < first) return { holds: isOver, from: midnight - DAY + second, until: midnight + first }
    if (time >= second) return { holds: isOver, from: midnight + second, until: midnight + DAY + first }
    return { holds: !isOver, from: midnight + first, until: midnight + second }
  }
}

function weekdayTest(weekdays: readonly number[]): Test {
  const has = (day: number): boolean => weekdays.includes(weekdayOf(day))
  return (wallMs) => {
    const today = dayOf(wallMs)
    const holds = has(today)
    let [from, until] = [today, today + 1]
    while (until < today + 7 && has(until) === holds) until++
    while (from > today - 6 && has(from - 1) === holds) from--
    return { holds, from: from * DAY, until: until * DAY }
  }
}

function dateTest(text: string): Test {
  const range = parseRange(text) as DateRange
  const rangesIn = range.kind === 'fixed' ? () => [range] : (year: number) => yearlyRanges(range, year)
  return (wallMs) => {
    const today = dayOf(wallMs)
    const { year } = civil(today)
    return spanAmong(rangesIn(year), today, range.kind === 'fixed' ? undefined : year)
  }
}

interface Days {
  readonly from: number
  readonly to: number
}

/** Those around a year; 29 February is, in years without it, where it would begin or end a range, and no day by itself. */
function yearlyRanges({ from, to }: DateRange & { kind: 'yearly' }, year: number): Days[] {
  const wraps = from[0] * 100 + from[1] > to[0] * 100 + to[1]
  return [year - 1, year, year + 1]
    .map((start) => {
      const end = wraps ? start + 1 : start
      return {
        from: dayFrom(start, from[0], from[1]),
        to: dayFrom(end, to[0], Math.min(to[1], daysInMonth(end, to[0]))),
      }
    })
    .filter((days) => days.from <= days.to)
}

/** The span around a day: in one of the ranges, or between them; beyond them nothing is known of years out of sight. */
function spanAmong(ranges: readonly Days[], today: number, year: number | undefined): Span {
  const own = ranges.find(({ from, to }) => from <= today && today <= to)
  if (own !== undefined) return { holds: true, from: own.from * DAY, until: (own.to + 1) * DAY }
  const [earliest, latest] =
    year === undefined ? [-Infinity, Infinity] : [dayFrom(year - 1, 1, 1), dayFrom(year + 2, 1, 1)]
  const before = ranges.filter(({ to }) => to < today).map(({ to }) => to + 1)
  const after = ranges.filter(({ from }) => from > today).map(({ from }) => from)
  return { holds: false, from: Math.max(earliest, ...before) * DAY, until: Math.min(latest, ...after) * DAY }
}
