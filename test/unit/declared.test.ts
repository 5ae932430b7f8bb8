/** Actors that are declared here and run elsewhere: what may be declared, and what is known of them. */
import { declareActor, isActor, type MessageRef } from 'troupe'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'

import { specOf } from '#runtime/actor.js'

const resizer = declareActor('resizer', {
  lease: '10s',
  lanes: ['normal'],
  messages: {
    resize: { payload: z.object({ width: z.number().default(100) }), description: 'Makes it smaller', timeLimit: '1m' },
    anything: {},
  },
})

describe('a declared actor', () => {
  it('is an actor with the options of its mailbox and its messages, and no workers here', () => {
    expect(isActor(resizer)).toBe(true)
    expect(specOf(resizer)).toMatchObject({ name: 'resizer', leaseMs: 10_000, lanes: ['normal'], isElsewhere: true })
    expect(specOf(resizer).messages.get('resize')).toMatchObject({
      timeLimitMs: 60_000,
      description: 'Makes it smaller',
    })
    expect(resizer.resize.spec?.isElsewhere).toBe(true)
  })

  it('types what its messages take by their schemas, before defaults; results are unknown', () => {
    expectTypeOf(resizer.resize).toEqualTypeOf<MessageRef<{ width?: number | undefined }, unknown>>()
    expectTypeOf(resizer.anything).toEqualTypeOf<MessageRef<unknown, unknown>>()
    // @ts-expect-error there is no such message
    expect(resizer.shrink).toBeUndefined()
  })

  it('has no code to call', () => {
    expect(() => resizer.anything.handle({}, {} as never)).toThrow(
      expect.objectContaining({
        code: 'NO_CODE',
        message: expect.stringContaining('runs elsewhere') as string,
      }) as Error,
    )
  })

  it.each([
    ['no name', () => declareActor('a.b', { messages: { c: {} } }), 'INVALID_NAME'],
    ['no messages', () => declareActor('a', { messages: {} }), 'INVALID_OPTION'],
    ['messages that are none', () => declareActor('a', { messages: null as never }), 'INVALID_OPTION'],
    ['a handler', () => declareActor('a', { messages: { b: { handle: () => 1 } as never } }), 'INVALID_OPTION'],
    ['a schema that is none', () => declareActor('a', { messages: { b: { payload: {} as never } } }), 'INVALID_OPTION'],
    [
      'an option of a worker',
      () => declareActor('a', { concurence: 3, messages: { b: {} } } as never),
      'INVALID_OPTION',
    ],
  ])('refuses %s', (_what, declare, code) => {
    expect(declare).toThrow(expect.objectContaining({ code }) as Error)
  })
})
