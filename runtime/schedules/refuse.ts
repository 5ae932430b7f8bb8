/** How a rule is refused: one form of text, one code, and the place where it was written. */

import { ConfigError, describe, didYouMean } from '../errors.ts'

/** @throws ConfigError `INVALID_SCHEDULE`: `expected <name> to be <expected>, got: <value>` */
export function refuse(name: string, expected: string, value: unknown): never {
  throw invalid(`expected ${name} to be ${expected}, got: ${describe(value)}`, name)
}

/** The error for text of another form. */
export function invalid(text: string, name: string, cause?: unknown): ConfigError {
  return new ConfigError('INVALID_SCHEDULE', text, { data: { name }, ...(cause === undefined ? {} : { cause }) })
}

/** A value that must be an object with keys of a list. */
export function readObject(value: unknown, name: string, keys: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(name, 'an object', value)
  for (const key of Object.keys(value)) {
    if (keys.includes(key)) continue
    throw invalid(
      `unknown ${name}.${key}${didYouMean(key, keys)}; expected one of: ${keys.join(', ')}`,
      `${name}.${key}`,
    )
  }
  return value as Readonly<Record<string, unknown>>
}

/** What another part of Troupe makes of a value, its refusal told as that of a rule. */
export function readBy<T>(read: (value: unknown, name: string) => T, value: unknown, name: string): T {
  try {
    return read(value, name)
  } catch (error) {
    if (error instanceof ConfigError) throw invalid(error.message, name, error)
    throw error
  }
}

/** A word of a list, in any case. */
export function readWord<W extends string>(value: unknown, name: string, words: readonly W[]): W {
  const word = typeof value === 'string' ? words.find((known) => known === value.toLowerCase()) : undefined
  if (word !== undefined) return word
  const hint = typeof value === 'string' ? didYouMean(value, words) : ''
  throw invalid(`expected ${name} to be one of ${words.join(', ')}, got: ${describe(value)}${hint}`, name)
}

export function readWhole(value: unknown, name: string, least: number, most: number): number {
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
  return fits ? value : refuse(name, `a whole number from ${least} to ${most}`, value)
}

/** One or several: a value that may stand alone or in a list with something in it. */
export function readSome<T>(value: unknown, name: string, read: (value: unknown, name: string) => T): T[] {
  if (!Array.isArray(value)) return [read(value, name)]
  if (value.length === 0) return refuse(name, 'a list with something in it', value)
  return value.map((one, index) => read(one, `${name}[${index}]`))
}
