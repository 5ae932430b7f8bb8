import { CronExpressionParser } from 'cron-parser'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { cronNicknames, cronWalk, parseCron } from '#runtime/schedules/cron.js'
import { nextAfter, preview, previousBefore } from '#runtime/schedules/occurrences.js'
import { resolveRule } from '#runtime/schedules/rule.js'

const fieldsOf = (text: string): ReturnType<typeof parseCron> => parseCron(text, 'cron')

/** What text says, its lists in any order. */
const saysOf = (text: string): object => {
  const { weekdays, monthDays, ...rest } = fieldsOf(text)
  return { ...rest, weekdays: weekdays && new Set(weekdays), monthDays: monthDays && new Set(monthDays) }
}

/** The next dates in UTC, without years where all are of 2027. */
function next(cron: string, count = 4, from = '2027-01-01T00:00:00Z'): string[] {
  return preview({ cron }, { from, count }).map((date) => date.toISOString().slice(0, 16).replace('2027-', ''))
}

describe('cron text', () => {
  it.each([
    ['0 8 * * mon-fri', '0 8 * * 1-5'],
    ['0 8 * JAN-mar Mon,TUE', '0 8 * 1-3 1,2'],
    ['0 0 * * 7', '0 0 * * 0'],
    ['0 0 * * 5-7', '0 0 * * 0,5,6'],
    ['0 0 * * 0-7', '0 0 * * 0-6'],
    ['0 0 * * fri-mon', '0 0 * * 0,1,5,6'],
    ['0 0 * * sat-sun', '0 0 * * 0,6'],
    ['0 22-2 * * *', '0 22,23,0,1,2 * * *'],
    ['0 22-6/2 * * *', '0 0,2,4,6,22 * * *'],
    ['0 0 1 nov-feb *', '0 0 1 1,2,11,12 *'],
    ['5/20 * * * *', '5,25,45 * * * *'],
    ['*/20 * * * *', '0,20,40 * * * *'],
    ['0-30/10,5,5,0-1 * * * *', '0,1,5,10,20,30 * * * *'],
    ['? ? ? ? ?', '* * * * *'],
    ['0 30 8 * * *', '30 8 * * *'],
    ['  0\t8  *  * *  ', '0 8 * * *'],
    ['*/60 * * * *', '0 * * * *'],
    ['0 0 lw * *', '0 0 LW * *'],
    ['@daily', '0 0 * * *'],
    ['@Midnight', '0 0 * * *'],
    ['@hourly', '0 * * * *'],
    ['@weekly', '0 0 * * sun'],
    ['@monthly', '0 0 1 * *'],
    ['@yearly', '0 0 1 1 *'],
    ['@annually', '0 0 1 jan *'],
    ['@secondly', '* * * * * *'],
  ])('%s says what %s says', (one, other) => {
    expect(saysOf(one)).toEqual(saysOf(other))
  })

  it.each([
    [
      '',
      'expected rule.cron to be cron text of 5 fields (minute hour day-of-month month weekday) or 6 (second in front), not 1',
    ],
    ['* * * *', 'not 4, got: "* * * *"'],
    ['0 0 8 * * mon 2027', 'not 7'],
    [
      '60 * * * *',
      'expected the minute field of rule.cron to have 0 to 59, as values, ranges, steps and lists, got: "60"',
    ],
    ['0 24 * * *', 'the hour field of rule.cron to have 0 to 23'],
    ['0 0 0 * *', 'the day-of-month field of rule.cron to have 1 to 31'],
    ['0 0 32 * *', 'got: "32"'],
    ['0 0 * 13 *', 'the month field of rule.cron to have 1 to 12 or jan to dec'],
    ['0 0 * jna *', 'got: "jna", did you mean "jan"?'],
    ['0 0 * * 8', 'the weekday field of rule.cron to have 0 to 6 or sun to sat'],
    ['0 0 * * fir', 'did you mean "fri"?'],
    ['0 0 * * L', 'the weekday field'],
    ['0 0 * * mon#6', 'got: "mon#6"'],
    ['0 0 * * mon#0', 'got: "mon#0"'],
    ['0 0 * * 2#', 'got: "2#"'],
    ['0 0 0W * *', 'got: "0W"'],
    ['0 0 32W * *', 'got: "32W"'],
    ['0 0 L-31 * *', 'got: "L-31"'],
    ['0 0 W * *', 'got: "W"'],
    ['30-10 * * * *', 'got: "30-10"'],
    ['1-2-3 * * * *', 'got: "1-2-3"'],
    ['*/0 * * * *', 'expected a step from 1 to 60 in the minute field of rule.cron, got: "*/0"'],
    ['*/90 * * * *', 'got: "*/90"; for longer spans there is every: "…" instead of cron'],
    ['*/1.5 * * * *', 'got: "*/1.5"'],
    ['*/ * * * *', 'got: "*/"'],
    ['1/2/3 * * * *', 'got: "1/2/3"'],
    [', * * * *', 'got: ""'],
    ['1,,2 * * * *', 'got: ""'],
    ['-1 * * * *', 'got: "-1"'],
    ['** * * * *', 'got: "**"'],
    ['H * * * *', 'H is not known here: spread schedules with jitter'],
    ['@dayly', 'did you mean "@daily"?'],
    ['@reboot', 'expected rule.cron to be one of @yearly'],
    ['0 0 30 2 *', 'expected rule to be true at some time from 1970 to 2199, but its cron never is'],
    ['0 0 31 2,4,6,9,11 *', 'never is'],
    ['0 0 30W feb *', 'never is'],
    [`0 0 * * ${'1,'.repeat(600)}1`, 'cron text such as'],
    [null, 'expected rule.cron to be cron text such as "0 8 * * mon-fri", got: null'],
    [['0 8 * * *'], 'expected rule.cron to be cron text'],
  ])('%j is refused: %s', (cron, text) => {
    expect(() => resolveRule({ cron }, 'rule')).toThrow(expect.objectContaining({ code: 'INVALID_SCHEDULE' }))
    expect(() => resolveRule({ cron }, 'rule')).toThrow(text)
  })

  it('keeps the text as it was written, but for its spaces', () => {
    expect(resolveRule({ cron: ' 0  8 * * Mon-Fri ' }, 'rule')).toEqual({
      cron: '0 8 * * Mon-Fri',
      timeZone: 'UTC',
      dst: 'once',
    })
  })
})

describe('days that cron names', () => {
  it.each([
    ['0 0 L * *', ['01-31T00:00', '02-28T00:00', '03-31T00:00', '04-30T00:00']],
    ['0 0 L-2 * *', ['01-29T00:00', '02-26T00:00', '03-29T00:00', '04-28T00:00']],
    // 15 August 2027 is a Sunday, 15 May a Saturday.
    ['0 0 15W 5,8 *', ['05-14T00:00', '08-16T00:00', '2028-05-15T00:00', '2028-08-15T00:00']],
    // 1 May 2027 is a Saturday, and the nearest weekday must be of the same month; so 31 October, a Sunday.
    ['0 0 1W 5 *', ['05-03T00:00', '2028-05-01T00:00', '2029-05-01T00:00', '2030-05-01T00:00']],
    ['0 0 31W 10 *', ['10-29T00:00', '2028-10-31T00:00', '2029-10-31T00:00', '2030-10-31T00:00']],
    ['0 0 LW * *', ['01-29T00:00', '02-26T00:00', '03-31T00:00', '04-30T00:00']],
    ['0 0 30W 2,4 *', ['04-30T00:00', '2028-04-28T00:00', '2029-04-30T00:00', '2030-04-30T00:00']],
    ['0 0 * * tue#2', ['01-12T00:00', '02-09T00:00', '03-09T00:00', '04-13T00:00']],
    ['0 0 * * mon#5', ['03-29T00:00', '05-31T00:00', '08-30T00:00', '11-29T00:00']],
    ['0 0 * * mon#1,fri#3', ['01-04T00:00', '01-15T00:00', '02-01T00:00', '02-19T00:00']],
    ['0 0 * * friL', ['01-29T00:00', '02-26T00:00', '03-26T00:00', '04-30T00:00']],
    ['0 0 * * 5L', ['01-29T00:00', '02-26T00:00', '03-26T00:00', '04-30T00:00']],
    // The 13th or a Friday; with one of the two unrestricted, the other alone.
    ['0 0 13 * fri', ['01-01T00:00', '01-08T00:00', '01-13T00:00', '01-15T00:00']],
    ['0 0 13 * ?', ['01-13T00:00', '02-13T00:00', '03-13T00:00', '04-13T00:00']],
    ['0 0 29 2 *', ['2028-02-29T00:00', '2032-02-29T00:00', '2036-02-29T00:00', '2040-02-29T00:00']],
  ])('%s', (cron, dates) => {
    expect(next(cron)).toEqual(dates)
  })

  it('finds the rarest day over the year 2100, which is no leap year', () => {
    const rule = resolveRule({ cron: '0 0 29 2 *' }, 'rule')
    const after2096 = nextAfter(rule, Date.UTC(2096, 1, 29))
    expect(after2096).toBe(Date.UTC(2104, 1, 29))
    expect(previousBefore(rule, after2096 ?? NaN)).toBe(Date.UTC(2096, 1, 29))
  })

  it('ends with the year 2199', () => {
    const rule = resolveRule({ cron: '0 0 1 1 *' }, 'rule')
    expect(nextAfter(rule, Date.UTC(2198, 5))).toBe(Date.UTC(2199, 0, 1))
    expect(nextAfter(rule, Date.UTC(2199, 0, 1))).toBeUndefined()
    expect(previousBefore(rule, Date.UTC(2500, 0))).toBe(Date.UTC(2199, 0, 1))
    expect(previousBefore(rule, Date.UTC(1970, 0, 1))).toBeUndefined()
    expect(nextAfter(rule, -1e15)).toBe(Date.UTC(1970, 0, 1))
  })
})

describe('held against cron-parser, in UTC', () => {
  const item = (least: number, most: number) =>
    fc.oneof(
      fc.integer({ min: least, max: most }).map(String),
      fc
        .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }))
        .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      fc.integer({ min: 1, max: most - least + 1 }).map((step) => `*/${step}`),
      fc
        .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: 1, max: 9 }))
        .map(([from, step]) => `${from}/${step}`),
    )
  const field = (least: number, most: number) => fc.oneof(fc.constant('*'), item(least, most))
  const text = fc
    .tuple(
      field(0, 59),
      field(0, 59),
      field(0, 23),
      fc.oneof(field(1, 28), fc.constant('L')),
      field(1, 12),
      fc.oneof(field(0, 6), fc.constantFrom('1#2', '5L', 'mon-fri', '6-7')),
    )
    // Its steps from a weekday go on to 7, which is Sunday again.
    .filter((fields) => !/^\d\//.test(fields[5]))
    .map((fields) => fields.join(' '))

  it('has the same next and previous times', () => {
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: Date.UTC(2020, 0) / 1000, max: Date.UTC(2040, 0) / 1000 }),
        (cron, second) => {
          const walk = cronWalk(fieldsOf(cron))
          const theirs = CronExpressionParser.parse(cron, { currentDate: new Date(second * 1000), tz: 'UTC' })
          let at: number | undefined = second * 1000
          for (let index = 0; index < 5; index++) {
            at = walk.next(at ?? NaN)
            expect(at).toBe(theirs.next().getTime())
          }
          theirs.reset(new Date(second * 1000))
          expect(walk.previous(second * 1000)).toBe(theirs.prev().getTime())
        },
      ),
      { numRuns: 500 },
    )
  })

  it('knows the same nicknames', () => {
    for (const [nickname, meaning] of Object.entries(cronNicknames)) {
      const theirs = ['@midnight'].includes(nickname) ? meaning : nickname
      const date = CronExpressionParser.parse(theirs, { currentDate: new Date('2027-05-05T05:05:05Z'), tz: 'UTC' })
        .next()
        .getTime()
      expect(cronWalk(fieldsOf(nickname)).next(Date.UTC(2027, 4, 5, 5, 5, 5))).toBe(date)
    }
  })
})
