import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { Placed } from '#runtime/broker/delivery.js'
import { H, HeaderBlock, type HeaderEntry } from '#runtime/broker/headers.js'
import { Subjects } from '#runtime/broker/subjects.js'
import { PayloadError } from '#runtime/errors.js'
import { readMessage, ruleFor, unreadableMessage, type Message } from '#runtime/message.js'
import { DEFAULT_RETRY } from '#runtime/retryRule.js'

const subjects = new Subjects('troupe')
const placed = (entries: readonly HeaderEntry[], subject = 'troupe.do.mailer.welcome'): Placed => ({
  subject,
  stream: 'troupe-mailbox-mailer',
  sequence: 7,
  headers: new HeaderBlock(entries),
  data: new Uint8Array(0),
  storedAt: 1_000,
})
const read = (...entries: HeaderEntry[]): Message => readMessage(placed(entries), subjects, 'mailer')

const known = fc.constantFrom(...Object.values(H), 'troupe-attempt', 'TROUPE-EXPIRES', 'content-type')
const number = fc.oneof(fc.integer(), fc.double(), fc.bigInt()).map(String)
const json = fc.json()
const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  number,
  json,
  fc.constantFrom('', 'true', '1h', 'null', '[]', '{"attempts":3}', '{"backoff":{}}', 'x'.repeat(10_240)),
)
const entries = fc.array(fc.tuple(fc.oneof(known, fc.string()), value), { maxLength: 8 })

describe('a message of any headers', () => {
  it('is read, or refused with a PayloadError and nothing else (P7)', () => {
    fc.assert(
      fc.property(entries, fc.string({ unit: 'binary' }), (all, subject) => {
        const one = placed(all, subject)
        try {
          const message = readMessage(one, subjects, 'mailer')
          expect(message.id.length).toBeGreaterThan(0)
          expect(Buffer.byteLength(message.id)).toBeLessThanOrEqual(200)
          expect(message.attempt).toBeGreaterThanOrEqual(1)
          expect(message.root.length).toBeGreaterThanOrEqual(0)
          if (message.reply !== undefined) expect(subjects.isReply(message.reply)).toBe(true)
          ruleFor(message, DEFAULT_RETRY)
        } catch (error) {
          expect(error).toBeInstanceOf(PayloadError)
          expect((error as Error).message).toMatch(/^expected /)
          expect((error as Error).message.length).toBeLessThan(1_000)
        }
        expect(unreadableMessage(one, subjects, 'mailer').id).toBe('troupe-mailbox-mailer:7')
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('the headers of a message', () => {
  it('may all be absent: its place is its id', () => {
    expect(read()).toMatchObject({
      id: 'troupe-mailbox-mailer:7',
      root: 'troupe-mailbox-mailer:7',
      name: 'welcome',
      attempt: 1,
      sender: 'any',
      sentAt: 1_000,
      ignored: [],
    })
  })

  it('give the id: Troupe-Id, else Nats-Msg-Id, in whatever order they come', () => {
    expect(read([H.dedupe, 'key']).id).toBe('key')
    expect(read([H.dedupe, 'key'], [H.id, 'own']).id).toBe('own')
    expect(read([H.id, 'own'], [H.dedupe, 'key']).id).toBe('own')
    expect(read([H.id, ''], [H.dedupe, 'key']).id).toBe('key')
    expect(read([H.dedupe, 'key'], [H.id, '']).id).toBe('key')
    expect(read(['TROUPE-ID', 'shouted']).id).toBe('shouted')
  })

  it.each([
    [H.reply, '_INBOX.x.y'],
    [H.reply, 'troupe.reply.>'],
    [H.keep, 'for ever'],
    [H.sent, 'yesterday'],
  ])('that ask a favour in a wrong form are left aside, by name: %s %s', (name, wrong) => {
    expect(read([name, wrong])).toMatchObject({ ignored: [name], reply: undefined, keepMs: undefined, sentAt: 1_000 })
  })

  it('that are left aside in one message are not left aside in the next', () => {
    expect(read([H.keep, 'for ever'], [H.sent, 'x']).ignored).toEqual([H.keep, H.sent])
    expect(read().ignored).toEqual([])
  })

  it.each([
    [H.attempt, '0'],
    [H.attempt, '1.0'],
    [H.expires, '-1'],
    [H.deadline, 'now'],
    [H.due, '253402300800000'],
    [H.due, ''],
    [H.delay, 'soon'],
    [H.delay, '-1s'],
    [H.retry, 'null'],
    [H.retry, '3'],
    [H.retry, '{'],
  ])('that change its meaning are refused in a wrong form: %s %s', (name, wrong) => {
    expect(() => read([name, wrong])).toThrow(PayloadError)
    expect(() => read([name, wrong])).toThrow(`expected header ${name} to be`)
  })

  it('say when it is due: a moment before a delay, which counts from when it was stored', () => {
    const later = (...headers: HeaderEntry[]): number | undefined =>
      readMessage(placed(headers, 'troupe.later.mailer.welcome'), subjects, 'mailer').planned
    expect(later([H.delay, '90s'])).toBe(91_000)
    expect(later([H.delay, '90s'], [H.due, '5000'])).toBe(5_000)
    expect(later([H.due, '5000'], [H.delay, '90s'])).toBe(5_000)
    expect(later()).toBeUndefined()
    expect(read([H.delay, '90s']).planned).toBeUndefined()
  })

  it('set the rule of one message over its definition, in what can cross the wire', () => {
    const rule = ruleFor(
      read([H.retry, '{"attempts":3,"backoff":{"base":"1ms"},"on":"all","except":7}']),
      DEFAULT_RETRY,
    )
    expect(rule).toMatchObject({ attempts: 3, backoff: { baseMs: 1 }, on: undefined, except: undefined })
    expect(ruleFor(read(), DEFAULT_RETRY)).toBe(DEFAULT_RETRY)
  })
})
