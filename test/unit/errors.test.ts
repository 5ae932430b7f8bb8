import { ConfigError } from 'troupe'
import { describe as group, expect, it } from 'vitest'

import { describe, didYouMean, nearest } from '#runtime/errors.js'

group('errors', () => {
  it('names the nearest right word, a swap of neighbours counted once', () => {
    expect(nearest('concurency', ['concurrency', 'retry'])).toBe('concurrency')
    expect(nearest('rerty', ['retry', 'limit'])).toBe('retry')
    expect(nearest('xyz', ['retry'])).toBeUndefined()
    expect(didYouMean('timelimit', ['timeLimit'])).toBe(', did you mean "timeLimit"?')
  })

  it('describes a value on one short line', () => {
    expect(describe({ a: 'x'.repeat(200) })).toHaveLength(80)
    expect(describe(10n)).toBe('10n')
  })

  it('carries code, data and cause', () => {
    const error = new ConfigError('INVALID_OPTION', 'expected a, got b', { data: { key: 'a' }, cause: 1 })
    expect(error).toMatchObject({ name: 'ConfigError', code: 'INVALID_OPTION', data: { key: 'a' }, cause: 1 })
  })
})
