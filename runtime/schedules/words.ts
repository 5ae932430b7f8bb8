/** Rules as a person would say them: `at 08:00, Monday to Friday, Europe/Paris`. */

import { parseDuration } from '../time/duration.ts'
import { parseCron } from './cron.ts'
import { kindOf } from './kinds.ts'
import { type AfterRule, resolveRule, type ResolvedRule, type ScheduleRule } from './rule.ts'
import type { ResolvedSun } from './sun.ts'
import { calendarWords } from './words/calendar.ts'
import { conditionWords } from './words/conditions.ts'
import { cronWords } from './words/cron.ts'
import { every, span } from './words/phrases.ts'
import { rruleWords } from './words/rrule.ts'

/**
 * A rule in words: `at 08:00, Monday to Friday, Europe/Paris`.
 *
 * @throws ConfigError `INVALID_SCHEDULE`
 */
export const ruleInWords = (rule: ScheduleRule): string => inWords(resolveRule(rule, 'rule'))

/** A checked rule in words: when, on which days, in which zone, under which conditions, after what. */
export function inWords(rule: ResolvedRule): string {
  const { only, except, after, dst } = rule
  return [
    ...timeWords(rule),
    ...(dst === 'both' ? ['twice where the clock shows it twice'] : []),
    ...(only === undefined ? [] : [`only ${conditionWords(only)}`]),
    ...(except === undefined ? [] : [`except ${conditionWords(except)}`]),
    ...(after === undefined ? [] : [causeWords(after, kindOf(rule) === undefined)]),
  ].join(', ')
}

/** Alone it is each time; beside a time rule each planned time waits for it. */
function causeWords({ actor, message, status }: Required<AfterRule>, isAlone: boolean): string {
  const end = `${actor}.${message} ${ends[status]}`
  return isAlone ? `each time that ${end}` : `each once ${end} since the run before`
}

const ends = { done: 'is done', dead: 'has died', any: 'has ended' } as const

function timeWords(rule: ResolvedRule): string[] {
  if ('cron' in rule) return [...cronWords(parseCron(rule.cron, 'cron')), rule.timeZone]
  if ('every' in rule) return everyWords(rule)
  if ('calendar' in rule) return [...calendarWords(rule.calendar), rule.timeZone]
  if ('rrule' in rule) return [...rruleWords(rule.rrule), rule.timeZone]
  if ('times' in rule) return [...fixedWords(rule.times), rule.timeZone]
  return 'sun' in rule ? [sunWords(rule.sun)] : []
}

/** The zone matters to its conditions only. */
function everyWords(rule: ResolvedRule & { readonly every: string; readonly anchor?: string }): string[] {
  const hasConditions = (rule.only ?? rule.except) !== undefined
  return [
    every(parseDuration(rule.every, 'every')),
    ...(rule.anchor === undefined ? [] : [`counted from ${rule.anchor}`]),
    ...(hasConditions ? [rule.timeZone] : []),
  ]
}

const MOST_TIMES = 3

function fixedWords(times: readonly string[]): string[] {
  const sorted = [...times].sort()
  if (sorted.length <= MOST_TIMES) return [`at ${sorted.join(', ')}`]
  return [`at ${sorted.length} fixed times from ${sorted[0]} to ${sorted.at(-1)}`]
}

function sunWords({ event, latitude, longitude, offset }: ResolvedSun): string {
  const ms = parseDuration(offset.replace('-', ''), 'offset')
  const shift = ms === 0 ? 'at' : `${span(ms)} ${offset.startsWith('-') ? 'before' : 'after'}`
  const north = `${Math.abs(latitude)}°${latitude < 0 ? 'S' : 'N'}`
  const east = `${Math.abs(longitude)}°${longitude < 0 ? 'W' : 'E'}`
  return `${shift} ${event} at ${north} ${east}`
}
