import * as fc from 'fast-check'
import { Packr, Unpackr } from 'msgpackr'
import { describe, expect, it } from 'vitest'

import { type ContentType, decode, encode, parseContentType } from '#runtime/codec/codec.js'
import { PayloadError } from '#runtime/errors.js'

const json = 'application/json'
const msgpack = 'application/msgpack'
const formats: ContentType[] = [json, msgpack]

const thrownBy = (act: () => unknown): PayloadError => {
  try {
    act()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PayloadError)
    return thrown as PayloadError
  }
  throw new Error('nothing was thrown')
}
const undecodable = (format: string, bytes: Uint8Array | number[]): PayloadError => {
  const error = thrownBy(() => decode(format, Uint8Array.from(bytes)))
  expect(error.code).toBe('UNDECODABLE')
  return error
}
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const nested = (depth: number): unknown => {
  let value: unknown = []
  for (let level = 1; level < depth; level++) value = [value]
  return value
}

const key = fc.string().filter((name) => name !== '__proto__' && name !== 'toJSON')
const string = fc.string({ unit: 'binary' })
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value))
const leaf = fc.oneof(string, number, fc.integer(), fc.maxSafeInteger(), fc.boolean(), fc.constant(null))
const jsonValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(key, tie('value'), { noNullPrototype: true }),
  ),
})).value
const richLeaf = fc.oneof(
  leaf,
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
  fc.date(),
  fc.uint8Array(),
  fc.constant(undefined),
)
const richValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    richLeaf,
    fc.array(tie('value')),
    fc.dictionary(key, tie('value'), { noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((pairs) => new Map(pairs)),
    fc.array(tie('value')).map((members) => new Set(members)),
  ),
})).value

describe('both formats', () => {
  it('give back what JSON can say', () => {
    for (const format of formats) {
      fc.assert(
        fc.property(jsonValue, (value) => {
          expect(decode(format, encode(format, value))).toEqual(value)
        }),
      )
    }
  })

  it('make the empty body of undefined, and undefined of the empty body', () => {
    for (const format of formats) {
      expect(encode(format, undefined)).toHaveLength(0)
      expect(decode(format, new Uint8Array(0))).toBeUndefined()
    }
  })

  it('throw nothing but UNDECODABLE for random bytes', () => {
    for (const format of formats) {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => tries(format, bytes)),
        { numRuns: 3000 },
      )
    }
  })

  it('throw nothing but UNDECODABLE for real payloads with one byte changed or the end cut off', () => {
    for (const format of formats) {
      const value = format === json ? jsonValue : richValue
      fc.assert(
        fc.property(value, fc.nat(), fc.nat(255), fc.boolean(), (value, place, byte, cut) => {
          const bytes = Uint8Array.from(encode(format, value))
          if (bytes.length === 0) return
          if (cut) return tries(format, bytes.subarray(0, place % bytes.length))
          bytes[place % bytes.length] = byte
          tries(format, bytes)
        }),
        { numRuns: 500 },
      )
    }
  })

  it('name the path of what they cannot carry', () => {
    const cycle: Record<string, unknown> = { list: [1] }
    cycle['self'] = { again: cycle }
    const cases: [unknown, string, string][] = [
      [{ items: [{}, { run: () => 1 }] }, 'items[1].run', 'a function'],
      [{ a: Symbol('x') }, 'a', 'a symbol'],
      [cycle, 'self.again', 'a cycle'],
      [{ waiting: Promise.resolve() }, 'waiting', 'Promise'],
      [{ error: new TypeError('x') }, 'error', 'Error'],
      [{ list: new Float64Array(2) }, 'list', 'Float64Array'],
      [() => 1, '', 'a function'],
    ]
    for (const format of formats) {
      for (const [value, path, what] of cases) {
        const error = thrownBy(() => encode(format, value))
        expect(error).toMatchObject({ code: 'UNENCODABLE', data: { path } })
        expect(error.message).toContain(what)
      }
    }
  })

  it('refuse to encode what is nested too deep or throws while it is read', () => {
    for (const format of formats) {
      expect(thrownBy(() => encode(format, nested(10_000)))).toMatchObject({ code: 'UNENCODABLE' })
      const bad = {
        get x(): number {
          throw new Error('no')
        },
      }
      expect(thrownBy(() => encode(format, bad)).message).toContain('no')
      const worse = {
        toJSON: () => {
          throw new Error('no json')
        },
      }
      expect(thrownBy(() => encode(format, worse)).message).toContain('no json')
      expect(decode(format, encode(format, nested(900)))).toEqual(nested(900))
    }
  })

  it('let an object with toJSON say how it is encoded, and drop no class instance', () => {
    class Point {
      x = 1
    }
    for (const format of formats) {
      const value = {
        url: new URL('http://a.b/'),
        point: new Point(),
        bare: Object.assign(Object.create(null) as object, { y: 2 }),
      }
      expect(decode(format, encode(format, value))).toEqual({ url: 'http://a.b/', point: { x: 1 }, bare: { y: 2 } })
    }
  })
})

describe('content types', () => {
  it('are read in any case, with parameters, and JSON is the default', () => {
    for (const header of [
      undefined,
      '',
      json,
      'Application/JSON',
      'application/json; charset=utf-8',
      ' application/json;a=b',
    ]) {
      expect(parseContentType(header)).toBe(json)
    }
    expect(decode('APPLICATION/MSGPACK ; v=1', Uint8Array.of(0x01))).toBe(1)
  })

  it('that are unknown are refused with those that are known', () => {
    for (const header of ['text/plain', 'application/jsn', 'constructor', '__proto__', ';', 'x'.repeat(10_000)]) {
      const error = undecodable(header, [0x31])
      expect(error.message).toContain('application/json or application/msgpack')
      expect(error.message.length).toBeLessThan(200)
    }
  })
})

describe('JSON', () => {
  it('refuses what is not UTF-8, and takes the replacement character where it was really sent', () => {
    expect(undecodable(json, [0x22, 0xff, 0x22]).message).toContain('UTF-8')
    expect(undecodable(json, [0x22, 0xed, 0xa0, 0x80, 0x22]).message).toContain('UTF-8')
    expect(decode(json, text('"\uFFFD"'))).toBe('\uFFFD')
  })

  it('says where it stopped understanding, with little of the payload', () => {
    const error = undecodable(json, text(`{"secret":"${'x'.repeat(300)}", oops}`))
    expect(error.message).toContain('expected a payload of application/json, got: text that is not JSON')
    expect(error.data['position']).toBe(314)
    expect(error.message).not.toContain('x'.repeat(41))
  })

  it('reads a view into a larger buffer and nothing around it', () => {
    expect(decode(json, text('xx[1]yy').subarray(2, 5))).toEqual([1])
  })

  it('does not send as {} what only MessagePack can carry', () => {
    for (const value of [new Map(), new Set(), 1n, new Uint8Array(1), Buffer.from('a')]) {
      const error = thrownBy(() => encode(json, { a: value }))
      expect(error).toMatchObject({ code: 'UNENCODABLE', data: { path: 'a' } })
      expect(error.message).toContain('application/msgpack')
    }
  })

  it('keeps __proto__ as an own key that changes no prototype', () => {
    const value = decode(json, text('{"__proto__":{"admin":true}}')) as object
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
  })

  it('reads 10,000 nested arrays', () => {
    expect(decode(json, text('['.repeat(10_000) + ']'.repeat(10_000)))).toHaveLength(1)
    undecodable(json, text('['.repeat(100_000)))
  })
})

describe('MessagePack', () => {
  it('gives back dates, maps, sets, bigints, bytes and undefined, in each other', () => {
    fc.assert(
      fc.property(richValue, (value) => {
        expect(decode(msgpack, encode(msgpack, value))).toStrictEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  it('gives back bigints at every edge as bigints, numbers as numbers', () => {
    for (const edge of [0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n, 2n ** 200n]) {
      for (const value of [edge, -edge, edge - 1n]) expect(decode(msgpack, encode(msgpack, value))).toBe(value)
    }
    expect(decode(msgpack, encode(msgpack, Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('reads 64-bit integers of other languages as numbers where they fit', () => {
    expect(decode(msgpack, Uint8Array.of(0xcf, 0, 0, 0x01, 0x8c, 0, 0, 0, 0))).toBe(0x018c_0000_0000)
    expect(decode(msgpack, Uint8Array.of(0xd3, 255, 255, 255, 255, 255, 255, 255, 254))).toBe(-2)
    expect(decode(msgpack, Uint8Array.of(0xcf, 255, 255, 255, 255, 255, 255, 255, 255))).toBe(2n ** 64n - 1n)
  })

  it('is read by an ordinary library, whose payloads it reads', () => {
    const ordinary = {
      a: [1, 'x', null, true, 2.5, -7],
      date: new Date(1234),
      bytes: Uint8Array.of(1, 2),
      deep: { k: { l: 'm' } },
    }
    const library = new Packr({ useRecords: false, mapsAsObjects: true })
    expect(decode(msgpack, library.pack(ordinary))).toEqual(ordinary)
    expect(
      new Unpackr({ useRecords: false, copyBuffers: true }).unpack(Uint8Array.from(encode(msgpack, ordinary))),
    ).toEqual(ordinary)
    expect(Array.from(encode(msgpack, new Map([['a', 1]])))).toEqual([0xc7, 5, 0x4d, 0x91, 0x92, 0xa1, 0x61, 0x01])
  })

  it('makes bytes that do not share memory with the payload, also from a Buffer', () => {
    const payload = Buffer.from(encode(msgpack, { bytes: Uint8Array.of(1, 2, 3) }))
    const { bytes } = decode(msgpack, payload) as { bytes: Uint8Array }
    payload.fill(0)
    expect(bytes).toStrictEqual(Uint8Array.of(1, 2, 3))
  })

  it('refuses extensions that build classes or share structure, and unknown ones', () => {
    const rich = new Packr({ useRecords: false, moreTypes: true, structuredClone: true })
    const shared = { a: 1 }
    for (const value of [
      new Error('x'),
      /x/,
      new Set([1]),
      new Float64Array(1),
      new ArrayBuffer(1),
      [shared, shared],
    ]) {
      expect(undecodable(msgpack, rich.pack(value)).message).toContain('extension')
    }
    expect(undecodable(msgpack, new Packr({ useRecords: true }).pack({ a: 1 })).message).toContain('extension')
    expect(
      undecodable(msgpack, new Packr({ bundleStrings: true, useRecords: false }).pack(['long enough'])).message,
    ).toContain('extension')
    expect(undecodable(msgpack, [0xd4, 0x05, 0x00]).data['position']).toBe(1)
    undecodable(msgpack, [0xc1])
  })

  it('refuses bytes that end early or go on after the value', () => {
    const bytes = encode(msgpack, { a: [1, 'two', new Map([[1n, new Date(5)]])], b: 'x'.repeat(300) })
    for (let length = 1; length < bytes.length; length++) {
      expect(undecodable(msgpack, bytes.subarray(0, length)).message).toContain('end in the middle')
    }
    expect(undecodable(msgpack, [...bytes, 0]).message).toContain('more bytes')
  })

  it('allocates nothing for a header that claims 2^32 entries', () => {
    const before = process.memoryUsage().rss
    for (const token of [0xdd, 0xdf, 0xdb, 0xc6]) undecodable(msgpack, [token, 255, 255, 255, 255, 1])
    undecodable(msgpack, [0xc9, 255, 255, 255, 255, 0x4d, 1])
    for (const type of [0x4d, 0x53]) undecodable(msgpack, [0xc7, 5, type, 0xdd, 255, 255, 255, 255])
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000)
  })

  it('refuses 10,000 nested arrays, and sets in sets as deep', () => {
    expect(undecodable(msgpack, [...Array.from({ length: 10_000 }, () => 0x91), 0xc0]).message).toContain(
      'nested deeper',
    )
    let bytes = Uint8Array.of(0x90)
    for (let level = 0; level < 1100; level++) {
      const length = bytes.length + 1
      bytes = Uint8Array.of(
        0xc9,
        length >> 24,
        (length >> 16) & 255,
        (length >> 8) & 255,
        length & 255,
        0x53,
        0x91,
        ...bytes,
      )
    }
    undecodable(msgpack, bytes)
  })

  it('reads a hundred thousand small maps in one payload in time that grows with its length', () => {
    const maps = Array.from({ length: 100_000 }, (_, index) => new Map([[index, index]]))
    const bytes = encode(msgpack, maps)
    const start = performance.now()
    expect(decode(msgpack, bytes)).toHaveLength(100_000)
    // Copying the payload for each map would take minutes.
    expect(performance.now() - start).toBeLessThan(5000)
  })

  it('changes no prototype by a key __proto__', () => {
    const value = decode(
      msgpack,
      Uint8Array.of(0x81, 0xa9, ...text('__proto__'), 0x81, 0xa5, ...text('admin'), 0xc3),
    ) as object
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
    expect(value).toEqual({ __proto_: { admin: true } })
  })

  it('refuses a Map or Set of another make, and map keys that are containers', () => {
    undecodable(msgpack, [0xc7, 1, 0x4d, 0x80])
    undecodable(msgpack, [0xc7, 2, 0x4d, 0x91, 0x01])
    undecodable(msgpack, [0xc7, 3, 0x4d, 0x91, 0x91, 0x01])
    undecodable(msgpack, [0xc7, 0, 0x53])
    undecodable(msgpack, [0x81, 0x90, 0x01])
  })

  it('carries objects with more than 65,535 keys', () => {
    const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`k${index}`, index]))
    expect(Object.keys(decode(msgpack, encode(msgpack, wide)) as object)).toHaveLength(70_000)
  })
})

function tries(format: ContentType, bytes: Uint8Array): void {
  try {
    decode(format, bytes)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PayloadError)
    expect(thrown).toMatchObject({ code: 'UNDECODABLE' })
  }
}
