/** What a sender may say about one message, checked and turned into headers. */
import { broomTtl, checkHeader, H, type HeaderEntry } from '../broker/headers.ts'
import { checkId, LANES, type Lane } from '../broker/subjects.ts'
import type { ContentType } from '../codec/codec.ts'
import { ConfigError, PayloadError, describe, didYouMean } from '../errors.ts'
import { LATEST_DUE } from '../message.ts'
import { DEFAULT_RETRY, resolveRetry, type RetryOverride } from '../retryRule.ts'
import { parseDuration, parseInstant, type Duration } from '../time/duration.ts'

export interface SendOptions {
  /** The message's id, 1 to 200 bytes: the same id twice within the dedupe window (2 minutes) is one message. Default: a new one. */
  id?: string
  /** Send it that much later. */
  delay?: Duration
  /** Send it at that moment: a Date, RFC 3339 text or epoch milliseconds. */
  at?: Date | string | number
  /** With `delay` or `at`: take the place of a message with this id that still waits for its time. */
  replace?: boolean
  /** Default normal. */
  lane?: Lane
  /** After that it is not run: a duration from when it is due, or a Date. */
  expires?: Duration | Date
  /** All attempts must be done by then: a duration from when it is due, or a Date. */
  deadline?: Duration | Date
  /** Keep the result so long; `sent.result()` needs it. Default: not kept. */
  keep?: Duration
  /** Attempts and backoff of this one message, over those of its definition. */
  retry?: RetryOverride
  /** Passed to the handler. Names that begin with `Nats-` or `Troupe-` are refused: they have options. */
  headers?: Readonly<Record<string, string>>
  /** Format of the payload. Default `json`, which people can read in the stream. */
  format?: 'json' | 'msgpack'
}

const KEYS: readonly (keyof SendOptions)[] = [
  'id', 'delay', 'at', 'replace', 'lane', 'expires', 'deadline', 'keep', 'retry', 'headers', 'format',
] // prettier-ignore

export const CONTENT_TYPES: Readonly<Record<'json' | 'msgpack', ContentType>> = {
  json: 'application/json',
  msgpack: 'application/msgpack',
}

/** Throws `ConfigError` `INVALID_OPTION` for a name that is no option. */
export function checkOptions(options: SendOptions): void {
  for (const key of Object.keys(options)) {
    if ((KEYS as readonly string[]).includes(key)) continue
    throw invalid(key, `one of ${KEYS.join(', ')}`, key, didYouMean(key, KEYS))
  }
  const { id, lane, format, delay, at } = options
  if (id !== undefined) checkId(id)
  if (lane !== undefined && !LANES.includes(lane)) throw invalid('lane', LANES.join(', '), lane)
  if (format !== undefined && !Object.hasOwn(CONTENT_TYPES, format)) throw invalid('format', 'json or msgpack', format)
  if (delay !== undefined && at !== undefined) throw invalid('delay', 'absent where "at" is given', delay)
  if (options.replace && delay === undefined && at === undefined) {
    throw invalid('replace', 'given together with "delay" or "at"', true)
  }
}

/** Epoch ms at which it is to be sent, or undefined for now. */
export function dueAt({ delay, at }: SendOptions, now: () => number): number | undefined {
  if (at !== undefined) return checkDue(parseInstant(at, 'at'))
  if (delay === undefined) return undefined
  const ms = parseDuration(delay, 'delay')
  return ms === 0 ? undefined : now() + ms
}

function checkDue(ms: number): number {
  if (ms >= 0 && ms <= LATEST_DUE) return ms
  throw invalid('at', 'a moment from 1970 to 2261', new Date(ms).toISOString())
}

/** The headers that options ask for; `from` is when the message is due, epoch ms. */
export function optionHeaders(options: SendOptions, from: () => number): HeaderEntry[] {
  const headers: HeaderEntry[] = []
  const { expires, deadline, keep, retry, format } = options
  if (format === 'msgpack') headers.push([H.contentType, CONTENT_TYPES.msgpack])
  if (expires !== undefined) {
    const at = moment(expires, 'expires', from)
    // The worker decides by our header; the server's own TTL, a day later, only sweeps up.
    headers.push([H.expires, String(at)], [H.ttl, broomTtl(at - from())])
  }
  if (deadline !== undefined) headers.push([H.deadline, String(moment(deadline, 'deadline', from))])
  if (keep !== undefined) headers.push([H.keep, `${parseDuration(keep, 'keep')}ms`])
  if (retry !== undefined) {
    resolveRetry(retry, DEFAULT_RETRY, 'retry')
    headers.push([H.retry, JSON.stringify(retry)])
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) headers.push(ownHeader(name, value))
  return headers
}

function ownHeader(name: string, value: string): HeaderEntry {
  if (/^(nats|troupe)-/i.test(name)) {
    throw new PayloadError(
      'INVALID_HEADER',
      `expected a header of your own, got: ${describe(name)}. Names that begin with Nats- or Troupe- are set by options.`,
    )
  }
  return checkHeader(name, value)
}

function moment(value: Duration | Date, name: string, from: () => number): number {
  return Math.round(value instanceof Date ? parseInstant(value, name) : from() + parseDuration(value, name))
}

function invalid(name: string, expected: string, got: unknown, hint = ''): ConfigError {
  return new ConfigError('INVALID_OPTION', `expected option ${name} to be ${expected}, got: ${describe(got)}${hint}`, {
    data: { name },
  })
}
