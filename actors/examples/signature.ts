/**
 * The signatures of Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md), version `v1`:
 * HMAC-SHA256 over `id.timestamp.body`. Both sides of it, since whoever sends webhooks has to show others how to check them.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

import { ConfigError } from '../../runtime/index.ts'

/** What is signed. */
export interface Signed {
  /** The event's id, the same in every attempt: receivers know a repeat by it. */
  readonly id: string
  /** When this attempt is made, in whole seconds since 1970. */
  readonly timestamp: number
  /** The body exactly as it is sent. */
  readonly body: string | Uint8Array
}

/** The three headers of a webhook: one signature for each secret, so that a receiver may hold the old one or the new. */
export function signatureHeaders(secrets: readonly string[], signed: Signed): Record<string, string> {
  return {
    'webhook-id': signed.id,
    'webhook-timestamp': String(signed.timestamp),
    'webhook-signature': secrets.map((secret) => `v1,${signature(secret, signed).toString('base64')}`).join(' '),
  }
}

/** Headers by their names in lower case, as `node:http` has them. */
export type ReceivedHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export interface VerifyOptions {
  /** The receiver's time, in milliseconds since 1970. */
  readonly now: number
  /** How far the sender's clock may be off, and so how long a webhook can be replayed: seconds. Default 300. */
  readonly tolerance?: number
}

/**
 * Checks what was received against the secrets that the receiver knows; returns the event's id. Throws `SignatureError` where any
 * of it is missing, too old, from the future or not signed with one of the secrets; `ConfigError` for a secret that is none.
 */
export function verifyWebhook(
  secrets: readonly string[],
  headers: ReceivedHeaders,
  body: Uint8Array,
  { now, tolerance = 300 }: VerifyOptions,
): string {
  const [id, time, given] = HEADERS.map((name) => header(headers, name)) as [string, string, string]
  const timestamp = /^\d{1,12}$/.test(time) ? Number(time) : NaN
  if (!(Math.abs(now / 1000 - timestamp) <= tolerance)) {
    throw new SignatureError(`expected webhook-timestamp within ${tolerance} s of now, got: ${time.slice(0, 40)}`)
  }
  const known = secrets.map((secret) => signature(secret, { id, timestamp, body }))
  const theirs = given.split(' ').slice(0, MOST_SIGNATURES)
  if (theirs.some((text) => known.some((own) => isSame(text, own)))) return id
  throw new SignatureError('expected webhook-signature to hold a v1 signature by a known secret, but none of them is')
}

/** What was received is not what the sender signed. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError'
}

const HEADERS = ['webhook-id', 'webhook-timestamp', 'webhook-signature']
// A stranger must not make us compute for long.
const MOST_SIGNATURES = 16
const [LEAST_KEY, MOST_KEY] = [24, 64]

function signature(secret: string, { id, timestamp, body }: Signed): Buffer {
  return createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest()
}

/** The key in `whsec_<base64>`. The secret itself stands in no error. */
function keyOf(secret: string): Buffer {
  const [, base64 = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? []
  const key = Buffer.from(base64, 'base64')
  if (key.length >= LEAST_KEY && key.length <= MOST_KEY) return key
  const expected = `expected a webhook secret to be "whsec_" and the base64 of ${LEAST_KEY} to ${MOST_KEY} bytes`
  throw new ConfigError('INVALID_OPTION', `${expected}, got: ${secret.length} characters that are not that`)
}

function isSame(text: string, own: Buffer): boolean {
  if (!text.startsWith('v1,')) return false
  const given = Buffer.from(text.slice(3), 'base64')
  return given.length === own.length && timingSafeEqual(given, own)
}

function header(headers: ReceivedHeaders, name: string): string {
  const value = headers[name]
  if (typeof value === 'string' && value !== '') return value
  throw new SignatureError(
    `expected one header ${name}, got: ${value === undefined ? 'none' : 'several or an empty one'}`,
  )
}
