import { ConfigError } from 'troupe'
import { describe, expect, it } from 'vitest'

import { DEFAULT_RETRY, isRetried, resolveRetry, retryDelay, type RetryOptions } from '#runtime/retryRule.js'

class Gone extends Error {}
class VeryGone extends Gone {}
class Busy extends Error {}

describe('laying a retry rule over another', () => {
  const base = resolveRetry(
    { attempts: 3, backoff: { base: '2s', jitter: 0 }, on: [Busy], except: [Gone] },
    DEFAULT_RETRY,
    'retry',
  )

  it('keeps what is not said', () => {
    expect(resolveRetry(undefined, base, 'retry')).toBe(base)
    expect(resolveRetry({}, base, 'retry')).toEqual(base)
    expect(resolveRetry({ attempts: 9 }, base, 'retry')).toEqual({ ...base, attempts: 9 })
  })

  it('takes the backoff as a whole: none of its numbers is inherited', () => {
    const { backoff } = resolveRetry({ backoff: { base: '1s' } }, base, 'retry')
    expect(backoff).toEqual({ baseMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 0.2 })
  })

  it('means one attempt by false', () => {
    expect(resolveRetry(false, base, 'retry').attempts).toBe(1)
  })

  it('retries by default: five attempts from one second', () => {
    expect(DEFAULT_RETRY.attempts).toBe(5)
    expect(DEFAULT_RETRY.backoff.baseMs).toBe(1_000)
    expect(isRetried(DEFAULT_RETRY, new Error('any'))).toBe(true)
  })

  it.each([
    [{ attempts: 0 }, 'expected retry.attempts to be a whole number from 1, got: 0'],
    [{ attempts: '3x' }, 'expected retry.attempts to be a whole number from 1, got: "3x"'],
    [{ attempts: 1.5 }, 'expected retry.attempts to be a whole number from 1, got: 1.5'],
    [{ atempts: 3 }, 'did you mean "attempts"?'],
    [{ on: 'Busy' }, 'expected retry.on to be a function of the error, or a list of error classes, got: "Busy"'],
    [{ except: ['Busy'] }, 'expected retry.except to be'],
    [{ backoff: { base: '-1s' } }, 'retry.backoff.base'],
  ])('refuses %j and says what was expected', (options, text) => {
    const resolve = (): unknown => resolveRetry(options as unknown as RetryOptions, DEFAULT_RETRY, 'retry')
    expect(resolve).toThrow(ConfigError)
    expect(resolve).toThrow(text)
  })
})

describe('whether an error is retried', () => {
  const rule = (options: RetryOptions): ReturnType<typeof resolveRetry> => resolveRetry(options, DEFAULT_RETRY, 'retry')
  it.each([
    ['any, by no list', {}, new Busy(), true],
    ['one of the list', { on: [Busy] }, new Busy(), true],
    ['one of another class', { on: [Busy] }, new Gone(), false],
    ['a subclass of the list', { on: [Gone] }, new VeryGone(), true],
    ['an excepted class', { except: [Gone] }, new Gone(), false],
    ['a subclass of an excepted one', { except: [Gone] }, new VeryGone(), false],
    ['an excepted one that the list names too', { on: [Gone], except: [Gone] }, new Gone(), false],
    ['none, by an empty list', { on: [] }, new Busy(), false],
    ['what the predicate accepts', { on: (error: Error) => error.message === 'again' }, new Error('again'), true],
    ['what the predicate refuses', { on: (error: Error) => error.message === 'again' }, new Error('no'), false],
    [
      'what the excepting predicate accepts',
      { except: (error: Error) => error.message === 'no' },
      new Error('no'),
      false,
    ],
  ] as [string, RetryOptions, Error, boolean][])('%s', (_name, options, error, expected) => {
    expect(isRetried(rule(options), error)).toBe(expected)
  })
})

describe('the wait before the next attempt', () => {
  const rule = resolveRetry(
    { attempts: 4, backoff: { base: '1s', factor: 3, max: '5s', jitter: 0 } },
    DEFAULT_RETRY,
    'retry',
  )
  it.each([
    [1, 1_000],
    [2, 3_000],
    [3, 5_000],
    [4, undefined],
    [9, undefined],
  ])('after attempt %i: %s ms', (attempt, ms) => {
    expect(retryDelay(rule, attempt, 0.5)).toBe(ms)
  })
})
