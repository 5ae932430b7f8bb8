/** How long to wait before the next attempt. Pure: chance comes in as a number. */

import { ConfigError, describe, didYouMean } from '../errors.ts'
import { type Duration, formatDuration, parseDuration } from './duration.ts'

/** Waiting times between attempts, as users write them. */
export interface Backoff {
  /** The wait after the first failed attempt. */
  readonly base: Duration
  /** Each further wait is this many times the one before; from 1 (always the same), 2 by default. */
  readonly factor?: number
  /** No wait is longer, jitter included. By default 1 hour, or `base` where that is longer. */
  readonly max?: Duration
  /** Share of a wait by which chance shortens or lengthens it, so that what failed together does not return together: 0 to 1, 0.2 by default. */
  readonly jitter?: number
}

/** A `Backoff` that was checked, in milliseconds. */
export interface ResolvedBackoff {
  readonly baseMs: number
  readonly factor: number
  readonly maxMs: number
  readonly jitter: number
}

const keys = ['base', 'factor', 'max', 'jitter']
const defaultMaxMs = 3_600_000

/**
 * Checks a backoff and fills in defaults.
 *
 * @param name what it is called where the user wrote it: `retry.backoff`
 * @throws ConfigError `INVALID_OPTION`
 */
export function resolveBackoff(input: unknown, name: string): ResolvedBackoff {
  const given = record(input, name)
  const baseMs = parseDuration(given['base'], `${name}.base`)
  const maxMs = given['max'] === undefined ? Math.max(defaultMaxMs, baseMs) : parseDuration(given['max'], `${name}.max`)
  if (baseMs > maxMs) {
    throw invalid(`${name}.base`, `at most ${name}.max (${formatDuration(maxMs)})`, formatDuration(baseMs))
  }
  return {
    baseMs,
    factor: within(given['factor'] ?? 2, 1, Number.MAX_VALUE, `${name}.factor`, 'a number from 1'),
    maxMs,
    jitter: within(given['jitter'] ?? 0.2, 0, 1, `${name}.jitter`, 'a number from 0 to 1'),
  }
}

function record(input: unknown, name: string): Record<string, unknown> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalid(name, 'an object such as { base: "2s", factor: 2, max: "1h", jitter: 0.3 }', describe(input))
  }
  const wrong = Object.keys(input).find((key) => !keys.includes(key))
  if (wrong !== undefined) {
    throw invalid(name, `made of ${keys.join(', ')}`, `${JSON.stringify(wrong)}${didYouMean(wrong, keys)}`)
  }
  return input as Record<string, unknown>
}

function within(value: unknown, least: number, most: number, name: string, expected: string): number {
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw invalid(name, expected, describe(value))
}

function invalid(name: string, expected: string, came: string): ConfigError {
  return new ConfigError('INVALID_OPTION', `expected ${name} to be ${expected}, got: ${came}`, { data: { name } })
}

/**
 * The wait after failed attempt number `attempt` (from 1), in whole milliseconds:
 * `min(max, base × factor^(attempt−1))`, spread evenly by ± jitter, never above `max`.
 *
 * @param chance a number from 0 to below 1
 */
export function nextDelay(policy: ResolvedBackoff, attempt: number, chance: number): number {
  // A base of 0 times a power that overflowed would be NaN.
  const grown = policy.baseMs === 0 ? 0 : policy.baseMs * policy.factor ** (Math.max(1, attempt) - 1)
  const delay = Math.min(policy.maxMs, grown)
  const spread = 1 + policy.jitter * (2 * chance - 1)
  return Math.min(policy.maxMs, Math.max(0, Math.round(delay * spread)))
}
