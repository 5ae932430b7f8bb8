import { describe, expect, it } from 'vitest'

import { resolveRule } from '#runtime/schedules/rule.js'
import { inWords } from '#runtime/schedules/words.js'

const words = (rule: object): string => inWords(resolveRule(rule, 'rule'))

describe('a rule in words', () => {
  it.each([
    ['0 8 * * mon-fri', 'at 08:00, Monday to Friday'],
    ['@daily', 'at 00:00, every day'],
    ['@hourly', 'at minute 0 of every hour'],
    ['30 2 * * *', 'at 02:30, every day'],
    ['0 8,20 * * 0,6', 'at 08:00 and 20:00, Saturday and Sunday'],
    ['* * * * *', 'every minute'],
    ['*/15 * * * *', 'every 15 minutes'],
    ['*/15 9-17 * * mon-fri', 'every 15 minutes from 09:00 to 17:45, Monday to Friday'],
    ['5,35 * * * *', 'at minutes 5 and 35 of every hour'],
    ['0 */2 * * *', 'at minute 0 every 2 hours'],
    ['*/10 8,12,18 * * *', 'every 10 minutes in hours 8, 12 and 18'],
    ['*/10 * * * * *', 'every 10 seconds'],
    ['* * * * * *', 'every second'],
    ['30 0 8 * * *', 'at 08:00:30, every day'],
    ['30 * * * * *', 'at second 30 every minute'],
    ['0 0 1 * *', 'at 00:00, on the 1st of the month'],
    ['0 0 1,15 1-3,7 *', 'at 00:00, on the 1st and 15th of the month, in January to March and July'],
    ['0 0 L * *', 'at 00:00, on the last day of the month'],
    ['0 0 L-2 * *', 'at 00:00, on the 3rd to last day of the month'],
    ['0 0 15W * *', 'at 00:00, on the Monday-to-Friday day nearest to the 15th of the month'],
    ['0 0 LW * *', 'at 00:00, on the last Monday-to-Friday day of the month'],
    ['0 9 * * tue#2', 'at 09:00, the 2nd Tuesday of the month'],
    ['0 9 * * mon,friL', 'at 09:00, Monday and the last Friday of the month'],
    ['0 0 13 * fri', 'at 00:00, on the 13th of the month or Friday'],
    ['0 0 * dec *', 'at 00:00, every day in December'],
    ['0 0 1-7 * *', 'at 00:00, on the 1st to 7th of the month'],
  ])('cron %s', (cron, text) => {
    expect(words({ cron, timeZone: 'Europe/Paris' })).toBe(`${text}, Europe/Paris`)
  })

  it.each([
    [{ every: '15m' }, 'every 15 minutes'],
    [{ every: '1h' }, 'every hour'],
    [{ every: '90s' }, 'every 1 minute 30 seconds'],
    [{ every: '1d', anchor: '2027-01-01T08:00:00Z' }, 'every day, counted from 2027-01-01T08:00:00Z'],
    [
      { every: '1h', only: { between: ['09:00', '17:00'] }, timeZone: 'Asia/Tokyo' },
      'every hour, Asia/Tokyo, only between 09:00 and 17:00',
    ],
    [{ calendar: { dayOfMonth: -1, at: '23:30' } }, 'at 23:30, on the last day of the month, UTC'],
    [{ calendar: { dayOfMonth: [-2, 1, -1] } }, 'at 00:00, on the 1st, 2nd to last day and last day of the month, UTC'],
    [{ calendar: { weekday: 'tue', nth: 2, at: '09:00' } }, 'at 09:00, the 2nd Tuesday of the month, UTC'],
    [
      { calendar: { workday: [1, -1], at: '09:00' } },
      'at 09:00, on the 1st and last Monday-to-Friday day of the month, UTC',
    ],
    [{ calendar: { every: 'quarter' } }, 'at 00:00, on the 1st of the month, every 3 months, UTC'],
    [
      { calendar: { every: 'other week', anchor: '2027-01-04' } },
      'at 00:00, Monday, every 2 weeks from 2027-01-04, UTC',
    ],
    [{ calendar: { month: 'jul', dayOfMonth: 14 } }, 'at 00:00, on the 14th of the month, in July, UTC'],
    [{ calendar: {} }, 'at 00:00, every day, UTC'],
    [
      { rrule: 'DTSTART;TZID=Europe/Paris:20270104T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR' },
      'every 2 weeks on Monday and Friday at 09:00, from 2027-01-04T09:00:00, Europe/Paris',
    ],
    [
      { rrule: 'FREQ=MONTHLY;BYDAY=2TU,-1FR;BYHOUR=9,17;UNTIL=20271231T235959Z' },
      'every month on the 2nd Tuesday and the last Friday at 09:00 and 17:00, until 31 December 2027, UTC',
    ],
    [
      {
        rrule:
          'DTSTART:20270101T090000Z\nRRULE:FREQ=DAILY;COUNT=3\nRDATE:20270601T000000Z\nEXDATE:20270102T090000Z,20270103T090000Z',
      },
      'every day at 09:00, from 2027-01-01T09:00:00, 3 times, and one more time, except 2 of them, UTC',
    ],
    [
      { rrule: 'FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=1' },
      'every year in January and July on the 1st of the month at 00:00, UTC',
    ],
    [{ rrule: 'FREQ=HOURLY;BYMINUTE=5,35' }, 'every hour at minutes 5 and 35, UTC'],
    [{ rrule: 'FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1' }, 'by FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1, UTC'],
    [{ times: ['2027-03-28T09:00'] }, 'at 2027-03-28T09:00:00, UTC'],
    [{ times: [3000, 1000, 2000, 0] }, 'at 4 fixed times from 1970-01-01T00:00:00Z to 1970-01-01T00:00:03Z, UTC'],
    [
      { sun: { event: 'sunset', latitude: 48.85, longitude: -2.35, offset: '-30m' } },
      '30 minutes before sunset at 48.85°N 2.35°W',
    ],
    [{ sun: { event: 'dawn', latitude: -1, longitude: 36.8 } }, 'at dawn at 1°S 36.8°E'],
    [{ after: { actor: 'orders', message: 'ship' } }, 'each time that orders.ship is done'],
    [
      { cron: '@daily', after: { actor: 'orders', message: 'ship', status: 'any' } },
      'at 00:00, every day, UTC, each once orders.ship has ended since the run before',
    ],
    [{ cron: '@daily', dst: 'both' }, 'at 00:00, every day, UTC, twice where the clock shows it twice'],
    [
      { cron: '@daily', except: ['12-25', '2027-04-05', '08-01/08-31'] },
      'at 00:00, every day, UTC, except on 25 December, 5 April 2027 and 1 August to 31 August',
    ],
    [
      { cron: '@daily', except: Array.from({ length: 9 }, (_, index) => `01-0${index + 1}`) },
      'at 00:00, every day, UTC, except on 9 dates',
    ],
    [
      {
        cron: '@daily',
        only: { or: [{ weekdays: 'mon-fri' }, { and: [{ dates: '12-25' }, { not: { weekdays: 'sun' } }] }] },
      },
      'at 00:00, every day, UTC, only on Monday to Friday or (on 25 December and not on Sunday)',
    ],
  ])('%j', (rule, text) => {
    expect(words(rule)).toBe(text)
  })
})
