/**
 * `application/json`. Dates become text (their `toJSON`), `NaN` and infinities `null`, as everywhere in JSON; an own key `__proto__` stays
 * an own key: it never changes an object's prototype.
 */

import { isUtf8 } from 'node:buffer'

import { undecodable, unencodable } from './failures.ts'
import { beyondJson, refused, survey } from './survey.ts'

const contentType = 'application/json'
const empty = new Uint8Array(0)

export function encodeJson(value: unknown): Uint8Array {
  if (value === undefined) return empty
  const text = stringify(value)
  // What has a `toJSON` may answer `undefined`.
  return text === undefined ? empty : Buffer.from(text)
}

function stringify(value: unknown): string | undefined {
  try {
    if ((survey(value) & (beyondJson | refused)) === 0) return JSON.stringify(value)
  } catch (error) {
    throw unencodable(contentType, value, error)
  }
  throw unencodable(contentType, value)
}

export function decodeJson(bytes: Uint8Array, start: number): unknown {
  if (bytes.length === start) return undefined
  const text = (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).toString(
    'utf8',
    start,
  )
  // Bytes that are not UTF-8 turn into this character; most payloads have none, and then there is nothing to check.
  if (text.includes('\uFFFD') && !isUtf8(bytes.subarray(start)))
    throw undecodable(contentType, 'bytes that are not UTF-8')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw undecodable(contentType, problemOf(error), positionOf(error))
  }
}

// V8's own words may quote the text, which could be a secret, or end with the place, which stands elsewhere in ours.
function problemOf(error: unknown): string {
  const words = error instanceof Error ? error.message : ''
  const kept = words.replace(/ at position.*$/s, '').replace(/, (\.\.\.)?".*$/s, '')
  return `text that is not JSON (${kept.slice(0, 120)})`
}

function positionOf(error: unknown): number | undefined {
  const match = error instanceof Error ? / at position (\d+)/.exec(error.message) : null
  return match === null ? undefined : Number(match[1])
}
