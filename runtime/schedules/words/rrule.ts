/** RFC 5545 rules in words: the parts that people use; a rule with others is given as it stands. */

import { dayOf, secondOfDay } from '../civil.ts'
import { formatWall, parseWall } from '../moments.ts'
import { parseRecurrence, type Recurrence } from '../rruleText.ts'
import { counted, date, listed, months, place, timesOfDay, weekdays } from './phrases.ts'

const units: Readonly<Record<string, string>> = {
  YEARLY: 'year',
  MONTHLY: 'month',
  WEEKLY: 'week',
  DAILY: 'day',
  HOURLY: 'hour',
  MINUTELY: 'minute',
  SECONDLY: 'second',
}

const sayable = [
  'FREQ',
  'INTERVAL',
  'COUNT',
  'UNTIL',
  'BYDAY',
  'BYMONTHDAY',
  'BYMONTH',
  'BYHOUR',
  'BYMINUTE',
  'BYSECOND',
  'WKST',
]

export function rruleWords(text: string): string[] {
  const recurrence = parseRecurrence(text, 'rrule')
  const { parts, extra, excluded } = recurrence
  const isSayable = [...parts.keys()].every((key) => sayable.includes(key))
  return [
    ...(isSayable ? partWords(recurrence) : [`by ${[...parts].map((part) => part.join('=')).join(';')}`]),
    ...(extra.length === 0 ? [] : [`and ${counted(extra.length, 'more time').replace(/^more/, 'one more')}`]),
    ...(excluded.length === 0 ? [] : [`except ${excluded.length === 1 ? 'one' : excluded.length} of them`]),
  ]
}

const numbersIn = (parts: ReadonlyMap<string, string>, key: string): number[] | undefined =>
  parts.get(key)?.split(',').map(Number)

function partWords({ parts, start }: Recurrence): string[] {
  const unit = units[parts.get('FREQ') as string] as string
  const interval = Number(parts.get('INTERVAL') ?? 1)
  const month = numbersIn(parts, 'BYMONTH')
  const monthDays = numbersIn(parts, 'BYMONTHDAY')
  const words = [
    `every ${counted(interval, unit)}`,
    ...(month === undefined ? [] : [`in ${months(month)}`]),
    ...(monthDays === undefined ? [] : [`on the ${listed(monthDays.map(place))} of the month`]),
    ...(parts.has('BYDAY') ? [`on ${weekdayWords(parts.get('BYDAY') as string)}`] : []),
    ...timeWords(parts, unit, start?.wallMs ?? 0),
  ]
  return [words.join(' '), ...(start === undefined ? [] : [`from ${formatWall(start.wallMs)}`]), ...endWords(parts)]
}

const days = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA']

function weekdayWords(text: string): string {
  const items = text
    .split(',')
    .map((item) => ({ nth: Number(item.slice(0, -2)), weekday: days.indexOf(item.slice(-2)) }))
  const plain = items.filter(({ nth }) => nth === 0).map(({ weekday }) => weekday)
  const counted = items
    .filter(({ nth }) => nth !== 0)
    .map(({ nth, weekday }) => `the ${place(nth)} ${weekdays([weekday])}`)
  return listed([...(plain.length === 0 ? [] : [weekdays(plain)]), ...counted])
}

/** Times of day, where the rule is not of hours, minutes or seconds. */
function timeWords(parts: ReadonlyMap<string, string>, unit: string, startMs: number): string[] {
  const [hour, minute, second] = ['BYHOUR', 'BYMINUTE', 'BYSECOND'].map((key) => numbersIn(parts, key))
  if (['hour', 'minute', 'second'].includes(unit)) {
    const said = [
      ['hour', hour],
      ['minute', minute],
      ['second', second],
    ] as const
    return said.flatMap(([name, values]) =>
      values === undefined ? [] : [`at ${name}${values.length > 1 ? 's' : ''} ${listed(values.map(String))}`],
    )
  }
  const start = secondOfDay(startMs)
  const of = [
    hour ?? [Math.floor(start / 3_600)],
    minute ?? [Math.floor(start / 60) % 60],
    second ?? [start % 60],
  ] as const
  const times = of[0].flatMap((h) => of[1].flatMap((m) => of[2].map((s) => h * 3_600 + m * 60 + s)))
  return [`at ${timesOfDay(times.sort((a, b) => a - b))}`]
}

function endWords(parts: ReadonlyMap<string, string>): string[] {
  const [count, until] = [parts.get('COUNT'), parts.get('UNTIL')]
  const day = until === undefined ? undefined : parseWall(until.replace(/^(\d{4})(\d\d)(\d\d).*$/, '$1-$2-$3'))
  return [
    ...(count === undefined ? [] : [count === '1' ? 'once' : `${count} times`]),
    ...(day === undefined ? [] : [`until ${date(dayOf(day))}`]),
  ]
}
