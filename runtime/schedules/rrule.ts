/**
 * RFC 5545 recurrence rules as a kind of rule: DTSTART, one RRULE, RDATE and EXDATE.
 *
 * Expanding a rule is rrule-temporal's, checking its text is ours (the library passes over what it doesn't know). It is run on the wall
 * clock, as if in UTC, and the wall times are laid over the zone here, so that clocks being set mean the same for rules of all kinds:
 * RFC 5545 would leave out a time that doesn't exist. `FREQ=HOURLY` therefore counts hours of the wall clock.
 */

import { RRuleTemporal } from 'rrule-temporal'

import { describe } from '../errors.ts'
import { DAY, FIRST_MS, LAST_MS, SECOND } from './civil.ts'
import { invalid } from './refuse.ts'
import {
  formatRecurrence,
  formatStamp,
  parseRecurrence,
  readStamp,
  type Recurrence,
  refuseWithoutStart,
  type Stamp,
} from './rruleText.ts'
import type { Source } from './source.ts'
import { except, listWalk, merged, sortedUnique, type Walk, within } from './walk.ts'
import { momentsOf, wallAt, type Zone } from './zone.ts'
import { type Repeated, zoned } from './zoned.ts'

export const rruleSource: Source = {
  options: [],
  resolve({ rrule }, name, timeZone) {
    const where = `${name}.rrule`
    const parsed = parseRecurrence(rrule, where)
    if (timeZone !== undefined && parsed.timeZone !== undefined && parsed.timeZone !== timeZone) {
      throw invalid(
        `expected ${name}.timeZone to be that of DTSTART, ${parsed.timeZone}, got: ${describe(timeZone)}`,
        where,
      )
    }
    refuseWithoutStart(parsed, where)
    library(parsed, LAST_MS, where)
    const zone = timeZone ?? parsed.timeZone
    return { rrule: formatRecurrence(parsed), ...(zone === undefined ? {} : { timeZone: zone }) }
  },
  walk: ({ rrule }, zone, repeated) => recurrenceWalk(parseRecurrence(rrule, 'rrule'), zone, repeated),
}

/** Periods that a search may pass over: all days from 1970 to 2199 and some. What is rarer counts as never. */
const MOST_PERIODS = 100_000
const START: Stamp = { wallMs: 0, isUtc: false, isDate: false }

/** The rule on the wall clock. UNTIL is ours: it is a moment, and wall clocks may show it twice. */
function library({ start, parts }: Recurrence, untilWallMs: number, name: string): RRuleTemporal {
  const kept = [...parts].filter(([key]) => key !== 'UNTIL')
  const bounded = parts.has('COUNT') ? kept : [...kept, ['UNTIL', `${formatStamp({ ...START, wallMs: untilWallMs })}Z`]]
  const rule = bounded.map((part) => part.join('=')).join(';')
  const from = formatStamp({ ...(start ?? START), isUtc: false, isDate: false })
  try {
    return new RRuleTemporal({
      rruleString: `DTSTART:${from}Z\nRRULE:${rule}`,
      strict: true,
      maxIterations: MOST_PERIODS,
    })
  } catch (error) {
    throw invalid(
      `expected ${name} to be a rule of RFC 5545: ${error instanceof Error ? error.message : ''}`,
      name,
      error,
    )
  }
}

function recurrenceWalk(recurrence: Recurrence, zone: Zone, repeated: Repeated): Walk {
  const { parts, extra, excluded } = recurrence
  const untilMs = untilOf(parts.get('UNTIL'), zone)
  const untilWallMs = Math.min(wallAt(zone, Math.min(untilMs, LAST_MS)) + DAY, LAST_MS)
  const rule = library(recurrence, untilWallMs, 'rrule')
  const walk = within(zoned(parts.has('COUNT') ? counted(rule) : uncounted(rule), zone, repeated), FIRST_MS, untilMs)
  const moments = (stamps: readonly Stamp[]): number[] =>
    sortedUnique(stamps.flatMap((stamp) => momentsAt(stamp, zone, repeated)))
  const all = extra.length === 0 ? walk : merged(walk, listWalk(moments(extra)))
  return excluded.length === 0 ? all : except(all, new Set(moments(excluded)))
}

const momentsAt = ({ wallMs, isUtc }: Stamp, zone: Zone, repeated: Repeated): number[] =>
  isUtc ? [wallMs] : momentsOf(zone, wallMs, repeated === 'both')

/** The last moment, included: of a day its end, of a wall time that is shown twice the second. */
function untilOf(text: string | undefined, zone: Zone): number {
  if (text === undefined) return Infinity
  const stamp = readStamp(text, 'rrule')
  if (stamp.isUtc) return stamp.wallMs
  return momentsOf(zone, stamp.isDate ? stamp.wallMs + DAY - SECOND : stamp.wallMs, true).at(-1) ?? Infinity
}

/** With COUNT the times are a list: the library would count anew for each question. */
function counted(rule: RRuleTemporal): Walk {
  let list: Walk | undefined
  const walk = (): Walk => (list ??= listWalk(sortedUnique(rule.all().map((time) => time.epochMilliseconds))))
  return { next: (after) => walk().next(after), previous: (before) => walk().previous(before) }
}

function uncounted(rule: RRuleTemporal): Walk {
  return {
    next: (after) => found(() => rule.next(new Date(after))),
    previous: (before) => found(() => rule.previous(new Date(before))),
  }
}

/** The library throws where it passed over too many periods. */
function found(search: () => { readonly epochMilliseconds: number } | null): number | undefined {
  try {
    return search()?.epochMilliseconds
  } catch {
    return undefined
  }
}
