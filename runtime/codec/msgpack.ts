/**
 * `application/msgpack`. Besides JSON's values it carries Date, Map, Set, bigint, `undefined` and Uint8Array, both ways.
 *
 * An ordinary MessagePack library reads everything but these extensions, and these with one line: a Map is extension 77 (`M`), whose
 * data is a MessagePack array of `[key, value]` pairs; a Set is 83 (`S`), an array; a bigint that fits a number is 78 (`N`), 8 bytes
 * big-endian, one beyond 64 bits is 66 (`B`), big-endian two's complement; `undefined` is 0. Bigints from 2^53 to 64 bits are plain
 * integers. Dates are MessagePack's own timestamps. A plain map always becomes a plain object with text keys, an integer
 * beyond 2^53 a bigint. A key `__proto__` arrives as `__proto_`: it never touches a prototype.
 */

// This entry leaves out the native addon: C++ has no business with bytes from strangers, and nothing to install is better.
import { Packr, Unpackr, addExtension } from 'msgpackr/pack'

import { undecodable, unencodable } from './failures.ts'
import { extended, hasToJson, maxDepth, refused, survey } from './survey.ts'
import { inspect, integerType, mapType, setType } from './wire.ts'

const contentType = 'application/msgpack'
const empty = new Uint8Array(0)

const options = { useRecords: false, variableMapSize: true, useBigIntExtension: true, structuredClone: false }
const packr = new Packr(options)
// An `object`, because msgpackr's own types leave out `auto`: integers that fit a number are numbers, others bigints.
const reading: object = { ...options, mapsAsObjects: true, copyBuffers: true, int64AsType: 'auto' }
const unpackr = new Unpackr(reading)

/** An extension on its way to or from the wire: msgpackr knows these classes only, its table of extensions belongs to the whole process. */
const WireMap = extension(mapType)
const WireSet = extension(setType)
const WireInteger = extension(integerType)

function extension(type: number) {
  class Extension {
    readonly bytes: Uint8Array
    constructor(bytes: Uint8Array) {
      this.bytes = bytes
    }
  }
  const pack = ({ bytes }: Extension): Uint8Array => bytes
  // The bytes stay closed here. Reading them inside msgpackr copies the whole payload each time.
  addExtension({ Class: Extension, type, pack, unpack: (bytes: Uint8Array) => new Extension(bytes) })
  return Extension
}

export function encodeMsgpack(value: unknown): Uint8Array {
  if (value === undefined) return empty
  try {
    const flags = survey(value)
    if ((flags & refused) === 0) return packr.pack((flags & extended) === 0 ? value : toWire(value))
  } catch (error) {
    throw unencodable(contentType, value, error)
  }
  throw unencodable(contentType, value)
}

/** A copy in which Map, Set and small bigints are extensions. */
function toWire(value: unknown): unknown {
  if (typeof value === 'bigint') return wireInteger(value)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return value
  if (value instanceof Map) return new WireMap(packr.pack(Array.from(value, (pair) => pair.map(toWire))))
  if (value instanceof Set) return new WireSet(packr.pack(Array.from(value, toWire)))
  if (Array.isArray(value)) return value.map(toWire)
  if (hasToJson(value)) return toWire(value.toJSON())
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, toWire(child)]))
}

const largestNumber = 2n ** 53n

function wireInteger(value: bigint): unknown {
  if (value > largestNumber || value < -largestNumber) return value
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, value)
  return new WireInteger(bytes)
}

export function decodeMsgpack(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined
  // Of a Buffer, msgpackr would cut Buffers.
  const plain = Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes
  return unpack(plain, maxDepth)
}

function unpack(bytes: Uint8Array, depth: number): unknown {
  const isExtended = inspect(bytes, depth)
  const value = read(bytes)
  return isExtended ? fromWire(value, depth) : value
}

function read(bytes: Uint8Array): unknown {
  try {
    return unpackr.unpack(bytes)
  } catch (error) {
    const words = error instanceof Error ? error.message.slice(0, 60) : ''
    throw undecodable(contentType, `bytes that could not be read (${words})`, undefined, error)
  }
}

/** Opens the extensions that `read` left closed; everything else was made by `read` and is changed in place. */
function fromWire(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof Uint8Array) return value
  if (value instanceof WireInteger) return toBigint(value.bytes)
  if (value instanceof WireSet) return new Set(entries(value.bytes, depth))
  if (value instanceof WireMap) return new Map(entries(value.bytes, depth).map(pairOf))
  const container = value as Record<string, unknown>
  for (const key of Object.keys(container)) container[key] = fromWire(container[key], depth - 1)
  return value
}

function toBigint(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0)
}

function entries(bytes: Uint8Array, depth: number): unknown[] {
  const value = unpack(bytes, depth - 1)
  if (Array.isArray(value)) return value
  throw undecodable(contentType, 'a Map or a Set that is not made of an array')
}

function pairOf(entry: unknown): [unknown, unknown] {
  if (Array.isArray(entry) && entry.length === 2) return [entry[0], entry[1]]
  throw undecodable(contentType, 'a Map whose entries are not pairs of key and value')
}
