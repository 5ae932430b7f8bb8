/** `troupe schedules preview`: it needs no server, so none is there. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Project } from '../kit/cli.ts'

let project: Project

beforeAll(async () => {
  project = await makeProject({ env: { TROUPE_NATS_SERVERS: 'nats://127.0.0.1:9' } })
})

afterAll(() => project?.[Symbol.asyncDispose]())

const preview = (...args: string[]) => project.troupe('schedules', 'preview', ...args)

describe('troupe schedules preview', () => {
  it.each([
    [
      ['--cron', '30 2 * * *', '--time-zone', 'Europe/Paris', '--from', '2027-03-27T00:00:00Z', '--count', '3'],
      ['2027-03-27T01:30:00Z', '2027-03-28T01:00:00Z', '2027-03-29T00:30:00Z'],
    ],
    [
      [
        '--cron',
        '30 2 * * *',
        '--time-zone',
        'Europe/Paris',
        '--dst',
        'both',
        '--from',
        '2027-10-31T00:00:00Z',
        '--count',
        '2',
      ],
      ['2027-10-31T00:30:00Z', '2027-10-31T01:30:00Z'],
    ],
    [
      [
        '--every',
        '90s',
        '--anchor',
        '2027-01-01T00:00:30Z',
        '--from',
        '2027-01-01T00:00:00Z',
        '--until',
        '2027-01-01T00:04:00Z',
      ],
      ['2027-01-01T00:00:30Z', '2027-01-01T00:02:00Z', '2027-01-01T00:03:30Z'],
    ],
    [
      ['--calendar', '{"weekday":"tue","nth":2,"at":"09:00"}', '--from', '2027-01-01T00:00:00Z', '--count', '1'],
      ['2027-01-12T09:00:00Z'],
    ],
    [
      [
        '--rrule',
        'DTSTART;TZID=Asia/Kathmandu:20270104T090000\\nRRULE:FREQ=WEEKLY;INTERVAL=2',
        '--from',
        '2027-01-01T00:00:00Z',
        '--count',
        '2',
      ],
      ['2027-01-04T03:15:00Z', '2027-01-18T03:15:00Z'],
    ],
    [
      [
        '--times',
        '2027-03-28T02:30',
        '--times',
        '2027-05-01T00:00:00Z',
        '--time-zone',
        'Europe/Paris',
        '--from',
        '2027-01-01T00:00:00Z',
      ],
      ['2027-03-28T01:00:00Z', '2027-05-01T00:00:00Z'],
    ],
    [
      ['--sun', '{"event":"noon","latitude":0,"longitude":0}', '--from', '2027-04-15T00:00:00Z', '--count', '1'],
      [expect.stringMatching(/^2027-04-15T1[12]:(59|00):\d\dZ$/)],
    ],
    [
      [
        '--every',
        '1h',
        '--only',
        '9:00-11:00',
        '--only',
        'mon-fri',
        '--except',
        '2027-01-04',
        '--except',
        '{"weekdays":"wed"}',
        '--from',
        '2027-01-02T00:00:00Z',
        '--count',
        '3',
      ],
      ['2027-01-05T09:00:00Z', '2027-01-05T10:00:00Z', '2027-01-07T09:00:00Z'],
    ],
    [['--times', '2020-01-01T00:00:00Z'], []],
  ])('prints instants in UTC as JSON: %j', async (args, times) => {
    const { code, stdout, stderr } = await preview(...args, '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual(times)
  })

  it('prints them for people on the clocks of the zone, with offsets, and the rule in words beside', async () => {
    const { stdout, stderr } = await preview(
      '--cron',
      '30 2 * * *',
      '--time-zone',
      'Europe/Paris',
      '--from',
      '2027-03-27T00:00:00Z',
      '--count',
      '2',
    )
    expect(stdout).toBe(
      [
        'LOCAL                           UTC',
        'Sat 2027-03-27 02:30:00 +01:00  2027-03-27T01:30:00Z',
        'Sun 2027-03-28 03:00:00 +02:00  2027-03-28T01:00:00Z',
        '',
      ].join('\n'),
    )
    expect(stderr).toBe('at 02:30, every day, Europe/Paris\n')
    expect(await preview('--times', '2020-01-01')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('it is not due') as string,
    })
  })

  it('begins now and gives ten where nothing else is said', async () => {
    const before = Date.now()
    const times = JSON.parse((await preview('--every', '1h', '--json')).stdout) as string[]
    expect(times).toHaveLength(10)
    expect(Date.parse(times[0] ?? '')).toBeGreaterThanOrEqual(before)
    expect(Date.parse(times[0] ?? '')).toBeLessThanOrEqual(Date.now() + 3_600_000)
  })

  it.each([
    ['no rule', [], 'exactly one of cron'],
    ['cron of the wrong arity', ['--cron', '0 8 * *'], 'not 4, got: "0 8 * *"'],
    ['cron without quotes', ['--cron', '0', '8', '*'], 'in quotes'],
    ['an unknown zone', ['--cron', '@daily', '--time-zone', 'Mars/Base'], 'an IANA time zone'],
    ['JSON that is none', ['--calendar', '{day}'], 'expected --calendar to be JSON'],
    ['a key that is none', ['--calendar', '{"dayOfMonht":1}'], 'did you mean "dayOfMonth"?'],
    ['a rule that is never true', ['--cron', '0 0 31 4 *'], 'never is'],
    ['a count of 0', ['--every', '1h', '--count', '0'], 'expected --count'],
    ['a count beyond all', ['--every', '1h', '--count', '10001'], 'preview.count'],
    [
      'until before from',
      ['--every', '1h', '--from', '2027-01-02T00:00:00Z', '--until', '2027-01-01T00:00:00Z'],
      'to be after preview.from',
    ],
    ['a time that is none', ['--every', '1h', '--from', 'soon'], 'expected --from'],
    ['an ID and a rule', ['x', '--every', '1h'], 'an ID or a rule'],
    ['half a message', ['--after', 'orders'], 'expected --after to be ACTOR.MESSAGE'],
    ['a status alone', ['--every', '1h', '--after-status', 'done'], 'expected --after beside'],
  ])('refuses %s', async (_what, args, text) => {
    const { code, stdout, stderr } = await preview(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(text)
  })

  it('tells a refusal as JSON where JSON is asked for', async () => {
    const { stderr } = await preview('--cron', '0 8 * *', '--json')
    expect(JSON.parse(stderr)).toMatchObject({ error: { name: 'ConfigError', code: 'INVALID_SCHEDULE' } })
  })
})
