/** The errors of encoding and decoding. They never carry more of a payload than a path. */

import { PayloadError, describe, toError } from '../errors.ts'
import { beyondJson, locate, refused } from './survey.ts'

/** Bytes that are not what their content type says. `position` is in bytes (in characters for JSON) from the payload's start. */
export function undecodable(contentType: string, problem: string, position?: number, cause?: unknown): PayloadError {
  const place = position === undefined ? '' : ` at position ${position}`
  const text = `expected a payload of ${contentType}, got: ${problem}${place}; check what was sent and its Content-Type header`
  return new PayloadError('UNDECODABLE', text, { data: { contentType, position }, cause })
}

/** A value that its format has no form for. */
export function unencodable(contentType: string, value: unknown, cause?: unknown): PayloadError {
  const json = contentType === 'application/json'
  const { path, what } = offender(value, json ? beyondJson | refused : refused, cause)
  const where = path === '' ? 'the payload' : path
  const hint = json
    ? 'convert it, or send as application/msgpack (Map, Set, bigint and Uint8Array)'
    : 'convert it first'
  const text = `expected ${where} to be a value that ${contentType} can carry, got: ${what}; ${hint}`
  return new PayloadError('UNENCODABLE', text, { data: { contentType, path }, cause })
}

function offender(value: unknown, unwanted: number, cause: unknown): { path: string; what: string } {
  try {
    const found = locate(value, unwanted)
    if (found !== undefined) return found
  } catch (error) {
    return { path: '', what: `a value that threw while it was read: ${describe(toError(error).message)}` }
  }
  return { path: '', what: `a value that failed: ${describe(toError(cause).message)}` }
}
