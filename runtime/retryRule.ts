/**
 * When a failed attempt is tried again, and after how long. Three places may set it; the nearer to the message, the
 * stronger: the call, then the message's definition, then the actor's, then the default.
 */
import { ConfigError, describe, didYouMean } from './errors.ts'
import { nextDelay, resolveBackoff, type Backoff, type ResolvedBackoff } from './time/backoff.ts'

/** Error classes, or a question about the error. */
export type ErrorFilter = readonly ErrorClass[] | ((error: Error) => boolean)
// oxlint-disable-next-line typescript/no-explicit-any -- a class is named here by what it makes, whatever it is made from
export type ErrorClass = abstract new (...args: any[]) => Error

export interface RetryOptions {
  /** How often a message is tried in all, from 1. Default 5. */
  attempts?: number
  /** How long to wait between attempts. Default 1 s, doubled each time, at most 10 minutes, spread by 20 %. */
  backoff?: Backoff
  /** Only these errors are retried. Default: all. */
  on?: ErrorFilter
  /** These errors are not retried, whatever `on` says. Default: none. */
  except?: ErrorFilter
}

/** What of a retry rule can cross the wire with one message. */
export type RetryOverride = Pick<RetryOptions, 'attempts' | 'backoff'>

export interface RetryRule {
  readonly attempts: number
  readonly backoff: ResolvedBackoff
  readonly on: ErrorFilter | undefined
  readonly except: ErrorFilter | undefined
}

export const DEFAULT_RETRY: RetryRule = {
  attempts: 5,
  backoff: resolveBackoff({ base: '1s', factor: 2, max: '10m', jitter: 0.2 }, 'retry.backoff'),
  on: undefined,
  except: undefined,
}

const KEYS = ['attempts', 'backoff', 'on', 'except']

/** Lays `options` over `base`. `false` means: one attempt. Throws `ConfigError` `INVALID_OPTION`. */
export function resolveRetry(options: RetryOptions | false | undefined, base: RetryRule, name: string): RetryRule {
  if (options === undefined) return base
  if (options === false) return { ...base, attempts: 1 }
  if (typeof options !== 'object' || options === null)
    throw invalid(name, `false, or an object with ${KEYS.join(', ')}`, options)
  for (const key of Object.keys(options)) {
    if (!KEYS.includes(key)) throw invalid(`${name}.${key}`, `one of ${KEYS.join(', ')}`, key, didYouMean(key, KEYS))
  }
  const { attempts = base.attempts, backoff, on = base.on, except = base.except } = options
  if (!Number.isInteger(attempts) || attempts < 1) throw invalid(`${name}.attempts`, 'a whole number from 1', attempts)
  checkFilter(on, `${name}.on`)
  checkFilter(except, `${name}.except`)
  return { attempts, backoff: backoff ? resolveBackoff(backoff, `${name}.backoff`) : base.backoff, on, except }
}

/** Errors about which it was decided where they were thrown: in another thread or process, which has their classes. */
const decided = new WeakMap<Error, boolean>()

export function decideRetry(error: Error, isRetried: boolean): void {
  decided.set(error, isRetried)
}

/** `isRetried`. A predicate of the user's that throws must not cost the message: then the error counts as one to retry. */
export function isRetriedSafely(rule: RetryRule, error: Error): boolean {
  try {
    return decided.get(error) ?? isRetried(rule, error)
  } catch {
    return true
  }
}

/** Whether this error is worth another attempt by the rule, the count of attempts aside. */
export function isRetried(rule: RetryRule, error: Error): boolean {
  if (rule.except !== undefined && matches(rule.except, error)) return false
  return rule.on === undefined || matches(rule.on, error)
}

/** ms until the next attempt, or undefined where `attempt` was the last. */
export function retryDelay(rule: RetryRule, attempt: number, random: number): number | undefined {
  return attempt >= rule.attempts ? undefined : nextDelay(rule.backoff, attempt, random)
}

function matches(filter: ErrorFilter, error: Error): boolean {
  if (Array.isArray(filter)) return filter.some((kind: ErrorClass) => error instanceof kind)
  return (filter as (error: Error) => boolean)(error)
}

function checkFilter(filter: unknown, name: string): void {
  const isList = Array.isArray(filter) && filter.every((kind) => typeof kind === 'function')
  if (filter !== undefined && typeof filter !== 'function' && !isList) {
    throw invalid(name, 'a function of the error, or a list of error classes', filter)
  }
}

function invalid(name: string, expected: string, got: unknown, hint = ''): ConfigError {
  return new ConfigError('INVALID_OPTION', `expected ${name} to be ${expected}, got: ${describe(got)}${hint}`, {
    data: { name },
  })
}
