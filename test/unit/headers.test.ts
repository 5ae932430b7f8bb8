import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import {
  broomTtl,
  checkHeader,
  encodeHeaders,
  H,
  HeaderBlock,
  headerText,
  type HeaderEntry,
} from '#runtime/broker/headers.js'
import { PayloadError } from '#runtime/errors.js'

const name = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$/)
const value = fc
  .string({ unit: 'binary', maxLength: 80 })
  .map((raw) => raw.replaceAll(/[\r\n\0]/g, '').trim())
  .filter((text) => Buffer.from(text).toString() === text)
const entries = fc.array(fc.tuple(name, value), { maxLength: 12 })

const read = (text: string): number | undefined => new HeaderBlock([[H.attempt, text]]).number(H.attempt)

describe('a block of headers', () => {
  it('carries names and values there and back, in order and more than once', () => {
    fc.assert(
      fc.property(entries, (all) => {
        for (const [key, text] of all) checkHeader(key, text)
        expect(HeaderBlock.decode(encodeHeaders(all)).entries()).toEqual(all)
      }),
    )
  })

  it('is read up to its length where a body follows', () => {
    fc.assert(
      fc.property(entries, fc.uint8Array(), (all, body) => {
        const block = encodeHeaders(all)
        expect(HeaderBlock.decode(Buffer.concat([block, body]), block.length).entries()).toEqual(all)
      }),
    )
  })

  it('of any bytes is read without an error, and what is read can be written again', () => {
    const start = Buffer.from('NATS/1.0\r\n')
    const pieces = fc.array(
      fc.oneof(
        fc.constantFrom('\r', '\n', '\r\n', ':', ' ', '\0', 'Troupe-Id', '__proto__'),
        fc.string({ unit: 'binary' }),
      ),
    )
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      pieces.map((parts) => Buffer.from(parts.join(''))),
    )
    fc.assert(
      fc.property(bytes, fc.boolean(), (raw, isStarted) => {
        const block = HeaderBlock.decode(isStarted ? Buffer.concat([start, raw]) : raw)
        const again = HeaderBlock.decode(encodeHeaders(block.entries()))
        expect(again.entries()).toEqual(block.entries())
        expect(Object.getPrototypeOf(block.toObject())).toBeNull()
        block.get('Troupe-Id')
        block.number('Troupe-Attempt')
      }),
      { numRuns: 1_000 },
    )
  })

  it('finds a name as it is spelled before any other spelling', () => {
    const block = new HeaderBlock([
      ['troupe-id', 'lower'],
      ['Troupe-Id', 'right'],
    ])
    expect(block.get('Troupe-Id')).toBe('right')
    expect(block.get('TROUPE-ID')).toBe('lower')
    expect(block.get('Troupe-I')).toBeUndefined()
  })

  it('reads whole numbers and nothing that looks like one', () => {
    expect(['0', '12', '999999999999999'].map(read)).toEqual([0, 12, 999_999_999_999_999])
    expect(['', '-1', '1.5', '1e3', '0x1', ' 1', '9999999999999999', '١'].map(read)).toEqual(Array.from({ length: 8 }))
  })
})

describe('a header of a sender', () => {
  it('with a line break or another end of its line is refused, typed', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('\r', '\n', '\0'), fc.string(), (before, ending, after) => {
        expect(() => checkHeader('X-A', before + ending + after)).toThrow(PayloadError)
      }),
    )
    for (const wrong of ['', 'a b', 'a:b', 'a\r\nb', 'é', 'x'.repeat(129)])
      expect(() => checkHeader(wrong, 'x')).toThrow(PayloadError)
    expect(() => checkHeader('X-A', 7)).toThrow('got: 7')
  })

  it('is made of any text by headerText, on one line and within its limit', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 50 }), (raw, limit) => {
        const text = headerText(raw, limit)
        expect(text.length).toBeLessThanOrEqual(limit)
        expect(checkHeader('X-A', text)).toEqual(['X-A', text] satisfies HeaderEntry)
      }),
    )
  })
})

describe('the broom of a message that expires', () => {
  it('comes a day later, in whole seconds that the server can hold', () => {
    expect(broomTtl(1_500)).toBe('86402s')
    expect(broomTtl(-5)).toBe('86401s')
    expect(broomTtl(8.64e15)).toBe('3155760000s')
  })
})
