/** Rules of every kind for properties: what people may write, at random. */
import fc from 'fast-check'

import type { ScheduleRule } from '#runtime/schedules/rule.js'

const two = (number: number): string => String(number).padStart(2, '0')
const weekdayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const weekday = fc.constantFrom(...weekdayNames)
const timeOfDay = fc.tuple(fc.nat(23), fc.nat(59)).map(([hour, minute]) => `${two(hour)}:${two(minute)}`)
const some = <T>(one: fc.Arbitrary<T>, most = 4) => fc.uniqueArray(one, { minLength: 1, maxLength: most })
const date = fc
  .integer({ min: Date.UTC(2024, 0) / 86_400_000, max: Date.UTC(2032, 0) / 86_400_000 })
  .map((day) => new Date(day * 86_400_000).toISOString().slice(0, 10))

const cron = fc
  .tuple(
    fc.oneof(fc.constant('*'), some(fc.nat(59)).map(String), fc.constantFrom('*/15', '5-50/9')),
    fc.oneof(fc.constant('*'), some(fc.nat(23)).map(String), fc.constantFrom('9-17', '22-4', '*/6')),
    fc.oneof(
      fc.constant('*'),
      some(fc.integer({ min: 1, max: 28 })).map(String),
      fc.constantFrom('L', 'LW', '15W', 'L-3', '1,L'),
    ),
    fc.oneof(fc.constant('*'), some(fc.integer({ min: 1, max: 12 })).map(String), fc.constant('oct-mar')),
    fc.oneof(
      fc.constant('*'),
      some(weekday).map(String),
      fc.constantFrom('mon-fri', 'sat-mon', 'tue#2', 'friL', '0,7'),
    ),
  )
  .map((fields) => ({ cron: fields.join(' ') }))

const every = fc
  .record({
    every: fc.integer({ min: 1, max: 1_000_000 }).map((seconds) => seconds * 1000),
    anchor: fc.option(
      date.map((day) => `${day}T00:00:01Z`),
      { nil: undefined },
    ),
  })
  .map(({ every: span, anchor }) => (anchor === undefined ? { every: span } : { every: span, anchor }))

const at = fc.oneof(timeOfDay, some(timeOfDay))
const calendar = fc
  .oneof(
    fc.record({ at, weekday: fc.oneof(weekday, some(weekday)), nth: some(fc.constantFrom(1, 2, 3, 4, -1, -2)) }),
    fc.record({ at, dayOfMonth: some(fc.constantFrom(1, 2, 15, 28, 31, -1, -5)) }),
    fc.record({ at, workday: some(fc.constantFrom(1, 2, 10, -1, -3)) }),
    fc.record({ at, month: some(fc.constantFrom('jan', 'jun', 'December', 3)) }),
    fc.record({
      at,
      every: fc.constantFrom('other week', '3 weeks', { days: 11 }, { months: 5 }, '2 years', 'quarter'),
      anchor: date,
    }),
    fc.record({ at, weekday: weekday, every: fc.constantFrom('2 weeks', 'month'), anchor: date }),
  )
  .map((days) => ({ calendar: days }))

const rrule = fc
  .tuple(
    fc.constantFrom('20240101T023000', '20240229T120000', '20250331T235959'),
    fc.constantFrom(
      'FREQ=DAILY;INTERVAL=3',
      'FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU',
      'FREQ=MONTHLY;BYDAY=2TU',
      'FREQ=MONTHLY;BYMONTHDAY=-1',
      'FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU',
      'FREQ=HOURLY;INTERVAL=5',
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
      'FREQ=DAILY;COUNT=900',
      'FREQ=WEEKLY;UNTIL=20290101T000000Z',
      'FREQ=MINUTELY;INTERVAL=45;BYHOUR=1,2,3',
    ),
  )
  .map(([start, rule]) => ({ rrule: `DTSTART:${start}\nRRULE:${rule}` }))

const times = some(
  fc
    .tuple(date, timeOfDay, fc.constantFrom('', ':00Z', ':30+02:00'))
    .map(([day, time, zone]) => `${day}T${time}${zone}`),
  20,
).map((list) => ({ times: list }))

const sun = fc
  .record({
    event: fc.constantFrom('sunrise', 'sunset', 'dawn', 'dusk', 'noon'),
    latitude: fc.integer({ min: -89, max: 89 }),
    longitude: fc.integer({ min: -180, max: 180 }),
    offset: fc.constantFrom('-1h', '0s', '90m'),
  })
  .map((place) => ({ sun: place }))

const leaf = fc.oneof(
  fc
    .tuple(timeOfDay, timeOfDay)
    .filter(([from, to]) => from !== to)
    .map((between) => ({ between })),
  fc.uniqueArray(weekday, { minLength: 2, maxLength: 6 }).map((weekdays) => ({ weekdays })),
  some(fc.oneof(date, fc.constantFrom('12-25', '02-29', '11-20/02-10', '2026-01-01/2027-06-30', '06-01/08-31')), 5).map(
    (dates) => ({ dates }),
  ),
)

/** Conditions, not too deep. */
export const conditions: fc.Arbitrary<object> = fc.letrec<{ any: object }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'condition' },
    leaf,
    fc.record({ and: fc.array(tie('any'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ or: fc.array(tie('any'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('any') }),
  ),
})).any

export const zones = fc.constantFrom(
  'UTC',
  'Europe/Paris',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'Africa/Casablanca',
  'Asia/Kathmandu',
)

/** Rules without conditions. */
export const plainRules: fc.Arbitrary<ScheduleRule> = fc
  .tuple(fc.oneof(cron, every, calendar, rrule, times, sun), zones, fc.constantFrom('once', 'both'))
  .map(([time, timeZone, dst]) => ({ ...time, timeZone, dst }) as unknown as ScheduleRule)
