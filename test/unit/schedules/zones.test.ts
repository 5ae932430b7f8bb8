/** Invariants Z1 to Z3 of runtime/schedules/zoned.ts over real zones, against a count of every minute. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { nextAfter, occurrences, previousBefore } from '#runtime/schedules/occurrences.js'
import { resolveRule } from '#runtime/schedules/rule.js'

import { changesOf, dueIn, partsOf, stretch, type Stretch } from '../../kit/wallClock.ts'

const HOUR = 3_600_000
const [FIRST_YEAR, LAST_YEAR] = [2011, 2037]

const zones = [
  'Europe/Paris',
  'America/New_York',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/Sao_Paulo',
  'Africa/Casablanca',
]

/** Stretches around every change of a zone, each with more than a day before it. */
const around = new Map<string, Stretch[]>()

function stretchesOf(zone: string): Stretch[] {
  const known = around.get(zone)
  if (known !== undefined) return known
  const made = changesOf(zone, FIRST_YEAR, LAST_YEAR).map((at) => stretch(zone, at - 26 * HOUR, at + 3 * HOUR))
  around.set(zone, made)
  return made
}

type Matches = (wall: ReturnType<typeof partsOf>) => boolean

function holdAgainst(
  input: object,
  zone: string,
  stretches: readonly Stretch[],
  matches: Matches,
  both: boolean,
): void {
  const rule = resolveRule({ ...input, timeZone: zone, dst: both ? 'both' : 'once' }, 'rule')
  for (const piece of stretches) {
    const due = dueIn(piece, (wallMs) => matches(partsOf(wallMs)), both)
    expect([...occurrences(rule, piece.from, piece.until)].map(iso)).toEqual(due.map(iso))
    const backwards: number[] = []
    for (
      let at = previousBefore(rule, piece.until);
      at !== undefined && at >= piece.from;
      at = previousBefore(rule, at)
    ) {
      backwards.unshift(at)
    }
    expect(backwards.map(iso)).toEqual(due.map(iso))
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** Rules of minutes, with what they mean said a second time. */
const rules: readonly [object, Matches][] = [
  [{ cron: '30 2 * * *' }, ({ hour, minute }) => hour === 2 && minute === 30],
  [{ cron: '*/15 * * * *' }, ({ minute }) => minute % 15 === 0],
  [{ cron: '0 0 * * *' }, ({ hour, minute }) => hour === 0 && minute === 0],
  [
    { cron: '0 8 * * mon-fri' },
    ({ hour, minute, weekday }) => hour === 8 && minute === 0 && weekday > 0 && weekday < 6,
  ],
  [
    { cron: '59 23 L * *' },
    ({ hour, minute, day, month, year }) =>
      hour === 23 && minute === 59 && day === new Date(Date.UTC(year, month, 0)).getUTCDate(),
  ],
  [{ cron: '10-20/5 1-3 * * *' }, ({ hour, minute }) => hour >= 1 && hour <= 3 && [10, 15, 20].includes(minute)],
  [
    { calendar: { at: ['00:15', '01:59', '02:00', '03:00'] } },
    ({ hour, minute }) => [15, 119, 120, 180].includes(hour * 60 + minute),
  ],
  [
    { calendar: { weekday: 'sun', at: '02:29' } },
    ({ weekday, hour, minute }) => weekday === 0 && hour === 2 && minute === 29,
  ],
  [{ rrule: 'FREQ=DAILY;BYHOUR=0,2;BYMINUTE=30' }, ({ hour, minute }) => (hour === 0 || hour === 2) && minute === 30],
  [{ rrule: 'DTSTART:20000101T000500\nRRULE:FREQ=HOURLY' }, ({ minute }) => minute === 5],
]

describe.each(zones)('in %s, around every change of its clocks from 2011 to 2037', (zone) => {
  it('has changes to look at', () => {
    expect(stretchesOf(zone).length).toBeGreaterThan(15)
  })

  it.each(rules)('%j is due when a count of every minute says so', (input, matches) => {
    holdAgainst(input, zone, stretchesOf(zone), matches, false)
  })

  it.each(rules)('%j with dst: both as well', (input, matches) => {
    holdAgainst(input, zone, stretchesOf(zone), matches, true)
  })

  it('any hours and minutes are due when a count of every minute says so', () => {
    const some = (most: number) => fc.uniqueArray(fc.integer({ min: 0, max: most }), { minLength: 1, maxLength: 6 })
    const pieces = stretchesOf(zone)
    fc.assert(
      fc.property(some(23), some(59), fc.boolean(), fc.nat(pieces.length - 1), (hours, minutes, both, index) => {
        const matches: Matches = ({ hour, minute }) => hours.includes(hour) && minutes.includes(minute)
        holdAgainst(
          { cron: `${minutes.join()} ${hours.join()} * * *` },
          zone,
          pieces.slice(index, index + 1),
          matches,
          both,
        )
      }),
      { numRuns: 60 },
    )
  })

  it('asked from any moment, next and previous are the neighbours', () => {
    const pieces = stretchesOf(zone)
    const rule = resolveRule({ cron: '*/20 * * * *', timeZone: zone, dst: 'both' }, 'rule')
    const once = resolveRule({ cron: '*/20 * * * *', timeZone: zone }, 'rule')
    fc.assert(
      fc.property(
        fc.nat(pieces.length - 1),
        fc.integer({ min: 23 * HOUR, max: 28 * HOUR }),
        fc.boolean(),
        (index, past, both) => {
          const piece = pieces[index] as Stretch
          const due = dueIn(piece, (wallMs) => partsOf(wallMs).minute % 20 === 0, both)
          const at = piece.from + past
          expect(nextAfter(both ? rule : once, at)).toBe(due.find((one) => one > at))
          expect(previousBefore(both ? rule : once, at)).toBe(due.findLast((one) => one < at))
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('a whole year, minute by minute', () => {
  it.each(['Europe/Paris', 'Australia/Lord_Howe'])('in %s', { timeout: 60_000 }, (zone) => {
    const year = [stretch(zone, Date.UTC(2027, 0), Date.UTC(2028, 0))]
    holdAgainst(
      { cron: '30 1,2 * * *' },
      zone,
      year,
      ({ hour, minute }) => (hour === 1 || hour === 2) && minute === 30,
      false,
    )
    holdAgainst(
      { cron: '5 2 1-7 3,10 sun' },
      zone,
      year,
      ({ hour, minute, month, day, weekday }) =>
        hour === 2 && minute === 5 && (month === 3 || month === 10) && (day <= 7 || weekday === 0),
      true,
    )
  })
})

describe('seconds', () => {
  it.each([
    ['Europe/Paris', Date.UTC(2027, 9, 31, 1)],
    ['Europe/Paris', Date.UTC(2027, 2, 28, 1)],
    ['Australia/Lord_Howe', Date.UTC(2027, 3, 3, 15)],
    ['Pacific/Apia', Date.UTC(2011, 11, 30, 10)],
  ])('in %s around %i', (zone, at) => {
    for (const both of [false, true]) {
      const piece = [stretch(zone, at - 2 * HOUR, at + 2 * HOUR, 1_000)]
      holdAgainst({ cron: '*/20 * * * * *' }, zone, piece, ({ second }) => second % 20 === 0, both)
    }
  })
})

describe('the day that never was', () => {
  const rule = resolveRule({ cron: '0 8 * * *', timeZone: 'Pacific/Apia' }, 'rule')

  it('is due once, at its end, and the next day at its own time', () => {
    const due = [...occurrences(rule, Date.UTC(2011, 11, 29, 12), Date.UTC(2012, 0, 1, 12))].map(iso)
    expect(due).toEqual([
      '2011-12-29T18:00:00.000Z',
      '2011-12-30T10:00:00.000Z',
      '2011-12-30T18:00:00.000Z',
      '2011-12-31T18:00:00.000Z',
    ])
  })
})

describe('absolute time', () => {
  it('does not care about clocks being set: every, and moments with an offset', () => {
    const [from, until] = [Date.UTC(2027, 2, 27), Date.UTC(2027, 2, 30)]
    const due = (input: object): number[] => [
      ...occurrences(resolveRule({ ...input, timeZone: 'Europe/Paris', dst: 'both' }, 'rule'), from, until),
    ]
    expect(due({ every: '30m' })).toEqual(Array.from({ length: 144 }, (_, index) => from + index * 1_800_000))
    expect(due({ times: ['2027-03-28T02:30:00+01:00'] })).toEqual([Date.UTC(2027, 2, 28, 1, 30)])
  })

  it('is not what a fixed wall time is: that goes by the rules of the clock', () => {
    const times = ['2027-03-28T02:30', '2027-10-31T02:30']
    const due = (dst: string): string[] =>
      [...occurrences(resolveRule({ times, timeZone: 'Europe/Paris', dst }, 'rule'), 0, Date.UTC(2030, 0))].map(iso)
    expect(due('once')).toEqual(['2027-03-28T01:00:00.000Z', '2027-10-31T00:30:00.000Z'])
    expect(due('both')).toEqual([...due('once'), '2027-10-31T01:30:00.000Z'])
  })
})
