/** Cron text in words. */

import type { CronFields, CronWeekday, MonthDay } from '../cron.ts'
import { sortedUnique } from '../walk.ts'
import { counted, listed, months, numbersOf, ordinal, runs, timesOfDay, weekdays } from './phrases.ts'

/** More times of day than this are said by their fields. */
const MOST_TIMES = 6

/** Phrases: times, then days, then months. */
export function cronWords(fields: CronFields): string[] {
  const times = timeWords(fields)
  const days = dayWords(fields)
  const isWholeYear = fields.months.length === 12
  const saysDays = days !== undefined || (times.isPlain && isWholeYear)
  return [
    times.words,
    ...(saysDays ? [days ?? 'every day'] : []),
    ...(isWholeYear ? [] : [`${days === undefined ? 'every day ' : ''}in ${months(fields.months)}`]),
  ]
}

function timeWords({ seconds, minutes, hours }: CronFields): { readonly words: string; readonly isPlain: boolean } {
  if (seconds.length * minutes.length * hours.length <= MOST_TIMES) {
    const times = hours.flatMap((hour) =>
      minutes.flatMap((minute) => seconds.map((second) => hour * 3_600 + minute * 60 + second)),
    )
    return { words: `at ${timesOfDay(times)}`, isPlain: true }
  }
  const phrases = [secondWords(seconds), minuteWords(minutes, seconds), hourWords(hours, minutes)]
  return { words: phrases.filter((phrase) => phrase !== undefined).join(' '), isPlain: false }
}

function secondWords(seconds: readonly number[]): string | undefined {
  return seconds.length === 1 && seconds[0] === 0 ? undefined : fieldWords(seconds, 60, 'second')
}

/** Left out where every minute is meant and seconds say so already. */
function minuteWords(minutes: readonly number[], seconds: readonly number[]): string | undefined {
  const saysSeconds = secondWords(seconds) !== undefined
  return minutes.length === 60 && saysSeconds && seconds.length > 1 ? undefined : fieldWords(minutes, 60, 'minute')
}

function hourWords(hours: readonly number[], minutes: readonly number[]): string | undefined {
  if (hours.length === 24) return stepOf(minutes, 60) === undefined ? 'of every hour' : undefined
  const [run, ...more] = runs(hours)
  if (run !== undefined && more.length === 0 && hours.length > 1) {
    return `from ${clock(run[0], minutes[0] as number)} to ${clock(run[1], minutes.at(-1) as number)}`
  }
  return stepOf(hours, 24) === undefined ? `in hours ${numbersOf(hours)}` : fieldWords(hours, 24, 'hour')
}

const clock = (hour: number, minute: number): string => timesOfDay([hour * 3_600 + minute * 60])

/** `every minute`, `every 15 minutes`, `at minute 5`, `at minutes 0 to 9 and 30`. */
function fieldWords(values: readonly number[], size: number, unit: string): string {
  const step = stepOf(values, size)
  if (step !== undefined) return `every ${counted(step, unit)}`
  return values.length === 1 ? `at ${unit} ${values[0]}` : `at ${unit}s ${numbersOf(values)}`
}

/** The step of values that go evenly all around: `0, 15, 30, 45` of 60. */
function stepOf(values: readonly number[], size: number): number | undefined {
  const step = size / values.length
  const isEven = values[0] === 0 && values.length > 1 && values.every((value, index) => value === index * step)
  return isEven ? step : undefined
}

function dayWords({ monthDays, weekdays: weekdayRules }: CronFields): string | undefined {
  const parts = [
    ...(monthDays === undefined ? [] : [`on the ${monthDayWords(monthDays)}`]),
    ...(weekdayRules === undefined ? [] : [weekdayWords(weekdayRules)]),
  ]
  return parts.length === 0 ? undefined : parts.join(' or ')
}

function monthDayWords(rules: readonly MonthDay[]): string {
  const days = rules.flatMap((rule) => (rule.kind === 'day' ? [rule.day] : []))
  const plain = runs(sortedUnique(days)).flatMap(([from, to]) =>
    to - from >= 2 ? [`${ordinal(from)} to ${ordinal(to)}`] : from === to ? [ordinal(from)] : [from, to].map(ordinal),
  )
  return `${listed([...plain, ...rules.flatMap(specialDay)])} of the month`
}

function specialDay(rule: MonthDay): string[] {
  if (rule.kind === 'day') return []
  if (rule.kind === 'lastWorkday') return ['last Monday-to-Friday day']
  if (rule.kind === 'workday') return [`Monday-to-Friday day nearest to the ${ordinal(rule.day)}`]
  return [rule.daysBefore === 0 ? 'last day' : `${ordinal(rule.daysBefore + 1)} to last day`]
}

function weekdayWords(rules: readonly CronWeekday[]): string {
  const each = rules.flatMap((rule) => (rule.kind === 'each' ? [rule.weekday] : []))
  const special = rules.flatMap((rule) => {
    if (rule.kind === 'each') return []
    const which = rule.kind === 'last' ? 'last' : ordinal(rule.nth)
    return [`the ${which} ${weekdays([rule.weekday])} of the month`]
  })
  return listed([...(each.length === 0 ? [] : [weekdays([...new Set(each)])]), ...special])
}
