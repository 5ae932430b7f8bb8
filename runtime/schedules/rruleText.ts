/**
 * The text of RFC 5545 rules: reading it strictly, and writing it in one form. Lines may be folded, DTSTART and RRULE stand in any order, a
 * bare `FREQ=…` is an RRULE. What the rule means is `rrule.ts`.
 */

import { describe, didYouMean } from '../errors.ts'
import { DAY, SECOND } from './civil.ts'
import { parseDate, parseTimeOfDay } from './moments.ts'
import { invalid, refuse } from './refuse.ts'
import { findZone } from './zone.ts'

/** A time in a rule's text: a wall time, or a moment where it ends in `Z`. `isDate` where it is only a day. */
export interface Stamp {
  readonly wallMs: number
  readonly isUtc: boolean
  readonly isDate: boolean
}

export interface Recurrence {
  readonly start: Stamp | undefined
  /** The zone that the text names, `UTC` where DTSTART ends in Z. */
  readonly timeZone: string | undefined
  readonly parts: ReadonlyMap<string, string>
  readonly extra: readonly Stamp[]
  readonly excluded: readonly Stamp[]
}

const LONGEST = 4_096

/** What the text says. Throws `ConfigError` `INVALID_SCHEDULE`. */
export function parseRecurrence(text: unknown, name: string): Recurrence {
  const properties = linesOf(text, name).map((line) => parseLine(line, name))
  const rule = only('RRULE', properties, name)
  if (rule === undefined) throw invalid(`expected ${name} to have an RRULE, got: ${describe(text)}`, name)
  const start = only('DTSTART', properties, name)
  const stamps = (key: string): Stamp[] =>
    properties.filter((property) => property.key === key).flatMap((line) => stampsOf(line, name))
  return {
    start: start === undefined ? undefined : readStamp(start.value, name),
    timeZone: zoneIn(properties, name),
    parts: parseParts(rule.value, name),
    extra: stamps('RDATE'),
    excluded: stamps('EXDATE'),
  }
}

/** Unfolded: a line that begins with a space goes on with the one before it. */
function linesOf(text: unknown, name: string): string[] {
  if (typeof text !== 'string' || text.length > LONGEST)
    return refuse(name, 'RFC 5545 text such as "DTSTART;TZID=Europe/Paris:20270104T090000\\nRRULE:FREQ=WEEKLY"', text)
  return text
    .replaceAll(/\r?\n[ \t]/g, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

function only(key: string, properties: readonly Property[], name: string): Property | undefined {
  const all = properties.filter((property) => property.key === key)
  if (all.length > 1) throw invalid(`expected ${name} to have one ${key}, got ${all.length}`, name)
  return all[0]
}

interface Property {
  readonly key: string
  readonly value: string
  readonly timeZone: string | undefined
}

const known = ['DTSTART', 'RRULE', 'RDATE', 'EXDATE'] as const

function parseLine(line: string, name: string): Property {
  const full = /^[A-Z]+=/i.test(line) ? `RRULE:${line}` : line
  const match = /^([A-Z-]+)((?:;[A-Z-]+=[^:;]+)*):(.+)$/i.exec(full)
  if (match === null)
    throw invalid(`expected ${name} to have lines such as "RRULE:FREQ=DAILY", got: ${describe(line)}`, name)
  const key = (match[1] as string).toUpperCase()
  if (!known.some((word) => word === key)) {
    throw invalid(`expected ${name} to have ${known.join(', ')}, got: ${describe(key)}${didYouMean(key, known)}`, name)
  }
  return { key, value: match[3] as string, timeZone: parameterZone(match[2] as string, name) }
}

/** `;TZID=Europe/Paris`, `;VALUE=DATE`. */
function parameterZone(text: string, name: string): string | undefined {
  const parameters = text
    .split(';')
    .slice(1)
    .map((parameter) => parameter.split('=') as [string, string])
  const foreign = parameters.find(([key]) => !/^(tzid|value)$/i.test(key))
  if (foreign !== undefined)
    throw invalid(`expected ${name} to have the parameters TZID and VALUE, got: ${describe(foreign[0])}`, name)
  const timeZone = parameters.find(([key]) => /^tzid$/i.test(key))?.[1]
  if (timeZone !== undefined && findZone(timeZone) === undefined)
    refuse(`TZID in ${name}`, 'an IANA time zone such as "Europe/Paris"', timeZone)
  return timeZone
}

/** The one zone that all lines agree on. */
function zoneIn(properties: readonly Property[], name: string): string | undefined {
  const start = properties.find(({ key }) => key === 'DTSTART')
  const isUtc = start?.value.toUpperCase().endsWith('Z') === true
  const named = [...new Set(properties.flatMap(({ timeZone }) => timeZone ?? []))]
  if (named.length > 1 || (isUtc && named.length > 0)) {
    throw invalid(
      `expected ${name} to have one time zone, got: ${[...(isUtc ? ['UTC'] : []), ...named].join(', ')}`,
      name,
    )
  }
  return named[0] ?? (isUtc ? 'UTC' : undefined)
}

const stampsOf = ({ value }: Property, name: string): Stamp[] => value.split(',').map((one) => readStamp(one, name))

/** `20270104T090000`, with `Z` in UTC, or `20270104`. */
export function readStamp(text: string, name: string): Stamp {
  const match = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?$/i.exec(text.trim())
  const day = match === null ? undefined : parseDate(`${match[1]}-${match[2]}-${match[3]}`)
  const second = match?.[4] === undefined ? 0 : parseTimeOfDay(`${match[4]}:${match[5]}:${match[6]}`)
  if (day === undefined || second === undefined)
    return refuse(`every time in ${name}`, 'like 20270104T090000, from 1970 to 2199', text)
  return { wallMs: day * DAY + second * SECOND, isUtc: match?.[7] !== undefined, isDate: match?.[4] === undefined }
}

export function formatStamp({ wallMs, isUtc, isDate }: Stamp): string {
  const text = new Date(wallMs)
    .toISOString()
    .replaceAll(/[-:]/g, '')
    .slice(0, isDate ? 8 : 15)
  return isUtc ? `${text}Z` : text
}

const numbers =
  (least: number, most: number, signed = false) =>
  (text: string): boolean =>
    text.split(',').every((one) => {
      const size = Math.abs(Number(one))
      return (signed ? /^[+-]?\d{1,5}$/ : /^\d{1,5}$/).test(one) && size >= least && size <= most
    })

/** What each part of an RRULE may be. */
const partForms: ReadonlyMap<string, readonly [form: string, fits: (text: string) => boolean]> = new Map([
  [
    'FREQ',
    [
      'YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY',
      (text) => /^(YEAR|MONTH|WEEK|DAI|HOUR|MINUTE|SECOND)LY$/.test(text),
    ],
  ],
  ['INTERVAL', ['a number from 1 to 10000', (text) => !text.includes(',') && numbers(1, 10_000)(text)]],
  ['COUNT', ['a number from 1 to 10000', (text) => !text.includes(',') && numbers(1, 10_000)(text)]],
  ['UNTIL', ['a time such as 20271231T235959Z', () => true]],
  ['BYSECOND', ['0 to 59', numbers(0, 59)]],
  ['BYMINUTE', ['0 to 59', numbers(0, 59)]],
  ['BYHOUR', ['0 to 23', numbers(0, 23)]],
  [
    'BYDAY',
    [
      'weekdays such as MO, 2TU or -1FR',
      (text) => text.split(',').every((one) => /^([+-]?[1-9]\d?)?(MO|TU|WE|TH|FR|SA|SU)$/.test(one)),
    ],
  ],
  ['BYMONTHDAY', ['1 to 31, or -1 to -31', numbers(1, 31, true)]],
  ['BYYEARDAY', ['1 to 366, or -1 to -366', numbers(1, 366, true)]],
  ['BYWEEKNO', ['1 to 53, or -1 to -53', numbers(1, 53, true)]],
  ['BYMONTH', ['1 to 12', numbers(1, 12)]],
  ['BYSETPOS', ['1 to 366, or -1 to -366', numbers(1, 366, true)]],
  ['WKST', ['a weekday such as MO', (text) => /^(MO|TU|WE|TH|FR|SA|SU)$/.test(text)]],
])

function parseParts(text: string, name: string): Map<string, string> {
  const parts = new Map<string, string>()
  for (const part of text.toUpperCase().split(';')) {
    const [key = '', value = '', ...more] = part.split('=')
    const form = partForms.get(key)
    if (form === undefined || more.length > 0) {
      throw invalid(
        `expected ${name} to have parts such as FREQ=DAILY, got: ${describe(part)}${didYouMean(key, partForms.keys())}`,
        name,
      )
    }
    if (parts.has(key)) throw invalid(`expected ${name} to have ${key} once`, name)
    if (value === '' || !form[1](value)) refuse(`${key} in ${name}`, form[0], value)
    parts.set(key, value)
  }
  if (parts.has('COUNT') && parts.has('UNTIL')) throw invalid(`expected ${name} to have COUNT or UNTIL, not both`, name)
  if (!parts.has('FREQ')) throw invalid(`expected ${name} to have FREQ, got: ${describe(text)}`, name)
  return parts
}

/** Without DTSTART it starts in 1970 at midnight: fine only where that makes no difference. */
export function refuseWithoutStart({ start, parts }: Recurrence, name: string): void {
  if (start !== undefined) return
  const needs = ['INTERVAL', 'COUNT'].find((part) => parts.has(part) && parts.get(part) !== '1')
  const isOpenWeek = parts.get('FREQ') === 'WEEKLY' && !parts.has('BYDAY')
  if (needs === undefined && !isOpenWeek) return
  const reason = needs === undefined ? 'FREQ=WEEKLY without BYDAY takes its weekday from it' : `${needs} counts from it`
  throw invalid(`expected ${name} to have DTSTART, since ${reason}`, name)
}

export function formatRecurrence({ start, timeZone, parts, extra, excluded }: Recurrence): string {
  const zone = timeZone === undefined || timeZone === 'UTC' ? '' : `;TZID=${timeZone}`
  const line = (key: string, stamps: readonly Stamp[]): string[] => {
    if (stamps.length === 0) return []
    const isUtc = stamps.some((stamp) => stamp.isUtc)
    return [`${key}${isUtc ? '' : zone}:${stamps.map(formatStamp).join(',')}`]
  }
  return [
    ...line('DTSTART', start === undefined ? [] : [start]),
    `RRULE:${[...parts].map(([key, value]) => `${key}=${value}`).join(';')}`,
    ...line('RDATE', extra),
    ...line('EXDATE', excluded),
  ].join('\n')
}
