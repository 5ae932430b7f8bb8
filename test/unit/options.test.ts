import { ConfigError, PayloadError, type SendOptions } from 'troupe'
import { describe, expect, it } from 'vitest'

import { checkOptions, dueAt, optionHeaders } from '#runtime/client/options.js'

const NOW = Date.UTC(2026, 2, 1)
const now = (): number => NOW
const headers = (options: SendOptions): Record<string, string> => Object.fromEntries(optionHeaders(options, now))

describe('when a message is due', () => {
  it.each([
    ['without a word: now', {}, undefined],
    ['a delay of nothing: now', { delay: 0 }, undefined],
    ['after its delay', { delay: '2s' }, NOW + 2_000],
    ['a delay in parts', { delay: { minutes: 1, seconds: 1 } }, NOW + 61_000],
    ['at a Date', { at: new Date(NOW + 5) }, NOW + 5],
    ['at RFC 3339 text', { at: '2026-03-01T00:00:01Z' }, NOW + 1_000],
    ['at epoch milliseconds', { at: NOW + 7 }, NOW + 7],
    ['at a moment that has passed', { at: NOW - 7 }, NOW - 7],
  ] as [string, SendOptions, number | undefined][])('%s', (_name, options, expected) => {
    expect(dueAt(options, now)).toBe(expected)
  })

  it('is a moment that the server can count to: later ones it would release at once', () => {
    const latest = Date.UTC(2261, 11, 31)
    expect(dueAt({ at: latest }, now)).toBe(latest)
    expect(() => dueAt({ at: '2300-01-01T00:00:00Z' }, now)).toThrow(/from 1970 to 2261, got: "2300/)
  })
})

describe('the headers that options ask for', () => {
  it.each([
    ['none', {}, {}],
    ['the format, where it is not JSON', { format: 'msgpack' }, { 'Content-Type': 'application/msgpack' }],
    ['no format for JSON', { format: 'json' }, {}],
    [
      'expiry, with the broom a day later',
      { expires: '10s' },
      { 'Troupe-Expires': String(NOW + 10_000), 'Nats-TTL': '86410s' },
    ],
    ['expiry at a Date', { expires: new Date(NOW + 1) }, { 'Troupe-Expires': String(NOW + 1), 'Nats-TTL': '86401s' }],
    ['a deadline', { deadline: '1m' }, { 'Troupe-Deadline': String(NOW + 60_000) }],
    ['how long to keep the result', { keep: '1h' }, { 'Troupe-Keep': '3600000ms' }],
    ['a retry rule', { retry: { attempts: 2 } }, { 'Troupe-Retry': '{"attempts":2}' }],
    ['headers of the application', { headers: { tenant: 'acme' } }, { tenant: 'acme' }],
  ] as [string, SendOptions, Record<string, string>][])('%s', (_name, options, expected) => {
    expect(headers(options)).toEqual(expected)
  })

  it.each(['Nats-Msg-Id', 'nats-rollup', 'Troupe-Id', 'TROUPE-REPLY'])(
    'refuse %s, which is not the application’s',
    (name) => {
      expect(() => headers({ headers: { [name]: 'x' } })).toThrow(PayloadError)
    },
  )

  it.each(['a\r\nb', 'a\nb', 'a\0b'])('refuse the value %j, which would end its line', (value) => {
    expect(() => headers({ headers: { note: value } })).toThrow('expected header note to be text on one line')
  })

  it('refuse a retry rule that makes no sense', () => {
    expect(() => headers({ retry: { attempts: 0 } })).toThrow(
      'expected retry.attempts to be a whole number from 1, got: 0',
    )
  })
})

describe('options that are refused', () => {
  it.each([
    [{ dely: '1s' }, 'did you mean "delay"?'],
    [{ lane: 'urgent' }, 'expected option lane to be high, normal, low, got: "urgent"'],
    [{ format: 'xml' }, 'expected option format to be json or msgpack, got: "xml"'],
    [{ delay: '1s', at: 5 }, 'expected option delay to be absent where "at" is given'],
    [{ replace: true }, 'expected option replace to be given together with "delay" or "at", got: true'],
    [{ delay: 'soon' }, 'delay'],
    [{ at: 'tomorrow' }, 'at'],
  ])('%j', (options, text) => {
    const check = (): unknown => {
      checkOptions(options as SendOptions)
      return dueAt(options as SendOptions, now)
    }
    expect(check).toThrow(ConfigError)
    expect(check).toThrow(text)
  })

  it.each(['', 'x'.repeat(201), 'ü'.repeat(101)])('an id that is empty or over 200 bytes', (id) => {
    expect(() => checkOptions({ id })).toThrow(PayloadError)
  })
})
