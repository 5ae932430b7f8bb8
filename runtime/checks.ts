/** Checks of options as people write them: each returns the value, or throws `ConfigError` `INVALID_OPTION` that names it. */
import { ConfigError, describe, didYouMean } from './errors.ts'
import { parseDuration, type Duration } from './time/duration.ts'

export function checkKeys(options: object, keys: readonly string[], name: string): void {
  for (const key of Object.keys(options)) {
    if (keys.includes(key)) continue
    const text = `expected the options of ${name} to be among ${keys.join(', ')}, got: ${describe(key)}${didYouMean(key, keys)}`
    throw new ConfigError('INVALID_OPTION', text, { data: { name, key } })
  }
}

export function count(value: number | undefined, name: string, from = 1): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= from)) return value
  throw invalid(name, `a whole number from ${from}`, value)
}

export function line(value: string | undefined, name: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw invalid(name, 'text', value)
}

export function positive(value: Duration | undefined, name: string): number | undefined {
  if (value === undefined) return undefined
  const ms = parseDuration(value, name)
  if (ms < 1) throw invalid(name, 'a duration above 0', value)
  return ms
}

export function oneOf<T extends string>(value: unknown, values: readonly T[], name: string): T {
  const found = values.find((one) => one === value)
  if (found !== undefined) return found
  const hint = typeof value === 'string' ? didYouMean(value, values) : ''
  throw invalid(name, `one of ${values.join(', ')}`, value, hint)
}

export function invalid(name: string, expected: string, got: unknown, hint = ''): ConfigError {
  return new ConfigError('INVALID_OPTION', `expected ${name} to be ${expected}, got: ${describe(got)}${hint}`, {
    data: { name },
  })
}
