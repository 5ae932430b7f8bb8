/** Payloads as bytes. The sender chooses the format, the receiver follows `Content-Type`. */

import { PayloadError, describe, didYouMean } from '../errors.ts'
import { decodeJson, encodeJson } from './json.ts'
import { decodeMsgpack, encodeMsgpack } from './msgpack.ts'

/** A payload format, by its media type. */
export type ContentType = 'application/json' | 'application/msgpack'

interface Codec {
  encode(value: unknown): Uint8Array
  decode(bytes: Uint8Array, start: number): unknown
}

const codecs: Readonly<Record<ContentType, Codec>> = {
  'application/json': { encode: encodeJson, decode: decodeJson },
  'application/msgpack': {
    encode: encodeMsgpack,
    decode: (bytes, start) => decodeMsgpack(start === 0 ? bytes : bytes.subarray(start)),
  },
}

/** Every content type that Troupe speaks; the first is the default. */
export const contentTypes = Object.keys(codecs) as readonly ContentType[]

/**
 * A value as bytes; `undefined` is the empty body.
 *
 * @throws PayloadError `UNENCODABLE`, with the path of what can't be carried in `data.path`
 */
export function encode(contentType: ContentType, value: unknown): Uint8Array {
  return codecs[contentType].encode(value)
}

/**
 * Bytes as the value that they carry; the empty body is `undefined`. Hostile bytes are expected here.
 *
 * @param contentType as a header says it: any case, with parameters; JSON when absent
 * @param start where the value begins in the bytes
 * @throws PayloadError `UNDECODABLE`, and nothing else
 */
export function decode(contentType: string | undefined, bytes: Uint8Array, start = 0): unknown {
  return codecs[parseContentType(contentType)].decode(bytes, start)
}

/**
 * The format that a `Content-Type` header names; JSON when it is absent or empty.
 *
 * @throws PayloadError `UNDECODABLE` for a format that Troupe does not speak
 */
export function parseContentType(header: string | undefined): ContentType {
  if (header === undefined || header === '' || header === 'application/json') return 'application/json'
  if (header === 'application/msgpack') return header
  const name = header.split(';', 1).join('').trim().toLowerCase()
  if (Object.hasOwn(codecs, name)) return name as ContentType
  const text = `expected Content-Type to be ${contentTypes.join(' or ')}, got: ${describe(header, 40)}`
  throw new PayloadError('UNDECODABLE', `${text}${didYouMean(name.slice(0, 40), contentTypes)}`, {
    data: { contentTypes },
  })
}
