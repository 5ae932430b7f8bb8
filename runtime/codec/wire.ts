/**
 * The form of MessagePack that Troupe accepts, checked before a library builds anything from the bytes.
 *
 * Owns: lengths that fit, depth, which extensions may be there. Does not own: building values (`msgpack.ts`).
 *
 * 1. Every length is checked against the bytes that are left before anything is allocated: a header that claims 2^32 entries
 *    costs nothing.
 * 2. An extension that is not in the list below is refused. Decoders build errors, regular expressions, typed arrays, shared
 *    records and back references from extensions; none of that may come from the network.
 * 3. The walk is a loop with a stack of fixed size: no input can overflow the stack of calls.
 */

import { undecodable } from './failures.ts'
import { maxDepth } from './survey.ts'

/** An array of `[key, value]` pairs. */
export const mapType = 0x4d
/** An array of the members. */
export const setType = 0x53
/** 8 bytes, big-endian, signed: a bigint that would come back as a number if it were a plain integer. */
export const integerType = 0x4e

const contentType = 'application/msgpack'
const undefinedType = 0x00
const bigintType = 0x42
const timestampType = 0xff
const own = new Set([mapType, setType, integerType])
// Building a bigint of a megabyte takes seconds.
const longestBigint = 1024

// Bytes that follow a token which says all by itself; the rest is looked at by `step`.
const lookCloser = 255
const following = new Uint8Array(256).fill(0)
following.fill(lookCloser, 0x80, 0xa0)
for (let length = 0; length < 32; length++) following[0xa0 + length] = length
following.fill(lookCloser, 0xc1, 0xc2)
following.fill(lookCloser, 0xc4, 0xca)
following.set([4, 8, 1, 2, 4, 8, 1, 2, 4, 8], 0xca)
following.fill(lookCloser, 0xd4, 0xe0)

/** The walk over one payload. Kept between calls: one is enough, since nothing here calls out. */
const at = { position: 0, items: 0, extended: false }
const stack = new Float64Array(maxDepth)

/**
 * Checks that the bytes are exactly one value.
 *
 * @param depth how many containers may be in containers
 * @returns whether one of Troupe's own extensions is in it
 * @throws PayloadError `UNDECODABLE`
 */
export function inspect(bytes: Uint8Array, depth: number = maxDepth): boolean {
  at.position = 0
  at.extended = false
  let level = 0
  let left = 1
  for (;;) {
    while (left === 0 && level > 0) left = stack[--level] ?? 0
    if (left === 0) break
    left -= 1
    const token = bytes[at.position] ?? truncated(bytes)
    const skip = following[token] ?? 0
    at.position += 1
    if (skip !== lookCloser) at.position += skip
    else if (step(bytes, token)) {
      if (level >= depth) throw undecodable(contentType, `values nested deeper than ${maxDepth} levels`, at.position)
      stack[level++] = left
      left = at.items
    }
    if (at.position + left > bytes.length) truncated(bytes)
  }
  if (at.position < bytes.length) throw undecodable(contentType, 'more bytes after the end of the value', at.position)
  return at.extended
}

/** Reads a token that has a length; true for a container, whose entries are `at.items`. */
function step(bytes: Uint8Array, token: number): boolean {
  if (token >= 0x80 && token < 0xa0) return container(token & 0x0f, token < 0x90)
  if (token === 0xc1) throw undecodable(contentType, 'the byte 0xc1, which MessagePack does not use', at.position - 1)
  if (token >= 0xdc) return container(uint(bytes, token % 2 === 0 ? 2 : 4), token >= 0xde)
  if (token >= 0xd9) skipOver(bytes, 1 << (token - 0xd9))
  else if (token >= 0xd4) extension(bytes, 1 << (token - 0xd4))
  else if (token >= 0xc7) extension(bytes, uint(bytes, 1 << (token - 0xc7)))
  else skipOver(bytes, 1 << (token - 0xc4))
  return false
}

function container(entries: number, isMap: boolean): boolean {
  at.items = isMap ? entries * 2 : entries
  return true
}

/** Passes text or bytes whose length is written in the next `width` bytes. */
function skipOver(bytes: Uint8Array, width: number): void {
  const length = uint(bytes, width)
  at.position += length
}

function uint(bytes: Uint8Array, width: number): number {
  let value = 0
  for (let index = 0; index < width; index++) value = value * 256 + (bytes[at.position + index] ?? truncated(bytes))
  at.position += width
  return value
}

function extension(bytes: Uint8Array, length: number): void {
  const type = bytes[at.position] ?? truncated(bytes)
  if (!allowed(type, length)) {
    throw undecodable(contentType, `an extension of type ${(type << 24) >> 24} and ${length} bytes`, at.position)
  }
  at.extended ||= own.has(type)
  at.position += 1 + length
}

function allowed(type: number, length: number): boolean {
  if (type === integerType) return length === 8
  // MessagePack's timestamps, and the single byte that stands for a Date without a time.
  if (type === timestampType) return length === 4 || length === 8 || length === 12 || length === 1
  if (type === bigintType) return length > 0 && length <= longestBigint
  return type === undefinedType ? length === 1 : own.has(type)
}

function truncated(bytes: Uint8Array): never {
  throw undecodable(contentType, `bytes that end in the middle of a value`, bytes.length)
}
