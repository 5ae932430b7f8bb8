/** What all rules have in common, the smaller kinds, and what is refused. */
import { ConfigError } from 'troupe'
import { describe, expect, it } from 'vitest'

import { nextAfter, occurrences, preview, previousBefore } from '#runtime/schedules/occurrences.js'
import { resolveRule, ruleKeys, type ScheduleRule } from '#runtime/schedules/rule.js'

const resolve = (input: unknown): ReturnType<typeof resolveRule> => resolveRule(input, 'schedules.x')
const daily = { cron: '0 8 * * *' }
const paris = { event: 'sunset', latitude: 48.85, longitude: 2.35 }

describe('normal form', () => {
  it.each([
    [{ every: { minutes: 15 } }, { every: '15m', timeZone: 'UTC', dst: 'once' }],
    [
      { every: 90_000, anchor: new Date(0) },
      { every: '1m30s', anchor: '1970-01-01T00:00:00Z', timeZone: 'UTC', dst: 'once' },
    ],
    [
      { times: ['2027-01-01 09:00', 0] },
      { times: ['2027-01-01T09:00:00', '1970-01-01T00:00:00Z'], timeZone: 'UTC', dst: 'once' },
    ],
    [
      { ...daily, timeZone: 'Europe/Paris', dst: 'BOTH' },
      { ...daily, timeZone: 'Europe/Paris', dst: 'both' },
    ],
    [
      { ...daily, except: [] },
      { ...daily, timeZone: 'UTC', dst: 'once' },
    ],
    [
      { ...daily, except: ['12-25', '2027-04-05'] },
      { ...daily, timeZone: 'UTC', dst: 'once', except: { dates: ['12-25', '2027-04-05'] } },
    ],
    [
      { ...daily, only: { weekdays: 'sun,mon-tue', between: '7:00 - 24:00' } },
      {
        ...daily,
        timeZone: 'UTC',
        dst: 'once',
        only: { and: [{ between: ['07:00', '00:00'] }, { weekdays: ['mon', 'tue', 'sun'] }] },
      },
    ],
    [
      { ...daily, only: ['2028-01-01', { weekdays: 'mon' }] },
      { ...daily, timeZone: 'UTC', dst: 'once', only: { or: [{ dates: ['2028-01-01'] }, { weekdays: ['mon'] }] } },
    ],
    [
      { ...daily, only: { dates: { from: '2027-01-01', to: '2027-02-01' } } },
      { ...daily, timeZone: 'UTC', dst: 'once', only: { dates: ['2027-01-01/2027-02-01'] } },
    ],
    [{ sun: paris }, { sun: { ...paris, offset: '0s' }, timeZone: 'UTC', dst: 'once' }],
    [{ sun: { ...paris, offset: -1_800_000 } }, { sun: { ...paris, offset: '-30m' }, timeZone: 'UTC', dst: 'once' }],
    [
      { after: { actor: 'orders', message: 'ship' } },
      { timeZone: 'UTC', dst: 'once', after: { actor: 'orders', message: 'ship', status: 'done' } },
    ],
    [
      { ...daily, after: { actor: 'orders', message: 'ship', status: 'any' } },
      { ...daily, timeZone: 'UTC', dst: 'once', after: { actor: 'orders', message: 'ship', status: 'any' } },
    ],
  ])('%j', (input, expected) => {
    expect(resolve(input)).toEqual(expected)
    expect(resolve(JSON.parse(JSON.stringify(resolve(input))))).toEqual(expected)
  })
})

describe('what is refused', () => {
  it.each([
    [undefined, 'expected schedules.x to be an object, got: undefined'],
    [null, 'expected schedules.x to be an object, got: null'],
    ['0 8 * * *', 'expected schedules.x to be an object'],
    [[], 'expected schedules.x to be an object'],
    [
      {},
      'expected schedules.x to have exactly one of cron, every, calendar, rrule, times, sun, or after; got: none of them',
    ],
    [{ ...daily, every: '1h' }, 'got: cron and every'],
    [{ crom: '* * * * *' }, 'unknown schedules.x.crom, did you mean "cron"?'],
    [{ ...daily, timezone: 'UTC' }, 'unknown schedules.x.timezone, did you mean "timeZone"?'],
    [{ ...daily, anchor: 0 }, 'schedules.x.anchor means nothing beside cron: leave it out'],
    [{ after: { actor: 'a', message: 'b' }, only: '12-25' }, 'schedules.x.only means nothing beside after alone'],
    [
      { ...daily, timeZone: 'Europe/Pariss' },
      'expected schedules.x.timeZone to be an IANA time zone such as "Europe/Paris", got: "Europe/Pariss"',
    ],
    [{ ...daily, timeZone: '+02:00' }, 'an IANA time zone'],
    [{ ...daily, timeZone: '' }, 'an IANA time zone'],
    [{ ...daily, timeZone: 2 }, 'an IANA time zone'],
    [{ ...daily, dst: 'twice' }, 'expected schedules.x.dst to be one of once, both, got: "twice"'],
    [{ every: '500ms' }, 'expected schedules.x.every to be a span of whole seconds, at least 1s, got: "500ms"'],
    [{ every: '1500ms' }, 'a span of whole seconds'],
    [{ every: 0 }, 'a span of whole seconds'],
    [{ every: '15 minutes' }, 'did you mean "15m"?'],
    [{ every: '1h', anchor: 'noon' }, 'expected schedules.x.anchor to be a Date'],
    [{ every: '1h', anchor: 1 }, 'expected schedules.x.anchor to be a moment in whole seconds, got: 1'],
    [{ times: [] }, 'expected schedules.x.times to be a list of 1 to 10000 moments, got: []'],
    [{ times: '2027-01-01T00:00:00Z' }, 'a list of 1 to 10000 moments'],
    [{ times: ['2027-01-01T00:00:00Z', 'soon'] }, 'expected schedules.x.times[1] to be a Date'],
    [{ times: ['2027-02-29'] }, 'expected schedules.x.times[0] to be a Date'],
    [{ times: [0.5] }, 'expected schedules.x.times[0] to be a moment in whole seconds, from 1970 to 2199, got: 0.5'],
    [{ times: ['1969-12-31T23:59:59Z'] }, 'from 1970 to 2199'],
    [{ sun: {} }, 'expected schedules.x.sun.event to be one of sunrise, sunset, dawn, dusk, noon, got: undefined'],
    [{ sun: { ...paris, event: 'sunrice' } }, 'did you mean "sunrise"?'],
    [{ sun: { ...paris, latitude: 90 } }, 'expected schedules.x.sun.latitude to be degrees from -89 to 89, got: 90'],
    [
      { sun: { ...paris, longitude: '2.35' } },
      'expected schedules.x.sun.longitude to be degrees from -180 to 180, got: "2.35"',
    ],
    [{ sun: { ...paris, longitude: NaN } }, 'degrees from -180 to 180'],
    [
      { sun: { ...paris, offset: '25h' } },
      'expected schedules.x.sun.offset to be a span of whole seconds, at most a day',
    ],
    [{ sun: { ...paris, offset: '--1h' } }, 'schedules.x.sun.offset'],
    [{ after: 'orders.ship' }, 'expected schedules.x.after to be an object'],
    [{ after: { actor: 'or ders', message: 'ship' } }, 'expected the actor'],
    [{ after: { actor: 'orders' } }, 'expected the message'],
    [
      { after: { actor: 'orders', message: 'ship', status: 'ok' } },
      'expected schedules.x.after.status to be one of done, dead, any, got: "ok"',
    ],
    [
      { ...daily, only: {} },
      'expected schedules.x.only to be a condition with one of between, weekdays, dates, and, or, not',
    ],
    [{ ...daily, only: [] }, 'expected schedules.x.only to be a list of 1 to 1000 conditions'],
    [{ ...daily, only: { betwen: [] } }, 'unknown schedules.x.only.betwen, did you mean "between"?'],
    [{ ...daily, only: { between: ['09:00'] } }, 'expected schedules.x.only.between to be two times of day'],
    [
      { ...daily, only: { between: ['09:00', '09:00'] } },
      'expected schedules.x.only.between to be two different times of day, got twice 09:00',
    ],
    [{ ...daily, only: { between: ['9', '10'] } }, 'expected schedules.x.only.between[0] to be a time of day'],
    [{ ...daily, only: { weekdays: [] } }, 'expected schedules.x.only.weekdays to be a list with something in it'],
    [{ ...daily, only: { weekdays: 'mon-' } }, 'expected schedules.x.only.weekdays to be one of sun, mon'],
    [{ ...daily, only: { dates: '2027-02-30' } }, 'expected schedules.x.only.dates to be a date'],
    [{ ...daily, only: { dates: ['02-30'] } }, 'expected schedules.x.only.dates[0] to be a date'],
    [{ ...daily, only: { dates: '2027-03-01/2027-02-01' } }, 'a range such as'],
    [{ ...daily, only: { dates: '2027-03-01/04-01' } }, 'a range such as'],
    [{ ...daily, only: { dates: { from: '2027-01-01' } } }, 'expected schedules.x.only.dates to be a date'],
    [
      { ...daily, only: { not: { or: [{ and: 7 }] } } },
      'expected schedules.x.only.not.or[0].and to be a list of 1 to 1000 conditions, got: 7',
    ],
    [{ ...daily, except: 7 }, 'expected schedules.x.except to be an object, got: 7'],
    [
      { ...daily, only: { between: '09:00-17:00' } },
      'expected schedules.x to be true at some time from 1970 to 2199, but its cron with only never is',
    ],
    [{ ...daily, only: { and: [{ weekdays: 'mon' }, { weekdays: 'tue' }] } }, 'its cron with only never is'],
    [
      { ...daily, only: { weekdays: 'mon-fri' }, except: { weekdays: 'sun-fri' } },
      'its cron with only and except never is',
    ],
    [{ times: ['2027-01-01T00:00:00Z'], except: '01-01' }, 'its times with except never is'],
    [
      { every: '1h', anchor: 0, only: { dates: '02-29' }, except: { dates: '02-01/03-01' } },
      'its every with only and except never is',
    ],
  ])('%j: %s', (input, text) => {
    const made = (): unknown => resolve(input)
    expect(made).toThrow(ConfigError)
    expect(made).toThrow(expect.objectContaining({ code: 'INVALID_SCHEDULE' }))
    expect(made).toThrow(text as string)
  })

  it('a condition that nests without end', () => {
    const deep = Array.from({ length: 40 }).reduce<object>((inner) => ({ not: inner }), { weekdays: 'mon' })
    expect(() => resolve({ ...daily, only: deep })).toThrow('a condition at most 16 deep')
  })

  it('any JSON in the place of any key, with the typed error and nothing else', () => {
    const nonsense: unknown[] = [
      null,
      true,
      0,
      -1,
      1e308,
      '',
      ' ',
      'x'.repeat(5_000),
      '\u0000',
      [],
      [[]],
      [null],
      {},
      { a: 1 },
      { toString: 1 },
      '2027-01-01',
      '*',
    ]
    for (const key of ruleKeys) {
      for (const value of nonsense) {
        for (const input of [{ [key]: value }, { ...daily, [key]: value }, { every: '1h', [key]: value }]) {
          try {
            resolve(input)
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigError)
            expect(error).toHaveProperty('code', 'INVALID_SCHEDULE')
          }
        }
      }
    }
  })
})

describe('a rule that only waits for something else', () => {
  it('has no times of its own', () => {
    const rule = resolve({ after: { actor: 'orders', message: 'ship' } })
    expect(nextAfter(rule, 0)).toBeUndefined()
    expect(previousBefore(rule, Date.UTC(2100, 0))).toBeUndefined()
    expect([...occurrences(rule, 0, 1e15)]).toEqual([])
  })
})

describe('every', () => {
  it.each([
    [{ every: '15m' }, ['00:00', '00:15', '00:30']],
    [{ every: '15m', anchor: '2030-05-05T10:07:00Z' }, ['00:07', '00:22', '00:37']],
    [{ every: '7h', anchor: '2027-01-01T01:00:00Z' }, ['01:00', '08:00', '15:00']],
  ])('%j', (rule, times) => {
    const dates = preview(rule, { from: '2027-01-01T00:00:00Z', count: 3 })
    expect(dates.map((date) => date.toISOString().slice(11, 16))).toEqual(times)
  })
})

describe('the sun', () => {
  // Times of the almanac for these places and days, in whole minutes of UTC.
  it.each([
    ['Paris', 'sunrise', 48.8566, 2.3522, '2024-06-20', '03:47'],
    ['Paris', 'sunset', 48.8566, 2.3522, '2024-06-20', '19:58'],
    ['London', 'sunrise', 51.5074, -0.1278, '2024-12-21', '08:04'],
    ['London', 'sunset', 51.5074, -0.1278, '2024-12-21', '15:53'],
    ['New York', 'sunrise', 40.7128, -74.006, '2024-07-04', '09:29'],
    ['Sydney', 'sunset', -33.8688, 151.2093, '2024-01-01', '09:09'],
  ])('%s, %s', (_place, event, latitude, longitude, day, time) => {
    const [at] = preview({ sun: { event, latitude, longitude } } as ScheduleRule, {
      from: `${day}T00:00:00Z`,
      count: 1,
    })
    expect(Math.abs(Number(at) - Date.parse(`${day}T${time}:00Z`))).toBeLessThanOrEqual(120_000)
  })

  it('comes so long before or after as asked', () => {
    const times = [undefined, '-30m', '+1h'].map((offset) => {
      const sun = { ...paris, ...(offset === undefined ? {} : { offset }) }
      return Number(preview({ sun } as ScheduleRule, { from: '2027-05-05T12:00:00Z', count: 1 })[0])
    })
    expect(times.map((time) => time - Number(times[0]))).toEqual([0, -1_800_000, 3_600_000])
  })

  it('does not come in a polar night or day, and then again', () => {
    const rule = resolve({ sun: { event: 'sunrise', latitude: 78.22, longitude: 15.65 } })
    const inNight = Number(nextAfter(rule, Date.UTC(2026, 11, 1)))
    const inDay = Number(nextAfter(rule, Date.UTC(2027, 5, 1)))
    expect(new Date(inNight).toISOString().slice(0, 7)).toBe('2027-02')
    expect(new Date(inDay).toISOString().slice(0, 7)).toBe('2027-08')
    expect(Number(previousBefore(rule, inNight))).toBeLessThan(Date.UTC(2026, 11, 1))
  })
})

describe('preview', () => {
  const rule = { cron: '0 8 * * *' }

  it('begins with from, included, and ends before until', () => {
    const dates = preview(rule, { from: '2027-01-01T08:00:00Z', until: '2027-01-03T08:00:00Z' })
    expect(dates).toEqual([new Date('2027-01-01T08:00:00Z'), new Date('2027-01-02T08:00:00Z')])
  })

  it('gives ten, or as many as asked for', () => {
    expect(preview(rule, { from: new Date(0) })).toHaveLength(10)
    expect(preview(rule, { from: 0, count: 25 })).toHaveLength(25)
    expect(preview({ times: [0, 1000] }, { from: 0 })).toHaveLength(2)
  })

  it.each([
    [{ from: 0, until: 0 }, 'expected preview.until to be after preview.from'],
    [{ from: 'now' }, 'expected preview.from to be a Date'],
    [{ from: 0, count: 0 }, 'expected preview.count to be a whole number from 1 to 10000, got: 0'],
    [{ from: 0, count: 1.5 }, 'expected preview.count'],
  ])('%j is refused: %s', (options, text) => {
    expect(() => preview(rule, options)).toThrow(expect.objectContaining({ code: 'INVALID_SCHEDULE' }))
    expect(() => preview(rule, options)).toThrow(text)
  })

  it('refuses the rule as put would', () => {
    expect(() => preview({ cron: '0 0 30 2 *' }, { from: 0 })).toThrow('never is')
  })
})
