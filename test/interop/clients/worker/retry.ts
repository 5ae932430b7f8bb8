/** When a failed attempt is tried again: PROTOCOL.md, "Retrying". Pure. */
import type { Headers } from '../../scenario/client.ts'
import { durationMs, InvalidMessage } from './message.ts'

export interface Rule {
  readonly attempts: number
  readonly baseMs: number
  readonly factor: number
  readonly maxMs: number
  readonly jitter: number
}

export const DEFAULT_RULE: Rule = { attempts: 5, baseMs: 1_000, factor: 2, maxMs: 600_000, jitter: 0.2 }

/** The wait after that attempt, or undefined where it was the last. `chance` is from 0 to below 1. */
export function delayAfter(
  { attempts, baseMs, factor, maxMs, jitter }: Rule,
  attempt: number,
  chance: number,
): number | undefined {
  if (attempt >= attempts) return undefined
  const grown = Math.min(maxMs, baseMs * factor ** (attempt - 1))
  return Math.min(maxMs, Math.max(0, Math.round(grown * (1 + jitter * (2 * chance - 1)))))
}

const HOUR_MS = 3_600_000

/** The actor's rule, under what `Troupe-Retry` says for this one message: a backoff there is a whole one. */
export function ruleFor(headers: Headers, rule: Rule): Rule {
  const text = headers['Troupe-Retry']
  if (text === undefined) return rule
  const { attempts = rule.attempts, backoff } = parse(text)
  if (!Number.isInteger(attempts) || attempts < 1) throw invalid(text)
  if (backoff === undefined) return { ...rule, attempts }
  const baseMs = spanOf(backoff['base'], text)
  const maxMs = backoff['max'] === undefined ? Math.max(HOUR_MS, baseMs) : spanOf(backoff['max'], text)
  const { factor = 2, jitter = 0.2 } = backoff as { factor?: number; jitter?: number }
  if (baseMs > maxMs || !(factor >= 1) || !(jitter >= 0 && jitter <= 1)) throw invalid(text)
  return { attempts, baseMs, factor, maxMs, jitter }
}

function parse(text: string): { attempts?: number; backoff?: Record<string, unknown> } {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below.
  }
  throw invalid(text)
}

/** Milliseconds, or a duration as text. */
function spanOf(value: unknown, text: string): number {
  const ms = typeof value === 'number' ? value : durationMs(String(value))
  if (ms === undefined || !(ms >= 0)) throw invalid(text)
  return Math.round(ms)
}

function invalid(text: string): InvalidMessage {
  return new InvalidMessage('INVALID_HEADER', `expected Troupe-Retry to be a rule, got: ${text.slice(0, 80)}`)
}
