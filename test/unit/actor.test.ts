import { ActorError, actorRef, ConfigError, defineActor, isActor, type MessageRef, type TroupeError } from 'troupe'
import { testContext } from 'troupe/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { specOf } from '#runtime/actor.js'

/** Definitions as JavaScript may write them. */
const define = defineActor as (name: unknown, options: unknown) => unknown
const messages = { m: () => {} }

function errorOf(fn: () => unknown): TroupeError {
  try {
    fn()
  } catch (error) {
    return error as TroupeError
  }
  throw new Error('expected it to throw')
}

describe('a bad definition', () => {
  const cases: [what: string, name: unknown, options: unknown, code: string, texts: string[]][] = [
    [
      'a name with a dot',
      'a.b',
      { messages },
      'INVALID_NAME',
      ["the actor's name to be a letter followed by", '"a.b"'],
    ],
    ['a name that begins with a digit', '1a', { messages }, 'INVALID_NAME', ['"1a"']],
    ['a name that is no text', 7, { messages }, 'INVALID_NAME', ["the actor's name", 'got: 7']],
    ['a name of 65 letters', 'a'.repeat(65), { messages }, 'INVALID_NAME', ['at most 64']],
    ['a reserved name', 'system', { messages }, 'INVALID_NAME', ['"system" is reserved']],
    ['no options', 'a', undefined, 'INVALID_OPTION', ['expected a to be options with messages', 'undefined']],
    ['options that are no object', 'a', 'x', 'INVALID_OPTION', ['options with messages', '"x"']],
    [
      'a wrong option',
      'a',
      { concurency: 5, messages },
      'INVALID_OPTION',
      ['"concurency"', 'did you mean "concurrency"?'],
    ],
    [
      'no messages',
      'a',
      { concurrency: 5 },
      'INVALID_OPTION',
      ['expected a.messages to be at least one message', 'undefined'],
    ],
    ['an empty list of messages', 'a', { messages: {} }, 'INVALID_OPTION', ['a.messages', 'got: {}']],
    [
      'a message name with a space',
      'a',
      { messages: { 'x y': () => {} } },
      'INVALID_NAME',
      ["the message's name", '"x y"'],
    ],
    ['a reserved message name', 'a', { messages: { all: () => {} } }, 'INVALID_NAME', ['"all" is reserved']],
    [
      'a message that is no handler',
      'a',
      { messages: { m: 42 } },
      'INVALID_OPTION',
      ['expected a.m to be a handler', 'got: 42'],
    ],
    [
      'a message without a handler',
      'a',
      { messages: { m: { timeLimit: '1s' } } },
      'INVALID_OPTION',
      ['a.m.handle', 'undefined'],
    ],
    [
      'a wrong option of a message',
      'a',
      { messages: { m: { timelimit: 1, handle() {} } } },
      'INVALID_OPTION',
      ['a.m', 'did you mean "timeLimit"?'],
    ],
    [
      'a payload that is no schema',
      'a',
      { messages: { m: { payload: { to: 'string' }, handle() {} } } },
      'INVALID_OPTION',
      ['a.m.payload', 'a Standard Schema'],
    ],
    [
      'a time limit that is no duration',
      'a',
      { timeLimit: '30 sec', messages },
      'INVALID_OPTION',
      ['a.m.timeLimit', 'did you mean "30s"?'],
    ],
    [
      'a time limit of nothing',
      'a',
      { messages: { m: { timeLimit: 0, handle() {} } } },
      'INVALID_OPTION',
      ['a.m.timeLimit', 'above 0'],
    ],
    [
      'a concurrency of 0',
      'a',
      { concurrency: 0, messages },
      'INVALID_OPTION',
      ['a.concurrency to be a whole number from 1', 'got: 0'],
    ],
    ['a concurrency of text', 'a', { concurrency: '5', messages }, 'INVALID_OPTION', ['a.concurrency', 'got: "5"']],
    ['a limit with a fraction', 'a', { limit: 1.5, messages }, 'INVALID_OPTION', ['a.limit', 'got: 1.5']],
    ['a lease of nothing', 'a', { lease: 0, messages }, 'INVALID_OPTION', ['a.lease', 'above 0']],
    [
      'an unknown lane',
      'a',
      { lanes: ['urgent'], messages },
      'INVALID_OPTION',
      ['a.lanes to be a list of high, normal, low', 'urgent'],
    ],
    ['no lanes', 'a', { lanes: [], messages }, 'INVALID_OPTION', ['a.lanes', 'got: []']],
    [
      'a wrong option of the mailbox',
      'a',
      { mailbox: { maxMessage: 5 }, messages },
      'INVALID_OPTION',
      ['a.mailbox', 'did you mean "maxMessages"?'],
    ],
    ['a mailbox that is no object', 'a', { mailbox: 5, messages }, 'INVALID_OPTION', ['a.mailbox', 'got: 5']],
    ['a mailbox of nothing', 'a', { mailbox: null, messages }, 'INVALID_OPTION', ['a.mailbox', 'got: null']],
    ['a bound of 0', 'a', { mailbox: { maxBytes: 0 }, messages }, 'INVALID_OPTION', ['a.mailbox.maxBytes', 'got: 0']],
    [
      'no attempts',
      'a',
      { retry: { attempts: 0 }, messages },
      'INVALID_OPTION',
      ['a.retry.attempts to be a whole number from 1', 'got: 0'],
    ],
    [
      'attempts as text',
      'a',
      { retry: { attempts: '3x' }, messages },
      'INVALID_OPTION',
      ['a.retry.attempts', 'got: "3x"'],
    ],
    ['a retry rule that is no object', 'a', { retry: 5, messages }, 'INVALID_OPTION', ['a.retry', 'got: 5']],
    ['a retry rule of nothing', 'a', { retry: null, messages }, 'INVALID_OPTION', ['a.retry', 'got: null']],
    ['a retry rule that is true', 'a', { retry: true, messages }, 'INVALID_OPTION', ['a.retry', 'got: true']],
    [
      'a wrong key of a retry rule',
      'a',
      { messages: { m: { retry: { atempts: 3 }, handle() {} } } },
      'INVALID_OPTION',
      ['a.m.retry', 'did you mean "attempts"?'],
    ],
    [
      'a wrong key of a backoff',
      'a',
      { retry: { backoff: { bas: '1s' } }, messages },
      'INVALID_OPTION',
      ['a.retry.backoff', 'did you mean "base"?'],
    ],
    ['a filter of no classes', 'a', { retry: { on: [1] }, messages }, 'INVALID_OPTION', ['a.retry.on', 'got: [1]']],
    ['a description that is no text', 'a', { description: 5, messages }, 'INVALID_OPTION', ['a.description', 'got: 5']],
  ]

  it.each(cases)('with %s says what was expected and what came', (_what, name, options, code, texts) => {
    const error = errorOf(() => define(name, options))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(/^expected /)
    for (const text of texts) expect(error.message).toContain(text)
  })
})

describe('a definition', () => {
  it('has its defaults, and what is nearer to the message is stronger', () => {
    const actor = defineActor('defaults', {
      retry: { attempts: 8 },
      timeLimit: '1m',
      messages: {
        plain: () => {},
        own: { retry: { backoff: { base: '3s', jitter: 0 } }, timeLimit: '2m', handle: () => {} },
        once: { retry: false, handle: () => {} },
      },
    })
    const { messages: specs, lanes, concurrency } = specOf(actor)
    expect({ lanes, concurrency }).toEqual({ lanes: ['high', 'normal', 'low'], concurrency: undefined })
    expect(specs.get('plain')).toMatchObject({
      timeLimitMs: 60_000,
      retry: { attempts: 8, backoff: { baseMs: 1_000 } },
    })
    expect(specs.get('own')).toMatchObject({ timeLimitMs: 120_000, retry: { attempts: 8, backoff: { baseMs: 3_000 } } })
    expect(specs.get('once')?.retry.attempts).toBe(1)
  })

  it('keeps `this` of a handler that is written as a method, also called by a unit test', () => {
    const actor = defineActor('methods', {
      messages: {
        whole: {
          description: 'mine',
          handle() {
            return (this as { description?: string }).description
          },
        },
      },
    })
    expect(actor.whole.handle(null, testContext())).toBe('mine')
  })

  it('may call its messages like members of any object', () => {
    const actor = defineActor('words', {
      messages: { constructor: () => 1, toString: () => 2, hasOwnProperty: () => 3 },
    })
    expect(actor.constructor.message).toBe('constructor')
    expect(actor.toString.message).toBe('toString')
    expect(specOf(actor).messages.size).toBe(3)
  })

  it('cannot be changed, and is known by its mark alone', () => {
    const actor = defineActor('fixed', { messages })
    expect(() => Object.assign(actor, { m: 1 })).toThrow(TypeError)
    expect(isActor(actor)).toBe(true)
    for (const other of [null, undefined, 'fixed', {}, { m: actor.m }, actorRef('fixed')])
      expect(isActor(other)).toBe(false)
    expect(errorOf(() => specOf({ name: 'x' }))).toMatchObject({
      code: 'NOT_AN_ACTOR',
      message: 'expected an actor made by defineActor(…), got: {"name":"x"}',
    })
  })

  it('does not run the schema when its handler is called by a unit test', () => {
    const actor = defineActor('raw', {
      messages: { m: { payload: z.object({ n: z.number() }), handle: ({ n }) => n } },
    })
    expect(actor.m.handle({ n: 3 }, testContext())).toBe(3)
  })
})

describe('a reference without the code', () => {
  it('names messages, the same one each time, and runs none', () => {
    const ref = actorRef<{ m: MessageRef<{ n: number }, void> }>('far')
    expect(ref.m).toBe(ref.m)
    expect(ref.m).toMatchObject({ actor: 'far', message: 'm', spec: undefined })
    expect(ref.m.with({ n: 1 })).toEqual({ ref: ref.m, payload: { n: 1 } })
    const error = errorOf(() => ref.m.handle({ n: 1 }, testContext()))
    expect(error).toBeInstanceOf(ActorError)
    expect(error).toMatchObject({ code: 'NO_CODE' })
  })

  it('refuses names that cannot be, and can be awaited like any value', async () => {
    expect(errorOf(() => actorRef('a.b'))).toMatchObject({ code: 'INVALID_NAME' })
    expect(errorOf(() => actorRef('far')['a b'])).toMatchObject({ code: 'INVALID_NAME' })
    const ref = actorRef('far')
    expect(await Promise.resolve(ref)).toBe(ref)
  })
})
