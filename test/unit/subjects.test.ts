import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import {
  checkId,
  checkName,
  checkNamespace,
  decodeToken,
  encodeToken,
  LANES,
  Subjects,
} from '#runtime/broker/subjects.js'

const isWellFormed = (value: string): boolean => Buffer.from(value).toString() === value
const subjects = new Subjects('troupe')
/** Any text that UTF-8 can carry, of every plane. */
const text = fc.string({ unit: 'binary', maxLength: 60 }).filter((value) => isWellFormed(value))
/** Made of what means something in a subject, and a little of what does not. */
const subjectLike = fc.string({
  unit: fc.constantFrom(
    '.',
    '*',
    '>',
    ' ',
    '\t',
    '\r',
    '\n',
    '\0',
    '%',
    '$',
    'a',
    'B',
    '1',
    '-',
    '_',
    'é',
    '日',
    '\u2028',
  ),
  maxLength: 40,
})
const anyText = fc.oneof(text, subjectLike)
const name = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_-]{0,63}$/).filter((value) => value !== 'system' && value !== 'all')
// oxlint-disable-next-line no-control-regex -- exactly what a token may not have
const FORBIDDEN = /[.*>\s\u0000-\u001F\u007F]/

const tokens = (subject: string): number => subject.split('.').length

describe('a token', () => {
  it('carries any text there and back', () => {
    fc.assert(
      fc.property(anyText, (value) => {
        expect(decodeToken(encodeToken(value))).toBe(value)
      }),
    )
  })

  it('has nothing in it that means something in a subject, and is never empty', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string({ unit: 'binary', maxLength: 2_000 })), (value) => {
        const token = encodeToken(value)
        expect(token).not.toMatch(FORBIDDEN)
        expect(token.length).toBeGreaterThan(0)
        expect(token.length).toBeLessThan(620)
        expect(token).toMatch(/^[\u0021-\u007E]+$/)
      }),
    )
  })

  it('of two texts is the same only where they are the same', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(encodeToken(a) === encodeToken(b)).toBe(a === b)
      }),
    )
  })

  it('that somebody else made is read without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (token) => {
        expect(typeof decodeToken(token)).toBe('string')
      }),
    )
    expect(['%', '%zz', '%E0%A4', 'a%'].map(decodeToken)).toEqual(['', '%zz', '%E0%A4', 'a%'])
  })
})

describe('subjects', () => {
  it('are read as they were built', () => {
    fc.assert(
      fc.property(name, name, fc.constantFrom(...LANES), (actor, message, lane) => {
        expect(subjects.parseMailbox(subjects.message(actor, message, lane))).toEqual({ queue: lane, actor, message })
        expect(subjects.parseMailbox(subjects.later(actor, message))).toEqual({ queue: 'later', actor, message })
      }),
    )
  })

  it('of dead letters are read as they were built, whatever message and id, and tails are told from letters', () => {
    fc.assert(
      fc.property(name, anyText, fc.oneof(anyText, fc.constant('tail')), (actor, message, id) => {
        expect(subjects.parseDead(subjects.dead(actor, message, id))).toEqual({ actor, message, id })
        expect(subjects.isDeadTail(subjects.dead(actor, message, id))).toBe(false)
        expect(subjects.isDeadTail(subjects.deadTail(actor, message, id))).toBe(true)
      }),
    )
  })

  it('have as many tokens as they are meant to have, whatever text is in them', () => {
    fc.assert(
      fc.property(name, anyText, anyText, fc.nat(), (actor, message, id, sequence) => {
        expect(tokens(subjects.dead(actor, message, id))).toBe(5)
        expect(tokens(subjects.result(actor, message, id))).toBe(5)
        expect(tokens(subjects.parkedLater(actor, message, id))).toBe(6)
        expect(tokens(subjects.dueLater(actor, message, id))).toBe(7)
        expect(tokens(subjects.parkedRetry(actor, id, sequence))).toBe(6)
        expect(tokens(subjects.dueRetry(actor, sequence))).toBe(6)
        expect(tokens(subjects.event(actor, message, 'done'))).toBe(5)
        expect(tokens(subjects.systemEvent(message, 'started'))).toBe(5)
        expect(subjects.parseDue(subjects.dueLater(actor, message, id))).toBe('at')
        expect(subjects.parseDue(subjects.dueRetry(actor, sequence))).toBe('retry')
      }),
    )
  })

  it('of strangers are read without an error, and only of this namespace', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          anyText.map((rest) => `troupe.${rest}`),
          anyText.map((rest) => `troupe.do.${rest}`),
        ),
        (subject) => {
          const address = subjects.parseMailbox(subject)
          subjects.parseDead(subject)
          subjects.parseDue(subject)
          subjects.isDeadTail(subject)
          if (address !== undefined) expect(subject.startsWith('troupe.')).toBe(true)
        },
      ),
    )
    expect(subjects.parseMailbox('troupe.do.mailer.a.b.c')).toEqual({
      queue: 'normal',
      actor: 'mailer',
      message: 'a.b.c',
    })
    expect(subjects.parseMailbox('troupes.do.mailer.a')).toBeUndefined()
    expect(subjects.parseMailbox('troupe.dead.mailer.a')).toBeUndefined()
    expect(subjects.parseMailbox('troupe.__proto__.mailer.a')).toBeUndefined()
  })
})

describe('a reply subject', () => {
  it('is one of this namespace, of literal tokens, or it is refused', () => {
    const tries = fc.oneof(
      anyText,
      anyText.map((rest) => `troupe.reply.${rest}`),
      fc.array(anyText).map((rest) => `troupe.reply.${rest.join('.')}`),
    )
    fc.assert(
      fc.property(tries, (subject) => {
        if (!subjects.isReply(subject)) return
        expect(subject.startsWith('troupe.reply.')).toBe(true)
        const tokens = subject.split('.').slice(2)
        expect(tokens.length).toBeGreaterThanOrEqual(2)
        for (const token of tokens) {
          expect(token).not.toBe('')
          expect(token).not.toMatch(FORBIDDEN)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('that we make is accepted, whatever the sender is called', () => {
    fc.assert(
      fc.property(anyText, (sender) => {
        expect(subjects.isReply(subjects.reply(sender, 'instance', 'token'))).toBe(true)
      }),
    )
  })

  it.each([
    '$JS.API.STREAM.DELETE.x',
    '_INBOX.a.b',
    'troupe.do.a.b',
    'troupe.reply.a',
    'troupe.reply.*.b',
    'troupe.reply.a.>',
    'troupe.reply..b',
    'troupe.reply.a.',
    'other.reply.a.b',
    'troupe.reply.a.b\r\nPUB x 0',
    `troupe.reply.a.${'b'.repeat(2_000)}`,
  ])('is not %j', (subject) => expect(subjects.isReply(subject)).toBe(false))
})

describe('names and ids', () => {
  it('are refused in one form of text', () => {
    expect(() => checkName('a.b', 'actor')).toThrow(/^expected the actor's name to be .*, got: "a\.b"$/)
    expect(() => checkName('all', 'actor')).toThrow('reserved')
    expect(() => checkName(7, 'message')).toThrow('got: 7')
    expect(() => checkNamespace('a-b')).toThrow(/no "-"/)
    expect(() => checkId('é'.repeat(101))).toThrow('got: 202 bytes')
    expect(() => checkId('')).toThrow('0 bytes')
    expect(checkId('é'.repeat(100))).toHaveLength(100)
  })

  it('that are names never need encoding', () => {
    fc.assert(
      fc.property(name, (value) => {
        expect(encodeToken(checkName(value, 'actor'))).toBe(value)
      }),
    )
  })
})
