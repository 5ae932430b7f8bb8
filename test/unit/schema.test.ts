import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'

import { payloadError, validate } from '#runtime/schema.js'
import { Secrets } from '#runtime/secrets.js'

const schemas = {
  zod: z.object({ items: z.array(z.object({ name: z.string() })) }),
  valibot: v.object({ items: v.array(v.object({ name: v.string() })) }),
  arktype: type({ items: type({ name: 'string' }).array() }),
}

const own = (
  check: (value: unknown) => StandardSchemaV1.Result<number> | Promise<StandardSchemaV1.Result<number>>,
): StandardSchemaV1<number> => ({
  '~standard': { version: 1, vendor: 'test', validate: check },
})

describe('payload schemas', () => {
  it.each(Object.entries(schemas))('of %s say what they refuse with its path, at once', (_, schema) => {
    expect(validate(schema, { items: [{ name: 'a' }] })).toEqual({ value: { items: [{ name: 'a' }] } })
    const refused = validate(schema, { items: [{ name: 'a' }, { name: 'b' }, { name: 3 }] })
    expect(refused).toEqual({
      issues: [{ path: 'items[2].name', message: expect.stringMatching(/string/i) as string }],
    })
  })

  it('give the value with defaults and transforms', () => {
    const result = validate(z.object({ day: z.string().default('today'), count: z.coerce.number() }), { count: '3' })
    expect(result).toEqual({ value: { day: 'today', count: 3 } })
    expectTypeOf<Extract<Awaited<typeof result>, { value: unknown }>['value']>().toEqualTypeOf<{
      day: string
      count: number
    }>()
  })

  it('may be asynchronous', async () => {
    const schema = z.string().refine(async (text) => text === 'a', 'must be a')
    const result = validate(schema, 'b')
    expect(result).toBeInstanceOf(Promise)
    expect(await result).toEqual({ issues: [{ path: '', message: 'must be a' }] })
  })

  it('that throw or reject refuse the payload instead', async () => {
    const issues = [{ path: '', message: 'the schema threw: boom' }]
    expect(
      validate(
        own(() => {
          throw new Error('boom')
        }),
        1,
      ),
    ).toEqual({ issues })
    expect(
      await validate(
        own(async () => {
          throw new Error('boom')
        }),
        1,
      ),
    ).toEqual({ issues })
  })

  it('write paths that can be read: odd keys are quoted', () => {
    const path = ['a', { key: 'b c' }, 0, Symbol.iterator]
    const result = validate(
      own(() => ({ issues: [{ message: 'no', path }] })),
      1,
    )
    expect(result).toMatchObject({ issues: [{ path: 'a["b c"][0]["Symbol(Symbol.iterator)"]' }] })
  })

  it('make an error that names the first ten issues and carries all', () => {
    const issues = Array.from({ length: 12 }, (_, index) => ({ path: `items[${index}]`, message: 'wrong' }))
    const error = payloadError('mailer', 'welcome', issues)
    expect(error).toMatchObject({ code: 'INVALID_PAYLOAD', data: { actor: 'mailer', message: 'welcome', issues } })
    expect(error.message).toContain('the schema of mailer.welcome')
    expect(error.message).toContain('items[9]: wrong; and 2 more')
    expect(error.message).not.toContain('items[10]')
  })

  it('make an error that does not tell what came in a field that is a secret', () => {
    const issues = [
      { path: 'login.password', message: 'must be a number (was "hunter2")' },
      { path: 'cards[0].n', message: 'was "4111"' },
    ]
    expect(payloadError('a', 'b', issues).message).toContain('login.password: [hidden]; cards[0].n: was "4111"')
    const own = payloadError('a', 'b', issues, new Secrets(['card']))
    expect(JSON.stringify([own.message, own.data])).not.toMatch(/hunter2|4111/)
  })
})
