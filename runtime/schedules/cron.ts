/**
 * Cron text: what it says, and its days and times.
 *
 * Own parser, because what users expect (W, LW, L-3, lists of `#`, ranges over midnight or the weekend, repeats in a list, no chance
 * behind `H`) is not what cron-parser reads; tests hold the two against each other where they must agree.
 *
 * The rules: 5 fields (minute hour day-of-month month weekday) or 6 (second in front). Weekdays are 0 to 7, 0 and 7 are Sunday. Where
 * day of month and weekday are both restricted (neither is `*` or `?`), a day has to match *one* of them, as in Unix cron.
 */

import { describe, didYouMean } from '../errors.ts'
import { type CivilDay, dayFrom, daysInMonth, weekdayOf } from './civil.ts'
import { type DayRule, dayWalk, type TimesOfDay } from './days.ts'
import { monthNames, weekdayNames } from './names.ts'
import { invalid, refuse } from './refuse.ts'
import { sortedUnique, type Walk } from './walk.ts'

/** A day of the month: that day, the last one or some days before it (`L-3`), the Monday-to-Friday day next to it (`15W`, `LW`). */
export type MonthDay =
  | { readonly kind: 'day'; readonly day: number }
  | { readonly kind: 'fromEnd'; readonly daysBefore: number }
  | { readonly kind: 'workday'; readonly day: number }
  | { readonly kind: 'lastWorkday' }

/** A weekday: each, the nth of its month (`tue#2`), the last of its month (`friL`). 0 is Sunday. */
export type CronWeekday =
  | { readonly kind: 'each'; readonly weekday: number }
  | { readonly kind: 'nth'; readonly weekday: number; readonly nth: number }
  | { readonly kind: 'last'; readonly weekday: number }

/** What cron text says. Lists are in ascending order; `undefined` days are unrestricted. */
export interface CronFields {
  readonly seconds: readonly number[]
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly monthDays: readonly MonthDay[] | undefined
  readonly months: readonly number[]
  readonly weekdays: readonly CronWeekday[] | undefined
}

/** `@daily` and the like. */
export const cronNicknames: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekdays': '0 0 * * 1-5',
  '@weekends': '0 0 * * 0,6',
  '@hourly': '0 * * * *',
  '@minutely': '* * * * *',
  '@secondly': '* * * * * *',
}

interface Field {
  readonly title: string
  readonly least: number
  readonly most: number
  /** What names stand for: the index of the first is `least`. */
  readonly names?: readonly string[]
  /** A range may go over the end, as in `22-6` or `fri-mon`. */
  readonly wraps?: true
}

const SECONDS: Field = { title: 'second', least: 0, most: 59 }
const MINUTES: Field = { title: 'minute', least: 0, most: 59 }
const HOURS: Field = { title: 'hour', least: 0, most: 23, wraps: true }
const MONTH_DAYS: Field = { title: 'day-of-month', least: 1, most: 31 }
const MONTHS: Field = { title: 'month', least: 1, most: 12, names: monthNames, wraps: true }
const WEEKDAYS: Field = { title: 'weekday', least: 0, most: 6, names: weekdayNames, wraps: true }

const LONGEST = 1_024

/** Cron text with single spaces; the only thing that is not kept as it was written. */
export const tidyCron = (text: string): string => text.trim().replaceAll(/\s+/g, ' ')

/**
 * What cron text says.
 *
 * @throws ConfigError `INVALID_SCHEDULE`, naming the field
 */
export function parseCron(value: unknown, name: string): CronFields {
  if (typeof value !== 'string' || value.length > LONGEST)
    return refuse(name, 'cron text such as "0 8 * * mon-fri"', value)
  const parts = expandNickname(tidyCron(value), name).split(' ')
  if (parts.length !== 5 && parts.length !== 6) return refuse(name, arity(parts.length), value)
  const [second, minute, hour, monthDay, month, weekday] = (parts.length === 5 ? ['0', ...parts] : parts) as Six
  return {
    seconds: parseField(second, SECONDS, name),
    minutes: parseField(minute, MINUTES, name),
    hours: parseField(hour, HOURS, name),
    monthDays: isAny(monthDay) ? undefined : monthDay.split(',').flatMap((item) => parseMonthDay(item, name)),
    months: parseField(month, MONTHS, name),
    weekdays: isAny(weekday) ? undefined : weekday.split(',').flatMap((item) => parseWeekday(item, name)),
  }
}

type Six = [string, string, string, string, string, string]

const isAny = (field: string): boolean => field === '*' || field === '?'

const arity = (count: number): string =>
  `cron text of 5 fields (minute hour day-of-month month weekday) or 6 (second in front), not ${count}`

function expandNickname(text: string, name: string): string {
  if (!text.startsWith('@')) return text
  const nickname = text.toLowerCase()
  if (Object.hasOwn(cronNicknames, nickname)) return cronNicknames[nickname] as string
  const hint = didYouMean(nickname, Object.keys(cronNicknames))
  throw invalid(
    `expected ${name} to be one of ${Object.keys(cronNicknames).join(', ')}, got: ${describe(text)}${hint}`,
    name,
  )
}

/** A list of values, ranges and steps. */
function parseField(text: string, field: Field, name: string): number[] {
  return sortedUnique(text.split(',').flatMap((item) => parseItem(item, field, name)))
}

/** `*`, `5`, `mon`, `1-5`, and each of those with `/step`; a bare value with a step goes on to the field's end. */
function parseItem(item: string, field: Field, name: string): number[] {
  const [base = '', step, ...more] = item.split('/')
  if (more.length > 0) return refuseItem(item, field, name)
  const by = step === undefined ? 1 : parseStep(step, item, field, name)
  if (isAny(base)) return span(field.least, field.most, by)
  const [from = '', to, ...rest] = base.split('-')
  if (rest.length > 0) return refuseItem(item, field, name)
  const first = parseValue(from, item, field, name)
  if (to === undefined) return step === undefined ? [first] : span(first, field.most, by)
  return range(first, parseValue(to, item, field, name), by, field) ?? refuseItem(item, field, name)
}

const span = (from: number, to: number, by: number): number[] =>
  Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, index) => from + index * by)

/** From one value to another, over the end where the field is a circle; `undefined` where it isn't. */
function range(from: number, to: number, by: number, field: Field): number[] | undefined {
  if (from <= to) return span(from, to, by)
  if (field.wraps !== true) return undefined
  const size = field.most - field.least + 1
  return span(from, to + size, by).map((value) => (value > field.most ? value - size : value))
}

function parseStep(text: string, item: string, field: Field, name: string): number {
  const step = /^\d{1,4}$/.test(text) ? Number(text) : 0
  const size = field.most - field.least + 1
  if (step >= 1 && step <= size) return step
  const advice = step > size ? `; for longer spans there is every: "…" instead of cron` : ''
  throw invalid(
    `expected a step from 1 to ${size} in the ${field.title} field of ${name}, got: ${describe(item)}${advice}`,
    name,
  )
}

function parseValue(text: string, item: string, field: Field, name: string): number {
  const named = field.names?.indexOf(text.toLowerCase()) ?? -1
  if (named >= 0) return named + field.least
  const value = /^\d{1,4}$/.test(text) ? Number(text) : NaN
  // 7 is Sunday's other number.
  if (field === WEEKDAYS && value === 7) return 0
  return value >= field.least && value <= field.most ? value : refuseItem(item, field, name, text)
}

function refuseItem(item: string, field: Field, name: string, word = item): never {
  const names = field.names === undefined ? '' : ` or ${field.names[0]} to ${field.names.at(-1)}`
  const expected = `expected the ${field.title} field of ${name} to have ${field.least} to ${field.most}${names}`
  const hint = field.names === undefined ? '' : didYouMean(word, field.names)
  const hashed = /^H\b/.test(item) ? '; H is not known here: spread schedules with jitter' : ''
  throw invalid(`${expected}, as values, ranges, steps and lists, got: ${describe(item)}${hint}${hashed}`, name)
}

function parseMonthDay(item: string, name: string): MonthDay[] {
  const upper = item.toUpperCase()
  if (upper === 'LW' || upper === 'WL') return [{ kind: 'lastWorkday' }]
  const last = /^L(?:-(\d{1,2}))?$/.exec(upper)
  if (last !== null)
    return [{ kind: 'fromEnd', daysBefore: within(Number(last[1] ?? 0), 0, 30, item, MONTH_DAYS, name) }]
  const workday = /^(\d{1,2})W$/.exec(upper)
  if (workday !== null) return [{ kind: 'workday', day: within(Number(workday[1]), 1, 31, item, MONTH_DAYS, name) }]
  return parseItem(item, MONTH_DAYS, name).map((day) => ({ kind: 'day', day }))
}

function parseWeekday(item: string, name: string): CronWeekday[] {
  const nth = /^(\w+)#(\d)$/.exec(item)
  if (nth !== null) {
    const weekday = parseValue(nth[1] as string, item, WEEKDAYS, name)
    return [{ kind: 'nth', weekday, nth: within(Number(nth[2]), 1, 5, item, WEEKDAYS, name) }]
  }
  const last = /^(\w+)L$/i.exec(item)
  if (last !== null) return [{ kind: 'last', weekday: parseValue(last[1] as string, item, WEEKDAYS, name) }]
  return parseWeekdays(item, name)
}

/** 7 as the end of a range is the Sunday after Saturday, so that `5-7` and `0-7` are what they look like. */
function parseWeekdays(item: string, name: string): CronWeekday[] {
  const numbers = /^[07]-7(?=\/|$)/.test(item)
    ? parseItem(item.replace(/^[07]-7/, '*'), WEEKDAYS, name)
    : parseItem(item, WEEKDAYS, name)
  return numbers.map((weekday) => ({ kind: 'each', weekday }))
}

function within(value: number, least: number, most: number, item: string, field: Field, name: string): number {
  return value >= least && value <= most ? value : refuseItem(item, field, name)
}

/** The wall times that cron text means. */
export function cronWalk(fields: CronFields): Walk {
  return dayWalk(dayRule(fields))
}

function dayRule(fields: CronFields): DayRule {
  const { months, monthDays, weekdays } = fields
  const isMonthDay = (day: CivilDay): boolean => monthDays?.some((one) => matchesMonthDay(one, day)) ?? false
  const isWeekday = (day: CivilDay): boolean => weekdays?.some((one) => matchesWeekday(one, day)) ?? false
  const isEveryDay = monthDays === undefined && weekdays === undefined
  return {
    times: timesOf(fields),
    monthMatches: (_year, month) => months.includes(month),
    dayMatches: (day) => isEveryDay || isMonthDay(day) || isWeekday(day),
  }
}

function matchesMonthDay(rule: MonthDay, { year, month, dayOfMonth }: CivilDay): boolean {
  if (rule.kind === 'day') return rule.day === dayOfMonth
  const last = daysInMonth(year, month)
  if (rule.kind === 'fromEnd') return last - rule.daysBefore === dayOfMonth
  return workdayNear(year, month, rule.kind === 'lastWorkday' ? last : rule.day) === dayOfMonth
}

/** The Monday-to-Friday day nearest to a day, in the same month; `undefined` in months without that day. */
function workdayNear(year: number, month: number, dayOfMonth: number): number | undefined {
  const last = daysInMonth(year, month)
  if (dayOfMonth > last) return undefined
  const weekday = weekdayOf(dayFrom(year, month, dayOfMonth))
  if (weekday === 6) return dayOfMonth === 1 ? 3 : dayOfMonth - 1
  if (weekday === 0) return dayOfMonth === last ? dayOfMonth - 2 : dayOfMonth + 1
  return dayOfMonth
}

function matchesWeekday(rule: CronWeekday, { weekday, dayOfMonth, year, month }: CivilDay): boolean {
  if (rule.weekday !== weekday) return false
  if (rule.kind === 'nth') return Math.ceil(dayOfMonth / 7) === rule.nth
  return rule.kind === 'each' || dayOfMonth > daysInMonth(year, month) - 7
}

/** Times by their three fields: a list of all would have up to 86,400 entries. */
function timesOf({ seconds, minutes, hours }: CronFields): TimesOfDay {
  const backwards = [hours, minutes, seconds].map((list) => list.toReversed())
  return {
    from: (second) => nearestTime(second, [hours, minutes, seconds], (one, than) => one > than),
    downFrom: (second) => nearestTime(second, backwards, (one, than) => one < than),
  }
}

/** The given second or the nearest one in the direction of `isBeyond`, in which the lists are sorted: hours, minutes, seconds. */
function nearestTime(
  second: number,
  lists: readonly (readonly number[])[],
  isBeyond: (one: number, than: number) => boolean,
): number | undefined {
  const asked = [Math.floor(second / 3_600), Math.floor(second / 60) % 60, second % 60]
  const differsAt = asked.findIndex((value, index) => !lists[index]?.includes(value))
  if (differsAt < 0) return second
  for (let index = differsAt; index >= 0; index--) {
    const moved = lists[index]?.find((value) => isBeyond(value, asked[index] as number))
    if (moved !== undefined) return compose([...asked.slice(0, index), moved], lists)
  }
  return undefined
}

/** Hours, minutes and seconds as seconds; what is not given is the first of its list. */
function compose(parts: readonly number[], lists: readonly (readonly number[])[]): number {
  return lists.reduce((sum, list, index) => sum * 60 + (parts[index] ?? (list[0] as number)), 0)
}
