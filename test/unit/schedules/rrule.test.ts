/** RFC 5545 rules: the examples of its section 3.8.5.3, and what is refused. */
import { describe, expect, it } from 'vitest'

import { occurrences, preview } from '#runtime/schedules/occurrences.js'
import { resolveRule, type ScheduleRule } from '#runtime/schedules/rule.js'

const start = 'DTSTART;TZID=America/New_York:19970902T090000\n'

/** Wall times in New York, as `MM-DD` of 1997 where the time is 09:00. */
function walls(rrule: string, count: number): string[] {
  return preview({ rrule } as ScheduleRule, { from: '1997-01-01T00:00:00Z', count }).map((date) => {
    const text = date.toLocaleString('sv-SE', { timeZone: 'America/New_York' })
    return text.replace(' 09:00:00', '').replace(/^1997-/, '')
  })
}

describe('the examples of RFC 5545', () => {
  it.each([
    ['FREQ=DAILY;COUNT=10', '09-02 09-03 09-04 09-05 09-06 09-07 09-08 09-09 09-10 09-11'],
    ['FREQ=DAILY;INTERVAL=2', '09-02 09-04 09-06 09-08'],
    ['FREQ=DAILY;INTERVAL=10;COUNT=5', '09-02 09-12 09-22 10-02 10-12'],
    ['FREQ=WEEKLY;COUNT=10', '09-02 09-09 09-16 09-23 09-30 10-07 10-14 10-21 10-28 11-04'],
    ['FREQ=WEEKLY;INTERVAL=2;WKST=SU', '09-02 09-16 09-30 10-14'],
    [
      'FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH',
      '09-02 09-04 09-09 09-11 09-16 09-18 09-23 09-25 09-30 10-02',
    ],
    ['FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH', '09-02 09-04 09-16 09-18 09-30 10-02 10-14 10-16'],
    ['FREQ=MONTHLY;BYMONTHDAY=-3', '09-28 10-29 11-28 12-29'],
    ['FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15', '09-02 09-15 10-02 10-15 11-02 11-15 12-02 12-15 1998-01-02 1998-01-15'],
    ['FREQ=MONTHLY;INTERVAL=18;COUNT=3;BYMONTHDAY=10,11', '09-10 09-11 1999-03-10'],
    ['FREQ=MONTHLY;INTERVAL=2;BYDAY=TU', '09-02 09-09 09-16 09-23 09-30 11-04'],
    ['FREQ=YEARLY;INTERVAL=3;COUNT=4;BYYEARDAY=1,100,200', '2000-01-01 2000-04-09 2000-07-18 2003-01-01'],
    ['FREQ=YEARLY;BYDAY=20MO', '1998-05-18 1999-05-17 2000-05-15'],
    ['FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO', '1998-05-11 1999-05-17 2000-05-15'],
    ['FREQ=YEARLY;BYMONTH=3;BYDAY=TH', '1998-03-05 1998-03-12 1998-03-19 1998-03-26 1999-03-04'],
    ['FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13', '1998-02-13 1998-03-13 1998-11-13 1999-08-13 2000-10-13'],
    ['FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13', '09-13 10-11 11-08 12-13 1998-01-10'],
    ['FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3', '09-04 10-07 11-06'],
    ['FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2', '09-29 10-30 11-27 12-30 1998-01-29'],
    ['FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5', '09-15 09-30 10-15 10-30 11-15'],
  ])('%s', (rule, dates) => {
    const expected = dates.split(' ')
    expect(walls(`${start}RRULE:${rule}`, expected.length)).toEqual(expected)
  })

  it('hours and minutes', () => {
    expect(walls(`${start}RRULE:FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z`, 9)).toEqual([
      '09-02',
      '09-02 12:00:00',
      '09-02 15:00:00',
    ])
    expect(walls(`${start}RRULE:FREQ=MINUTELY;INTERVAL=90;COUNT=4`, 9)).toEqual([
      '09-02',
      '09-02 10:30:00',
      '09-02 12:00:00',
      '09-02 13:30:00',
    ])
    expect(walls(`${start}RRULE:FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,20`, 5)).toEqual([
      '09-02',
      '09-02 09:20:00',
      '09-02 10:00:00',
      '09-02 10:20:00',
      '09-03',
    ])
  })

  it('leave out EXDATE and add RDATE', () => {
    const text = `${start}RRULE:FREQ=DAILY;COUNT=3\nEXDATE;TZID=America/New_York:19970903T090000\nRDATE:19970905T130000Z,19970904T130000Z`
    expect(walls(text, 9)).toEqual(['09-02', '09-04', '09-05'])
  })
})

describe('UNTIL', () => {
  const due = (until: string): number =>
    [
      ...occurrences(
        resolveRule({ rrule: `DTSTART;TZID=Europe/Paris:20270101T090000\nRRULE:FREQ=DAILY;UNTIL=${until}` }, 'rule'),
        0,
        1e15,
      ),
    ].length

  it.each([
    ['20270103T080000Z', 3],
    ['20270103T075959Z', 2],
    ['20270103T090000', 3],
    ['20270103T085959', 2],
    ['20270103', 3],
    ['20261231T000000Z', NaN],
  ])('%s is the last moment, included', (until, count) => {
    if (Number.isNaN(count)) expect(() => due(until)).toThrow('never is')
    else expect(due(until)).toBe(count)
  })
})

describe('the text of a rule', () => {
  const resolve = (rrule: unknown, options: object = {}): { rrule?: string; timeZone?: string } =>
    resolveRule({ rrule, ...options }, 'rule') as { rrule?: string; timeZone?: string }

  it('names its zone by TZID, by Z, or leaves it to the rule', () => {
    expect(resolve('DTSTART;TZID=Europe/Paris:20270101T090000\nRRULE:FREQ=DAILY').timeZone).toBe('Europe/Paris')
    expect(resolve('DTSTART:20270101T090000Z\nRRULE:FREQ=DAILY').timeZone).toBe('UTC')
    expect(resolve('DTSTART:20270101T090000\nRRULE:FREQ=DAILY', { timeZone: 'Asia/Tokyo' }).timeZone).toBe('Asia/Tokyo')
    expect(resolve('FREQ=DAILY').timeZone).toBe('UTC')
  })

  it('is kept in one form: unfolded, in upper case, DTSTART first', () => {
    expect(
      resolve('RRULE:freq=weekly;byday=mo,\r\n tu\r\nDTSTART;VALUE=DATE-TIME;TZID=Europe/Paris:20270101T090000\r\n')
        .rrule,
    ).toBe('DTSTART;TZID=Europe/Paris:20270101T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU')
    expect(resolve('FREQ=DAILY;BYHOUR=9').rrule).toBe('RRULE:FREQ=DAILY;BYHOUR=9')
    expect(resolve('DTSTART;VALUE=DATE:20270101\nRRULE:FREQ=DAILY').rrule).toBe('DTSTART:20270101\nRRULE:FREQ=DAILY')
  })

  it.each([
    ['nonsense', 'to have lines such as "RRULE:FREQ=DAILY", got: "nonsense"'],
    ['', 'to have an RRULE'],
    [7, 'expected rule.rrule to be RFC 5545 text'],
    ['DTSTART:20270101T090000Z', 'to have an RRULE'],
    ['RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY', 'to have one RRULE, got 2'],
    ['EXRULE:FREQ=DAILY', 'got: "EXRULE", did you mean "RRULE"?'],
    ['FREQ=DAILY;FOO=1', 'to have parts such as FREQ=DAILY, got: "FOO=1"'],
    ['FREQ=DAILY;BYHUOR=1', 'did you mean "BYHOUR"?'],
    ['FREQ=SOMETIMES', 'expected FREQ in rule.rrule to be YEARLY'],
    ['FREQ=DAILY;FREQ=WEEKLY', 'to have FREQ once'],
    ['FREQ=DAILY;INTERVAL=0', 'expected INTERVAL in rule.rrule to be a number from 1 to 10000, got: "0"'],
    ['FREQ=DAILY;INTERVAL=1.5', 'INTERVAL'],
    ['DTSTART:20270101T090000Z\nRRULE:FREQ=DAILY;COUNT=-1', 'COUNT'],
    ['FREQ=DAILY;BYHOUR=24', 'expected BYHOUR in rule.rrule to be 0 to 23, got: "24"'],
    ['FREQ=DAILY;BYHOUR=', 'BYHOUR'],
    ['FREQ=DAILY;BYMONTH=0', 'BYMONTH'],
    ['FREQ=DAILY;BYMONTHDAY=32', 'BYMONTHDAY'],
    ['FREQ=MONTHLY;BYDAY=XX', 'BYDAY'],
    ['FREQ=WEEKLY;BYDAY=1MO', 'to be a rule of RFC 5545: BYDAY with numeric value'],
    ['FREQ=DAILY;BYSETPOS=1', 'to be a rule of RFC 5545: BYSETPOS'],
    ['FREQ=MONTHLY;BYWEEKNO=3', 'to be a rule of RFC 5545: BYWEEKNO'],
    ['DTSTART:20270101T090000Z\nRRULE:FREQ=DAILY;COUNT=3;UNTIL=20280101T000000Z', 'to have COUNT or UNTIL, not both'],
    ['FREQ=DAILY;UNTIL=tomorrow', 'to be like 20270104T090000'],
    ['INTERVAL=2', 'to have FREQ'],
    ['FREQ=DAILY;INTERVAL=2', 'to have DTSTART, since INTERVAL counts from it'],
    ['FREQ=DAILY;COUNT=2', 'to have DTSTART, since COUNT counts from it'],
    ['FREQ=WEEKLY', 'to have DTSTART, since FREQ=WEEKLY without BYDAY'],
    [
      'DTSTART;TZID=Nowhere/X:20270101T090000\nRRULE:FREQ=DAILY',
      'an IANA time zone such as "Europe/Paris", got: "Nowhere/X"',
    ],
    [
      'DTSTART;TZID=Europe/Paris:20270101T090000\nRRULE:FREQ=DAILY\nEXDATE;TZID=Asia/Tokyo:20270101T090000',
      'to have one time zone, got: Europe/Paris, Asia/Tokyo',
    ],
    ['DTSTART;TZID=Europe/Paris:20270101T090000Z\nRRULE:FREQ=DAILY', 'to have one time zone'],
    ['DTSTART:20270230T090000Z\nRRULE:FREQ=DAILY', 'got: "20270230T090000Z"'],
    ['DTSTART;LANGUAGE=en:20270101T090000Z\nRRULE:FREQ=DAILY', 'the parameters TZID and VALUE, got: "LANGUAGE"'],
    ['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30', 'never is'],
    ['DTSTART:20270101T000000Z\nRRULE:FREQ=HOURLY;INTERVAL=2;BYHOUR=1', 'never is'],
  ])('%j is refused: %s', (rrule, text) => {
    expect(() => resolve(rrule)).toThrow(expect.objectContaining({ code: 'INVALID_SCHEDULE' }))
    expect(() => resolve(rrule)).toThrow(text)
  })

  it('has the zone that the rule has', () => {
    const text = 'DTSTART;TZID=Europe/Paris:20270101T090000\nRRULE:FREQ=DAILY'
    expect(resolve(text, { timeZone: 'Europe/Paris' }).timeZone).toBe('Europe/Paris')
    expect(() => resolve(text, { timeZone: 'UTC' })).toThrow(
      'expected rule.timeZone to be that of DTSTART, Europe/Paris, got: "UTC"',
    )
  })
})
