import { describe, expect, it } from 'vitest'

import { preview } from '#runtime/schedules/occurrences.js'
import { resolveRule, type ScheduleRule } from '#runtime/schedules/rule.js'

/** The next times in UTC, without the year where it is 2027. */
function next(rule: object, count = 4, from = '2027-01-01T00:00:00Z'): string[] {
  const dates = preview(rule as ScheduleRule, { from, count })
  return dates.map((date) => date.toISOString().slice(0, 16).replace('2027-', ''))
}

describe('calendar rules', () => {
  it.each([
    [{}, ['01-01T00:00', '01-02T00:00', '01-03T00:00', '01-04T00:00']],
    [{ dayOfMonth: -1, at: '23:30' }, ['01-31T23:30', '02-28T23:30', '03-31T23:30', '04-30T23:30']],
    [{ dayOfMonth: [1, -1] }, ['01-01T00:00', '01-31T00:00', '02-01T00:00', '02-28T00:00']],
    [{ dayOfMonth: 31 }, ['01-31T00:00', '03-31T00:00', '05-31T00:00', '07-31T00:00']],
    [{ weekday: 'tue', nth: 2, at: '09:00' }, ['01-12T09:00', '02-09T09:00', '03-09T09:00', '04-13T09:00']],
    [{ weekday: 'tuesday', nth: -1 }, ['01-26T00:00', '02-23T00:00', '03-30T00:00', '04-27T00:00']],
    [{ weekday: ['mon', 'thu'], nth: [1, 3] }, ['01-04T00:00', '01-07T00:00', '01-18T00:00', '01-21T00:00']],
    [{ weekday: 'fri', dayOfMonth: 13 }, ['08-13T00:00', '2028-10-13T00:00', '2029-04-13T00:00', '2029-07-13T00:00']],
    [{ weekday: 'sat-mon', at: '6:00' }, ['01-02T06:00', '01-03T06:00', '01-04T06:00', '01-09T06:00']],
    [{ workday: 1 }, ['01-01T00:00', '02-01T00:00', '03-01T00:00', '04-01T00:00']],
    [{ workday: -1, at: '17:00' }, ['01-29T17:00', '02-26T17:00', '03-31T17:00', '04-30T17:00']],
    [{ workday: [3] }, ['01-05T00:00', '02-03T00:00', '03-03T00:00', '04-05T00:00']],
    [{ month: 'jul' }, ['07-01T00:00', '2028-07-01T00:00', '2029-07-01T00:00', '2030-07-01T00:00']],
    [
      { month: [3, 'September'], dayOfMonth: 15 },
      ['03-15T00:00', '09-15T00:00', '2028-03-15T00:00', '2028-09-15T00:00'],
    ],
    [{ at: ['18:00', '08:00', '08:00'] }, ['01-01T08:00', '01-01T18:00', '01-02T08:00', '01-02T18:00']],
    [{ at: '12:00:30' }, ['01-01T12:00', '01-02T12:00', '01-03T12:00', '01-04T12:00']],
    [{ every: 'quarter' }, ['01-01T00:00', '04-01T00:00', '07-01T00:00', '10-01T00:00']],
    [{ every: 'quarter', dayOfMonth: -1 }, ['01-31T00:00', '04-30T00:00', '07-31T00:00', '10-31T00:00']],
    [{ every: 'quarter', weekday: 'mon', nth: 1 }, ['01-04T00:00', '04-05T00:00', '07-05T00:00', '10-04T00:00']],
    [{ every: { months: 3 }, anchor: '2027-02-10' }, ['02-10T00:00', '05-10T00:00', '08-10T00:00', '11-10T00:00']],
    [{ every: 'week' }, ['01-04T00:00', '01-11T00:00', '01-18T00:00', '01-25T00:00']],
    [
      { every: 'other week', anchor: '2027-01-06', at: '10:00' },
      ['01-06T10:00', '01-20T10:00', '02-03T10:00', '02-17T10:00'],
    ],
    // The anchor says which weeks, also backwards; the weekday says which day.
    [
      { every: '2 weeks', anchor: '2027-02-20', weekday: ['mon', 'fri'] },
      ['01-04T00:00', '01-08T00:00', '01-18T00:00'],
    ],
    [{ every: 'other month' }, ['01-01T00:00', '03-01T00:00', '05-01T00:00', '07-01T00:00']],
    [{ every: { months: 5 }, anchor: '2027-01-01' }, ['01-01T00:00', '06-01T00:00', '11-01T00:00', '2028-04-01T00:00']],
    [{ every: 'year' }, ['01-01T00:00', '2028-01-01T00:00', '2029-01-01T00:00', '2030-01-01T00:00']],
    [
      { every: { years: 2 }, anchor: '2026-03-15' },
      ['2028-03-15T00:00', '2030-03-15T00:00', '2032-03-15T00:00', '2034-03-15T00:00'],
    ],
    [
      { every: { years: 4 }, anchor: '2028-02-29' },
      ['2028-02-29T00:00', '2032-02-29T00:00', '2036-02-29T00:00', '2040-02-29T00:00'],
    ],
    [{ every: { days: 10 }, anchor: '2027-01-05' }, ['01-05T00:00', '01-15T00:00', '01-25T00:00', '02-04T00:00']],
    [
      { every: { days: 3 }, anchor: '2027-01-01', weekday: 'mon-fri' },
      ['01-01T00:00', '01-04T00:00', '01-07T00:00', '01-13T00:00'],
    ],
  ])('%j', (calendar, dates) => {
    expect(next({ calendar }, dates.length)).toEqual(dates)
  })

  it('are of their zone', () => {
    expect(next({ calendar: { dayOfMonth: 1 }, timeZone: 'Asia/Tokyo' }, 2)).toEqual(['01-31T15:00', '02-28T15:00'])
  })

  it('write their defaults out in normal form', () => {
    const { calendar } = resolveRule({ calendar: { every: 'other week', anchor: '2027-01-06' } }, 'rule') as {
      calendar: object
    }
    expect(calendar).toEqual({ at: ['00:00'], weekday: ['wed'], every: { weeks: 2 }, anchor: '2027-01-06' })
  })

  it.each([
    [{ nth: 2 }, 'rule.calendar.nth means nothing without weekday'],
    [{ weekday: 'mon', nth: 6 }, 'expected rule.calendar.nth to be a whole number from -5 to 5, got: 6'],
    [{ dayOfMonth: 0 }, 'expected rule.calendar.dayOfMonth to be 1 to 31, or -1 to -31 from the end, got: 0'],
    [{ dayOfMonth: 32 }, 'rule.calendar.dayOfMonth'],
    [{ dayOfMonth: [] }, 'expected rule.calendar.dayOfMonth to be a list with something in it, got: []'],
    [{ dayOfMonth: 30, month: 'feb' }, 'never is'],
    [{ workday: 1, weekday: 'mon' }, 'rule.calendar.workday means nothing beside weekday or dayOfMonth'],
    [{ weekday: 'tues' }, 'got: "tues", did you mean "tue"?'],
    [{ weekday: 'mon-wed-fri' }, 'expected rule.calendar.weekday to be weekdays such as'],
    [{ weekday: 1 }, 'expected rule.calendar.weekday to be weekdays such as'],
    [{ month: 13 }, 'expected rule.calendar.month to be a month such as "jan" or 1, got: 13'],
    [{ month: 'Juli' }, 'did you mean "jul'],
    [{ at: '24:00' }, 'expected rule.calendar.at to be a time of day such as "08:00" or "23:59:30", got: "24:00"'],
    [{ at: ['08:00', '8'] }, 'expected rule.calendar.at[1] to be a time of day'],
    [{ every: 'fortnight' }, 'expected rule.calendar.every to be an interval such as'],
    [{ every: { weeks: 0 } }, 'expected rule.calendar.every.weeks to be a whole number from 1 to 1000, got: 0'],
    [{ every: { weeks: 1, days: 1 } }, 'expected rule.calendar.every to be an interval'],
    [{ every: { hours: 1 } }, 'unknown rule.calendar.every.hours'],
    [
      { every: '2 weeks' },
      'expected rule.calendar.anchor to be a date to count from, such as "2027-01-04", since every 2 weeks may begin anywhere',
    ],
    [{ anchor: '2027-01-01' }, 'rule.calendar.anchor means nothing without every'],
    [{ every: 'week', anchor: '2027-02-30' }, 'expected rule.calendar.anchor to be a date from 1970 to 2199'],
    [{ wekday: 'mon' }, 'unknown rule.calendar.wekday, did you mean "weekday"?'],
    ['monthly', 'expected rule.calendar to be an object, got: "monthly"'],
  ])('%j is refused: %s', (calendar, text) => {
    expect(() => resolveRule({ calendar }, 'rule')).toThrow(expect.objectContaining({ code: 'INVALID_SCHEDULE' }))
    expect(() => resolveRule({ calendar }, 'rule')).toThrow(text)
  })
})
