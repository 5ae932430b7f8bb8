/** Conditions where the search for them is hard: over changes of the clock, over years, and at the ends of time. */
import { describe, expect, it } from 'vitest'

import { nextAfter, occurrences, previousBefore } from '#runtime/schedules/occurrences.js'
import { resolveRule } from '#runtime/schedules/rule.js'

import { changesOf, partsOf, wallOf } from '../../kit/wallClock.ts'

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000]
const iso = (ms: number | undefined): string => (ms === undefined ? 'never' : new Date(ms).toISOString())

describe.each(['Europe/Paris', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Pacific/Apia'])(
  'in %s, around changes of its clocks',
  (zone) => {
    const changes = changesOf(zone, 2011, 2028)
    const dayName = (ms: number): string => new Date(wallOf(zone, ms)).toISOString().slice(0, 10)
    const minuteOf = (ms: number): number => {
      const { hour, minute } = partsOf(wallOf(zone, ms))
      return hour * 60 + minute
    }

    it.each([
      [
        'the half hours of the night',
        { between: ['01:30', '03:30'] },
        (ms: number) => minuteOf(ms) >= 90 && minuteOf(ms) < 210,
      ],
      [
        'the middle of the night',
        { between: ['23:45', '02:15'] },
        (ms: number) => minuteOf(ms) >= 1425 || minuteOf(ms) < 135,
      ],
      [
        'all but those',
        { not: { between: ['02:00', '03:00'] } },
        (ms: number) => minuteOf(ms) < 120 || minuteOf(ms) >= 180,
      ],
    ] as const)('%s are found from near and from far', (_what, only, holds) => {
      const rule = resolveRule({ every: '5m', only, timeZone: zone }, 'rule')
      for (const at of changes) {
        const [from, until] = [at - 14 * HOUR, at + 14 * HOUR]
        const all = Array.from({ length: (until - from) / (5 * MINUTE) }, (_, index) => from + index * 5 * MINUTE)
        const expected = all.filter((ms) => holds(ms))
        expect([...occurrences(rule, from, until)].map(iso)).toEqual(expected.map(iso))
        const backwards: number[] = []
        for (let ms = previousBefore(rule, until); ms !== undefined && ms >= from; ms = previousBefore(rule, ms))
          backwards.unshift(ms)
        expect(backwards.map(iso)).toEqual(expected.map(iso))
      }
    })

    it('a day beyond the change is found from weeks before and after, to the minute', () => {
      for (const at of changes) {
        const [before, after] = [dayName(at - 4 * DAY), dayName(at + 4 * DAY)]
        const rule = resolveRule({ every: '5m', only: { dates: [before, after] }, timeZone: zone }, 'rule')
        const firstOf = (day: string, near: number): number => {
          let ms = Math.floor(near / (5 * MINUTE)) * 5 * MINUTE
          while (dayName(ms) === day) ms -= 5 * MINUTE
          return ms + 5 * MINUTE
        }
        const start = firstOf(after, at + 4 * DAY)
        // From noon of the day before the other one ends, over the change.
        expect(iso(nextAfter(rule, firstOf(before, at - 4 * DAY) + DAY + 2 * HOUR))).toBe(iso(start))
        const end = firstOf(dayName(at - 3 * DAY), at - 3 * DAY) - 5 * MINUTE
        expect(iso(previousBefore(rule, start))).toBe(iso(end))
      }
    })
  },
)

describe('dates that come every year', () => {
  const due = (only: unknown, from: number, count: number): string[] => {
    const rule = resolveRule({ cron: '0 12 * * *', only }, 'rule')
    const found: string[] = []
    for (let at = nextAfter(rule, from); at !== undefined && found.length < count; at = nextAfter(rule, at)) {
      found.push(iso(at).slice(0, 10))
    }
    return found
  }

  it('have no 29 February in years without one, but may begin or end there', () => {
    expect(due('02-29', Date.UTC(2025, 0), 2)).toEqual(['2028-02-29', '2032-02-29'])
    expect(due({ dates: '02-27/02-29' }, Date.UTC(2027, 0), 5)).toEqual([
      '2027-02-27',
      '2027-02-28',
      '2028-02-27',
      '2028-02-28',
      '2028-02-29',
    ])
    expect(due({ dates: '02-29/03-01' }, Date.UTC(2027, 0), 3)).toEqual(['2027-03-01', '2028-02-29', '2028-03-01'])
  })

  it('may go over the new year', () => {
    expect(due({ dates: '12-31/01-01' }, Date.UTC(2027, 0, 2), 4)).toEqual([
      '2027-12-31',
      '2028-01-01',
      '2028-12-31',
      '2029-01-01',
    ])
  })

  it('are found over the year 2100, which has no 29 February', () => {
    expect(due('02-29', Date.UTC(2096, 5), 1)).toEqual(['2104-02-29'])
  })
})

describe('a rule of every second', () => {
  it('in one hour, decades away, is found at once', () => {
    const only = { and: [{ dates: '2090-06-01' }, { between: ['12:00', '13:00'] }] }
    const rule = resolveRule({ cron: '* * * * * *', only, timeZone: 'Europe/Paris' }, 'rule')
    const began = performance.now()
    expect(iso(nextAfter(rule, 0))).toBe('2090-06-01T10:00:00.000Z')
    expect(iso(previousBefore(rule, Date.UTC(2199, 0)))).toBe('2090-06-01T10:59:59.000Z')
    // Second by second it would take half an hour.
    expect(performance.now() - began).toBeLessThan(5_000)
  })
})

describe('the ends of time', () => {
  it.each([
    { every: '1h' },
    { every: '7h', anchor: '2027-01-01T03:00:00Z' },
    { sun: { event: 'noon', latitude: 0, longitude: 0 } },
    { rrule: 'FREQ=HOURLY' },
  ])('%j has nothing before 1970 and nothing after 2199', (input) => {
    const rule = resolveRule(input, 'rule')
    const [first, last] = [nextAfter(rule, -1e15), previousBefore(rule, 1e15)]
    expect(iso(first).slice(0, 10)).toBe('1970-01-01')
    expect(iso(last).slice(0, 10)).toBe('2199-12-31')
    expect(previousBefore(rule, first ?? NaN)).toBeUndefined()
    expect(nextAfter(rule, last ?? NaN)).toBeUndefined()
  })
})
