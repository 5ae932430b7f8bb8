import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { ConfigError } from '#runtime/errors.js'
import { formatDuration, longestMs, parseDuration, parseInstant } from '#runtime/time/duration.js'

const error = (act: () => unknown): ConfigError => {
  try {
    act()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(ConfigError)
    return thrown as ConfigError
  }
  throw new Error('nothing was thrown')
}

describe('durations', () => {
  it.each([
    [0, 0],
    [1500, 1500],
    [0.6, 1],
    ['250ms', 250],
    ['30s', 30_000],
    ['2m', 120_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    ['1w', 604_800_000],
    ['1h30m', 5_400_000],
    ['1m500ms', 60_500],
    [{ days: 1, minutes: 5 }, 86_700_000],
    [{ seconds: 1.1, hours: undefined }, 1100],
  ])('reads %j as %d ms', (written, ms) => {
    expect(parseDuration(written, 'x')).toBe(ms)
  })

  it.each([
    ['30 sec', '30s'],
    ['5 minutes', '5m'],
    ['1 hour and 30 mins', '1h30m'],
    ['5000', '5000ms'],
    ['30S', '30s'],
  ])('says what %j was probably meant to be', (written, meant) => {
    const { code, message } = error(() => parseDuration(written, 'retry.base'))
    expect(code).toBe('INVALID_OPTION')
    expect(message).toContain('expected retry.base to be a duration')
    expect(message).toContain(`did you mean "${meant}"?`)
  })

  it.each([
    NaN,
    Infinity,
    -1,
    '',
    'soon',
    '1m1h',
    '1h1h',
    '-5s',
    '1e3s',
    null,
    undefined,
    true,
    {},
    { minute: 1 },
    { minutes: '1' },
    { hours: -1, days: 1 },
    [5],
    '101w9999d99999999h',
    longestMs + 1,
    5n,
  ])('refuses %s', (written) => {
    expect(error(() => parseDuration(written, 'x')).message).toContain('expected x to be a duration')
  })

  it('reads back what it formats, for all whole milliseconds up to 100 years', () => {
    expect(formatDuration(5_400_000)).toBe('1h30m')
    expect(formatDuration(0)).toBe('0s')
    fc.assert(
      fc.property(fc.integer({ min: 0, max: longestMs }), (ms) => parseDuration(formatDuration(ms), 'x') === ms),
    )
  })

  it('throws nothing but its typed error, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        try {
          const ms = parseDuration(value, 'x')
          expect(Number.isInteger(ms) && ms >= 0 && ms <= longestMs).toBe(true)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(ConfigError)
        }
      }),
    )
  })
})

describe('instants', () => {
  it('reads dates, epoch milliseconds and RFC 3339 text', () => {
    const ms = Date.UTC(2027, 2, 28, 1)
    for (const written of [
      new Date(ms),
      ms,
      '2027-03-28T01:00:00Z',
      '2027-03-28 03:00:00.000+02:00',
      '2027-03-28t01:00:00z',
    ]) {
      expect(parseInstant(written, 'at')).toBe(ms)
    }
    expect(parseInstant('2024-02-29T00:00:00.1239Z', 'at')).toBe(Date.UTC(2024, 1, 29, 0, 0, 0, 123))
    fc.assert(
      fc.property(
        fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') }),
        (date) => parseInstant(date.toISOString(), 'at') === date.getTime(),
      ),
    )
  })

  it.each([
    '2027-02-29T00:00:00Z',
    '2027-04-31T00:00:00Z',
    '2027-13-01T00:00:00Z',
    '2027-01-01T25:00:00Z',
    '2027-01-01',
    'tomorrow',
    NaN,
    8.7e15,
    new Date(NaN),
    null,
    {},
  ])('refuses %s', (written) => {
    const { code, message } = error(() => parseInstant(written, 'at'))
    expect(code).toBe('INVALID_OPTION')
    expect(message).toContain('expected at to be a Date')
  })
})
