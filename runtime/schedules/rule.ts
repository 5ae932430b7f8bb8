/**
 * Rules of schedules as people write them, and as they are stored.
 *
 * Owns: their types, checking them, their normal form. Does not own: when they are due (`occurrences.ts`), how they sound
 * (`words.ts`), nor anything else of a schedule (its message, its policies).
 *
 * The normal form is a rule again: plain JSON that `resolveRule` takes back and leaves as it is. So a stored record is read by the
 * same checks as what a person writes, and one that was written by hand is refused by the same errors.
 */

import type { Duration } from '../time/duration.ts'
import { cronSource } from './cronSource.ts'
import { everySource } from './everySource.ts'
import { invalid, readObject, readWord, refuse } from './refuse.ts'
import type { Source } from './source.ts'
import { timesSource } from './timesSource.ts'
import { findZone } from './zone.ts'
import type { Repeated } from './zoned.ts'

/** A moment: a `Date`, epoch milliseconds, or RFC 3339 text with an offset. */
export type Moment = Date | number | string

/** What all rules may say. */
export interface RuleOptions {
  /** An IANA zone such as `Europe/Paris`, in which wall times, weekdays and dates are meant. Default: `UTC`. */
  readonly timeZone?: string
  /** What becomes of wall times that the clock shows twice, where it is set back: the first only (default), or both. */
  readonly dst?: Repeated
}

/** When a schedule is due. Exactly one of the keys of `TimeRule`. */
export type ScheduleRule = RuleOptions & TimeRule

export type TimeRule = CronRule | EveryRule | TimesRule

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

export interface TimesRule {
  /** Moments in whole seconds. Text without an offset is a wall time in the rule's zone: `2027-03-28T09:00`. */
  readonly times: readonly Moment[]
}

/** A rule that was checked, in its normal form: plain JSON, and a `ScheduleRule` again. */
export type ResolvedRule = Required<RuleOptions> & ResolvedTimeRule

export type ResolvedTimeRule =
  | { readonly cron: string }
  | { readonly every: string; readonly anchor?: string }
  | { readonly times: readonly string[] }

/** Every kind of time rule, by the key that makes it one. */
export const sources: Readonly<Record<string, Source>> = {
  cron: cronSource,
  every: everySource,
  times: timesSource,
}

/** The keys that belong to a rule: for whoever takes a rule out of a larger object. */
export const ruleKeys: readonly string[] = [
  ...new Set(Object.entries(sources).flatMap(([key, source]) => [key, ...source.options])),
  'timeZone',
  'dst',
]

/** The kind of a checked rule: the key that makes it one. */
export function kindOf(rule: ResolvedRule): string {
  return Object.keys(sources).find((key) => key in rule) as string
}

/**
 * Checks a rule and gives its normal form, which is plain JSON.
 *
 * @param name what the rule is called where it was written: `schedules.daily-digest`
 * @throws ConfigError `INVALID_SCHEDULE`, saying what is wrong and where
 */
export function resolveRule(input: unknown, name: string): ResolvedRule {
  const object = readObject(input, name, ruleKeys)
  const timeZone = readTimeZone(object['timeZone'] ?? 'UTC', `${name}.timeZone`)
  const dst = readWord(object['dst'] ?? 'once', `${name}.dst`, ['once', 'both'] as const)
  const kind = onlyKind(object, name)
  const source = sources[kind] as Source
  refuseForeign(object, kind, source, name)
  return { ...(source.resolve(object, name, timeZone) as unknown as ResolvedTimeRule), timeZone, dst }
}

function readTimeZone(value: unknown, name: string): string {
  if (typeof value === 'string' && findZone(value) !== undefined) return value
  return refuse(name, 'an IANA time zone such as "Europe/Paris"', value)
}

function onlyKind(object: Readonly<Record<string, unknown>>, name: string): string {
  const kinds = Object.keys(sources).filter((key) => object[key] !== undefined)
  const [kind] = kinds
  if (kind !== undefined && kinds.length === 1) return kind
  const came = kinds.length === 0 ? 'none of them' : kinds.join(' and ')
  throw invalid(`expected ${name} to have exactly one of ${Object.keys(sources).join(', ')}, got: ${came}`, name)
}

/** An `anchor` beside `cron` would be silently without effect. */
function refuseForeign(object: Readonly<Record<string, unknown>>, kind: string, source: Source, name: string): void {
  const own = [kind, 'timeZone', 'dst', ...source.options]
  const foreign = Object.keys(object).find((key) => object[key] !== undefined && !own.includes(key))
  if (foreign !== undefined)
    throw invalid(`${name}.${foreign} means nothing beside ${kind}: leave it out`, `${name}.${foreign}`)
}
