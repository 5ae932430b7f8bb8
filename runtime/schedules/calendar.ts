/**
 * Calendar rules: days by what people call them, at times of day. What is said narrows: of `weekday`, `dayOfMonth`, `workday`, `month`
 * and `every` all have to match (in cron text it is day of month *or* weekday).
 *
 * In normal form every default is written out, so that a stored rule says by itself what it means.
 */

import { civil, type CivilDay, dayFrom, daysInMonth, weekdayOf } from './civil.ts'
import { type DayRule, dayWalk, type TimesOfDay } from './days.ts'
import { formatDate, formatTimeOfDay, readDate, readTimeOfDay } from './moments.ts'
import { type Month, monthNames, readMonth, readWeekdays, type Weekday, weekdayNames } from './names.ts'
import { invalid, readObject, readSome, readWhole, refuse } from './refuse.ts'
import type { Source } from './source.ts'
import { sortedUnique } from './walk.ts'
import { zoned } from './zoned.ts'

/** Days and times of day. `{ dayOfMonth: -1, at: '23:30' }`; `{ weekday: 'tue', nth: 2, at: '09:00' }`; `{ every: 'quarter' }`. */
export interface CalendarDays {
  /** Times of day: `'23:30'`, `['08:00', '20:00']`. Default: midnight. */
  readonly at?: string | readonly string[]
  /** `'tue'`, `'mon-fri'`, `['mon', 'thu']`. */
  readonly weekday?: string | readonly string[]
  /** Beside `weekday`: only the nth of its kind in the month, 1 to 5; -1 is the last, -2 the one before. */
  readonly nth?: number | readonly number[]
  /** 1 to 31; -1 is the last, -2 the one before. Months without that day are left out. */
  readonly dayOfMonth?: number | readonly number[]
  /** The nth day of the month that is a Monday to Friday; -1 is the last. */
  readonly workday?: number | readonly number[]
  /** `'jan'`, 1, `['mar', 'sep']`. Default: every month. */
  readonly month?: string | number | readonly (string | number)[]
  /**
   * Only every nth day, week, month or year: `'other week'`, `'2 weeks'`, `'quarter'`, `{ months: 2 }`. Weeks begin on Monday, quarters
   * in January. Without any day that is said, it is the anchor's (its weekday, its day of the month), or else the first.
   */
  readonly every?: string | CalendarInterval
  /** A date from which `every` is counted, in both directions. Needed where the calendar has no beginning of its own: every other week. */
  readonly anchor?: string
}

/** Exactly one of these. */
export interface CalendarInterval {
  readonly days?: number
  readonly weeks?: number
  readonly months?: number
  readonly years?: number
}

export interface ResolvedCalendar {
  readonly at: readonly string[]
  readonly weekday?: readonly Weekday[]
  readonly nth?: readonly number[]
  readonly dayOfMonth?: readonly number[]
  readonly workday?: readonly number[]
  readonly month?: readonly Month[]
  readonly every?: CalendarInterval
  readonly anchor?: string
}

export const calendarSource: Source = {
  options: [],
  resolve: ({ calendar }, name) => ({ calendar: resolveCalendar(calendar, `${name}.calendar`) }),
  walk: ({ calendar }, zone, repeated) => zoned(dayWalk(dayRule(calendar as ResolvedCalendar)), zone, repeated),
}

const keys = ['at', 'weekday', 'nth', 'dayOfMonth', 'workday', 'month', 'every', 'anchor'] as const

type Draft = { -readonly [K in keyof ResolvedCalendar]: ResolvedCalendar[K] }

function resolveCalendar(value: unknown, name: string): ResolvedCalendar {
  const given = readObject(value, name, keys)
  const times = readSome(given['at'] ?? '00:00', `${name}.at`, readTimeOfDay)
  const draft: Draft = { at: sortedUnique(times).map(formatTimeOfDay) }
  if (given['weekday'] !== undefined) draft.weekday = weekdaysOf(readWeekdays(given['weekday'], `${name}.weekday`))
  for (const [key, most] of [
    ['nth', 5],
    ['dayOfMonth', 31],
    ['workday', 23],
  ] as const) {
    if (given[key] !== undefined) draft[key] = readCounts(given[key], `${name}.${key}`, most)
  }
  if (given['month'] !== undefined) draft.month = monthsOf(readSome(given['month'], `${name}.month`, readMonth))
  if (given['every'] !== undefined) draft.every = readInterval(given['every'], `${name}.every`)
  if (given['anchor'] !== undefined) draft.anchor = formatDate(readDate(given['anchor'], `${name}.anchor`))
  refuseNonsense(draft, name)
  return inOrder({ ...draft, ...defaultDays(draft) })
}

/** Keys in one order, so that equal rules are equal as text. */
const inOrder = (calendar: ResolvedCalendar): ResolvedCalendar => {
  const entries = keys.flatMap((key) => (calendar[key] === undefined ? [] : [[key, calendar[key]] as const]))
  return Object.fromEntries(entries) as unknown as ResolvedCalendar
}

const weekdaysOf = (numbers: readonly number[]): Weekday[] => numbers.map((number) => weekdayNames[number] as Weekday)
const monthsOf = (numbers: readonly number[]): Month[] =>
  sortedUnique(numbers).map((number) => monthNames[number - 1] as Month)

/** From the beginning or, below zero, from the end. */
function readCounts(value: unknown, name: string, most: number): number[] {
  const read = (one: unknown, at: string): number =>
    one === 0 ? refuse(at, `1 to ${most}, or -1 to -${most} from the end`, one) : readWhole(one, at, -most, most)
  return sortedUnique(readSome(value, name, read))
}

const units = ['day', 'week', 'month', 'year'] as const
const words: Readonly<Record<string, CalendarInterval>> = { quarter: { months: 3 }, 'other quarter': { months: 6 } }
const MOST_UNITS = 1_000

function readInterval(value: unknown, name: string): CalendarInterval {
  if (typeof value === 'string') return intervalOf(value.trim().toLowerCase()) ?? refuse(name, intervalForm, value)
  const parts = Object.entries(
    readObject(
      value,
      name,
      units.map((unit) => `${unit}s`),
    ),
  )
  const [part] = parts.filter(([, count]) => count !== undefined)
  if (part === undefined || parts.length !== 1) return refuse(name, intervalForm, value)
  return { [part[0]]: readWhole(part[1], `${name}.${part[0]}`, 1, MOST_UNITS) }
}

const intervalForm = 'an interval such as "other week", "2 weeks", "quarter" or { months: 2 }'

/** `week`, `other week`, `2 weeks`. */
function intervalOf(text: string): CalendarInterval | undefined {
  if (Object.hasOwn(words, text)) return words[text]
  const match = /^(?:(other|[1-9]\d{0,2}) )?(day|week|month|year)s?$/.exec(text)
  if (match === null) return undefined
  return { [`${match[2]}s`]: match[1] === 'other' ? 2 : Number(match[1] ?? 1) }
}

function refuseNonsense(draft: Draft, name: string): void {
  const { weekday, nth, dayOfMonth, workday, every, anchor } = draft
  if (nth !== undefined && weekday === undefined)
    throw invalid(`${name}.nth means nothing without weekday`, `${name}.nth`)
  if (workday !== undefined && (weekday ?? dayOfMonth) !== undefined) {
    throw invalid(`${name}.workday means nothing beside weekday or dayOfMonth: leave one out`, `${name}.workday`)
  }
  if (anchor !== undefined && every === undefined)
    throw invalid(`${name}.anchor means nothing without every`, `${name}.anchor`)
  if (anchor === undefined && every !== undefined && !hasOwnBeginning(every)) {
    const example = 'a date to count from, such as "2027-01-04"'
    throw invalid(
      `expected ${name}.anchor to be ${example}, since every ${formatInterval(every)} may begin anywhere`,
      `${name}.anchor`,
    )
  }
}

/** Intervals that divide the year, and those of one. */
const hasOwnBeginning = ({ days = 1, weeks = 1, months = 1, years = 1 }: CalendarInterval): boolean =>
  days === 1 && weeks === 1 && years === 1 && 12 % months === 0

/** `2 weeks`, `month`. */
export function formatInterval(interval: CalendarInterval): string {
  const [[unit, count]] = Object.entries(interval) as [[string, number]]
  return count === 1 ? unit.slice(0, -1) : `${count} ${unit}`
}

/** The days that an interval means by itself. */
function defaultDays(draft: Draft): Partial<ResolvedCalendar> {
  const { weekday, dayOfMonth, workday, month, every } = draft
  const anchor = draft.anchor === undefined ? undefined : civil(readDate(draft.anchor, 'anchor'))
  const isOpen = (weekday ?? dayOfMonth ?? workday) === undefined
  if (every?.weeks !== undefined) return isOpen ? { weekday: weekdaysOf([anchor?.weekday ?? 1]) } : {}
  if (every?.days !== undefined || (every === undefined && month === undefined)) return {}
  return {
    ...(isOpen ? { dayOfMonth: [anchor?.dayOfMonth ?? 1] } : {}),
    ...(every?.years !== undefined && month === undefined ? { month: monthsOf([anchor?.month ?? 1]) } : {}),
  }
}

function dayRule(calendar: ResolvedCalendar): DayRule {
  const { weekday, nth, dayOfMonth, workday, month, every, anchor } = calendar
  const months = month?.map((name) => monthNames.indexOf(name) + 1)
  const weekdays = weekday?.map((name) => weekdayNames.indexOf(name))
  const from = civil(anchor === undefined ? 0 : readDate(anchor, 'anchor'))
  const tests = [
    ...(weekdays === undefined ? [] : [(day: CivilDay) => weekdays.includes(day.weekday)]),
    ...(nth === undefined ? [] : [(day: CivilDay) => isCounted(nth, weekdayPlace(day))]),
    ...(dayOfMonth === undefined ? [] : [(day: CivilDay) => isCounted(dayOfMonth, monthPlace(day))]),
    ...(workday === undefined ? [] : [(day: CivilDay) => isCounted(workday, workdayPlace(day))]),
    ...(every === undefined ? [] : [(day: CivilDay) => isDayOf(every, from, day)]),
  ]
  return {
    times: timesOf(calendar.at),
    monthMatches: (year, number) => (months?.includes(number) ?? true) && isMonthOf(every, from, year, number),
    dayMatches: (day) => tests.every((test) => test(day)),
  }
}

/** Every day and every week that an interval takes. */
function isDayOf({ days, weeks }: CalendarInterval, from: CivilDay, { day }: CivilDay): boolean {
  if (days !== undefined) return (day - from.day) % days === 0
  return weeks === undefined || (weekOf(day) - weekOf(from.day)) % weeks === 0
}

/** Weeks, each from a Monday. */
const weekOf = (day: number): number => Math.floor((day + 3) / 7)

/** Without an anchor it counts from a January: `from` is of January 1970. */
function isMonthOf(every: CalendarInterval | undefined, from: CivilDay, year: number, month: number): boolean {
  const { months, years } = every ?? {}
  if (months !== undefined) return ((year - from.year) * 12 + month - from.month) % months === 0
  return years === undefined || (year - from.year) % years === 0
}

/** A place from the beginning, from 1, and from the end, from -1. */
type Place = readonly [fromStart: number, fromEnd: number]

const isCounted = (counts: readonly number[], [fromStart, fromEnd]: Place): boolean =>
  counts.includes(fromStart) || counts.includes(fromEnd)

function monthPlace({ year, month, dayOfMonth }: CivilDay): Place {
  return [dayOfMonth, dayOfMonth - daysInMonth(year, month) - 1]
}

/** Which Tuesday of the month. */
function weekdayPlace({ year, month, dayOfMonth }: CivilDay): Place {
  return [Math.ceil(dayOfMonth / 7), -Math.ceil((daysInMonth(year, month) - dayOfMonth + 1) / 7)]
}

/** Which Monday to Friday of the month; [0, 0] for others, which no count is. */
function workdayPlace({ year, month, dayOfMonth, weekday }: CivilDay): Place {
  if (!isWorkday(weekday)) return [0, 0]
  const first = dayFrom(year, month, 1)
  const last = daysInMonth(year, month)
  return [workdaysIn(first, first + dayOfMonth - 1), -workdaysIn(first + dayOfMonth - 1, first + last - 1)]
}

const isWorkday = (weekday: number): boolean => weekday >= 1 && weekday <= 5

function workdaysIn(from: number, to: number): number {
  let count = 0
  for (let day = from; day <= to; day++) if (isWorkday(weekdayOf(day))) count++
  return count
}

function timesOf(at: readonly string[]): TimesOfDay {
  const seconds = at.map((time) => readTimeOfDay(time, 'at'))
  return {
    from: (second) => seconds.find((time) => time >= second),
    downFrom: (second) => seconds.findLast((time) => time <= second),
  }
}
