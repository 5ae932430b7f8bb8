/**
 * Rules of schedules as people write them, and as they are stored.
 *
 * Owns: their types, checking them, their normal form. Does not own: when they are due (`occurrences.ts`), how they sound
 * (`words.ts`), nor anything else of a schedule (its message, its policies).
 *
 * The normal form is a rule again: plain JSON that `resolveRule` takes back and leaves as it is. So a stored record is read by the
 * same checks as what a person writes, and one that was written by hand is refused by the same errors.
 */

import { checkName } from '../broker/subjects.ts'
import type { Duration } from '../time/duration.ts'
import type { CalendarDays, ResolvedCalendar } from './calendar.ts'
import { FIRST_MS } from './civil.ts'
import { walkOf } from './compile.ts'
import { type Condition, resolveCondition, type ResolvedCondition } from './conditions.ts'
import { type Kind, kinds, sources } from './kinds.ts'
import { invalid, readBy, readObject, readWord, refuse } from './refuse.ts'
import type { RuleObject } from './source.ts'
import type { ResolvedSun, SunTimes } from './sun.ts'
import { findZone } from './zone.ts'
import type { Repeated } from './zoned.ts'

/** A moment: a `Date`, epoch milliseconds, or RFC 3339 text with an offset. */
export type Moment = Date | number | string

/** When a schedule is due: one of the kinds of `TimeRule`, `after`, or both. */
export type ScheduleRule = RuleOptions & ((TimeRule & { readonly after?: AfterRule }) | { readonly after: AfterRule })

/** What rules of all kinds may say. */
export interface RuleOptions {
  /** An IANA zone such as `Europe/Paris`, in which wall times, weekdays and dates are meant. Default: `UTC`. */
  readonly timeZone?: string
  /** What becomes of wall times that the clock shows twice, where it is set back: the first only (default), or both. */
  readonly dst?: Repeated
  /** Only times at which this holds. */
  readonly only?: Condition
  /** No times at which this holds: `except: ['12-25', '2027-04-05']`. */
  readonly except?: Condition
}

/** Exactly one of these. All times are whole seconds from 1970 to 2199. */
export type TimeRule = CronRule | EveryRule | CalendarRule | RecurrenceRule | TimesRule | SunRule

export interface CronRule {
  /** `0 8 * * mon-fri`: 5 fields, or 6 with seconds in front; names, ranges, steps, lists, `L`, `W`, `#`, `@daily` and the like. */
  readonly cron: string
}

export interface EveryRule {
  /** A span of whole seconds, at least one. It is absolute time: clocks being set forward or back don't matter. */
  readonly every: Duration
  /** A moment from which the spans are counted, in both directions. Default: 1970-01-01T00:00:00Z. */
  readonly anchor?: Moment
}

export interface CalendarRule {
  /** Days by what people call them: `{ dayOfMonth: -1, at: '23:30' }`, `{ weekday: 'tue', nth: 2, at: '09:00' }`. */
  readonly calendar: CalendarDays
}

export interface RecurrenceRule {
  /** RFC 5545: `DTSTART;TZID=Europe/Paris:20270104T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2`, with RDATE and EXDATE. */
  readonly rrule: string
}

export interface TimesRule {
  /** Moments in whole seconds. Text without an offset is a wall time in the rule's zone: `2027-03-28T09:00`. */
  readonly times: readonly Moment[]
}

export interface SunRule {
  /** `{ event: 'sunset', latitude: 48.85, longitude: 2.35, offset: '-30m' }` */
  readonly sun: SunTimes
}

/** Due each time that a message has ended. */
export interface AfterRule {
  readonly actor: string
  readonly message: string
  /** Default: `done`. */
  readonly status?: AfterStatus
}

const statuses = ['done', 'dead', 'any'] as const
export type AfterStatus = (typeof statuses)[number]

/** A rule that was checked, in its normal form: plain JSON, and a `ScheduleRule` again. */
export type ResolvedRule = ResolvedOptions &
  ((ResolvedTimeRule & { readonly after?: Required<AfterRule> }) | { readonly after: Required<AfterRule> })

export interface ResolvedOptions {
  readonly timeZone: string
  readonly dst: Repeated
  readonly only?: ResolvedCondition
  readonly except?: ResolvedCondition
}

export type ResolvedTimeRule =
  | { readonly cron: string }
  | { readonly every: string; readonly anchor?: string }
  | { readonly calendar: ResolvedCalendar }
  | { readonly rrule: string }
  | { readonly times: readonly string[] }
  | { readonly sun: ResolvedSun }

const common = ['timeZone', 'dst', 'only', 'except', 'after'] as const

/** The keys that belong to a rule: for whoever takes a rule out of a larger object. */
export const ruleKeys: readonly string[] = [
  ...new Set(kinds.flatMap((kind) => [kind, ...sources[kind].options])),
  ...common,
]

/**
 * Checks a rule and gives its normal form, which is plain JSON.
 *
 * @param name what the rule is called where it was written: `schedules.daily-digest`
 * @throws ConfigError `INVALID_SCHEDULE`, saying what is wrong and where; also for a rule that has no time in 1970 to 2199
 */
export function resolveRule(input: unknown, name: string): ResolvedRule {
  const given = readObject(input, name, ruleKeys)
  const kind = onlyKind(given, name)
  refuseForeign(given, kind, name)
  const timeZone = given['timeZone'] === undefined ? undefined : readTimeZone(given['timeZone'], `${name}.timeZone`)
  const own: RuleObject = kind === undefined ? {} : sources[kind].resolve(given, name, timeZone)
  const options = { timeZone: own['timeZone'] ?? timeZone ?? 'UTC', ...readOptions(given, name) }
  const rule = { ...own, ...options } as unknown as ResolvedRule
  if (kind !== undefined && walkOf(rule).next(FIRST_MS - 1) === undefined) throw neverTrue(kind, rule, name)
  return rule
}

function readOptions(given: RuleObject, name: string): object {
  const { only, except, after } = given
  return {
    dst: readWord(given['dst'] ?? 'once', `${name}.dst`, ['once', 'both'] as const),
    ...(only === undefined ? {} : { only: resolveCondition(only, `${name}.only`) }),
    ...(isNothing(except) ? {} : { except: resolveCondition(except, `${name}.except`) }),
    ...(after === undefined ? {} : { after: readAfter(after, `${name}.after`) }),
  }
}

/** Without any holidays, a list of them excepts nothing. */
const isNothing = (except: unknown): boolean => except === undefined || (Array.isArray(except) && except.length === 0)

function neverTrue(kind: Kind, rule: ResolvedRule, name: string): Error {
  const conditions = (['only', 'except'] as const).filter((key) => rule[key] !== undefined)
  const under = conditions.length === 0 ? '' : ` with ${conditions.join(' and ')}`
  const text = `expected ${name} to be true at some time from 1970 to 2199, but its ${kind}${under} never is`
  return invalid(text, `${name}.${kind}`)
}

function readTimeZone(value: unknown, name: string): string {
  if (typeof value === 'string' && findZone(value) !== undefined) return value
  return refuse(name, 'an IANA time zone such as "Europe/Paris"', value)
}

function readAfter(value: unknown, name: string): Required<AfterRule> {
  const { actor, message, status } = readObject(value, name, ['actor', 'message', 'status'])
  return {
    actor: readBy((text) => checkName(text, 'actor'), actor, `${name}.actor`),
    message: readBy((text) => checkName(text, 'message'), message, `${name}.message`),
    status: readWord(status ?? 'done', `${name}.status`, statuses),
  }
}

/** The kind of a rule's times; `undefined` where it is only due after something else. */
function onlyKind(given: RuleObject, name: string): Kind | undefined {
  const present = kinds.filter((kind) => given[kind] !== undefined)
  if (present.length === 1 || (present.length === 0 && given['after'] !== undefined)) return present[0]
  const came = present.length === 0 ? 'none of them' : present.join(' and ')
  throw invalid(`expected ${name} to have exactly one of ${kinds.join(', ')}, or after; got: ${came}`, name)
}

/** An `anchor` beside `cron` would be silently without effect. */
function refuseForeign(given: RuleObject, kind: Kind | undefined, name: string): void {
  const own = kind === undefined ? ['after', 'timeZone', 'dst'] : [kind, ...sources[kind].options, ...common]
  const foreign = Object.keys(given).find((key) => given[key] !== undefined && !own.includes(key))
  if (foreign === undefined) return
  throw invalid(`${name}.${foreign} means nothing beside ${kind ?? 'after alone'}: leave it out`, `${name}.${foreign}`)
}
