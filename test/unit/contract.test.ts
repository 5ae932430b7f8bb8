/** Contracts as data: JSON Schemas of every library, their types in text, and the AsyncAPI document by AsyncAPI's own schema. */
import { createRequire } from 'node:module'

import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { type } from 'arktype'
import { defineActor } from 'troupe'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { specOf } from '#runtime/actor.js'
import { asyncapiOf } from '#runtime/contract/asyncapi.js'
import { contractOf, type Contract } from '#runtime/contract/contract.js'
import { schemaType } from '#runtime/contract/schemaType.js'
import { typescriptOf } from '#runtime/contract/typescript.js'
import { jsonSchemaOf, type JsonSchema, type SchemaText } from '#runtime/jsonSchema.js'

const require = createRequire(import.meta.url)

describe('the JSON Schema of a payload', () => {
  const object = { type: 'object', properties: { to: { type: 'string' } }, required: ['to'] }

  it.each([
    ['zod', z.object({ to: z.string() })],
    ['arktype', type({ to: 'string' })],
    ['valibot, wrapped by its converter', toStandardJsonSchema(v.object({ to: v.string() }))],
    ['valibot, whose converter the project has', v.object({ to: v.string() })],
  ])('comes from %s', async (_name, schema) => {
    expect((await jsonSchemaOf(schema, 'draft-2020-12')).schema).toMatchObject(object)
    expect((await jsonSchemaOf(schema, 'draft-07')).schema?.['$schema']).toContain('draft-07')
  })

  it('is what a sender writes, before defaults and transforms', async () => {
    const schema = z.object({ n: z.number().default(3), on: z.string().transform(Number) })
    expect((await jsonSchemaOf(schema, 'draft-07')).schema).toMatchObject({
      properties: { n: { type: 'number', default: 3 }, on: { type: 'string' } },
      required: ['on'],
    })
  })

  it('lets through what JSON has no form for, rather than being missing', async () => {
    const { schema } = await jsonSchemaOf(z.object({ to: z.string(), at: z.date() }), 'draft-07')
    expect(schema).toMatchObject({ properties: { to: { type: 'string' }, at: {} } })
  })

  it('says why there is none', async () => {
    const plain = { '~standard': { version: 1, vendor: 'own', validate: (value: unknown) => ({ value }) } } as const
    expect(await jsonSchemaOf(undefined, 'draft-07')).toEqual({ missing: 'the message declares no schema' })
    expect(await jsonSchemaOf(plain, 'draft-07')).toEqual({ missing: 'own has no Standard JSON Schema' })
    expect((await jsonSchemaOf(v.string(), 'draft-07', '/')).missing).toContain('@valibot/to-json-schema')
    const throws = (): never => {
      throw new Error('not today')
    }
    const broken = { '~standard': { ...plain['~standard'], jsonSchema: { input: throws, output: throws } } }
    expect(await jsonSchemaOf(broken, 'draft-07')).toEqual({ missing: 'not today' })
  })
})

describe('a JSON Schema as a type', () => {
  const table: [JsonSchema | boolean, string][] = [
    [true, 'unknown'],
    [false, 'never'],
    [{}, 'unknown'],
    [{ type: 'integer' }, 'number'],
    [{ type: ['string', 'null'] }, 'string | null'],
    [{ type: 'nonsense' }, 'unknown'],
    [{ const: 'a"b' }, '"a\\"b"'],
    [{ enum: ['a', 1, null] }, '"a" | 1 | null'],
    [{ type: 'array' }, 'unknown[]'],
    [{ type: 'array', items: { type: ['string', 'null'] } }, '(string | null)[]'],
    [{ type: 'array', prefixItems: [{ type: 'string' }], items: false }, '[string]'],
    [
      { type: 'array', items: [{ type: 'string' }, { type: 'number' }], minItems: 1 },
      '[string, number?, ...unknown[]]',
    ],
    [{ type: 'object' }, 'Record<string, unknown>'],
    [{ properties: { a: { type: 'string' }, 'b-c': true }, required: ['a'] }, '{ a: string; "b-c"?: unknown }'],
    [{ type: 'object', additionalProperties: { type: 'number' } }, '{ [key: string]: number }'],
    [
      { type: 'object', properties: { a: { type: 'string' } }, additionalProperties: { type: 'number' } },
      '{ a?: string; [key: string]: unknown }',
    ],
    [{ anyOf: [{ type: 'string' }, { type: 'number' }] }, 'string | number'],
    [{ anyOf: [{ type: 'string' }, {}] }, 'unknown'],
    [{ allOf: [{ anyOf: [{ const: 1 }, { const: 2 }] }, { type: 'number' }] }, '(1 | 2) & number'],
    [
      { type: 'object', properties: { a: { description: 'ends */ here', type: 'null' } } },
      '{ /** ends *\\/ here */ a?: null }',
    ],
    [{ $ref: '#/$defs/other' }, 'Other'],
    [{ $ref: 'https://example.com/x' }, 'unknown'],
  ]
  it.each(table)('%j is %s', (schema, text) => {
    expect(schemaType(schema, (pointer) => (pointer === '#/$defs/other' ? 'Other' : undefined))).toBe(text)
  })
})

const tree = z.object({
  name: z.string(),
  get children() {
    return z.array(tree)
  },
})

const mailer = defineActor('mailer', {
  description: 'Sends mail',
  lanes: ['high', 'normal'],
  limit: 3,
  concurrency: 2,
  mailbox: { maxMessages: 50 },
  messages: {
    welcome: {
      description: 'Welcomes somebody',
      payload: z.object({ to: z.email(), at: z.union([z.string(), z.tuple([z.number(), z.number()])]).optional() }),
      timeLimit: '1m',
      retry: { attempts: 3, backoff: { base: '2s' } },
      handle: async () => 'sent',
    },
    // A message may be called like one of our own channels.
    cancel: { payload: tree, handle: async () => {} },
    plain: async () => {},
  },
})

const settings = {
  namespace: 'shop',
  application: { name: 'shop', version: '1.2.0' },
  concurrency: 10,
  leaseMs: 30_000,
  dedupeWindowMs: 120_000,
  timeLimitMs: 300_000,
}

async function made(draft: 'draft-07' | 'draft-2020-12', actors = [mailer]): Promise<Contract> {
  const specs = actors.map((actor) => specOf(actor))
  const schemas = new Map<string, SchemaText>()
  for (const spec of specs)
    for (const message of spec.messages.values())
      schemas.set(`${spec.name}.${message.name}`, await jsonSchemaOf(message.schema, draft))
  return contractOf(
    specs,
    settings,
    (actor, message) => schemas.get(`${actor}.${message}`) ?? { missing: 'nobody knows' },
  )
}

describe('a contract', () => {
  it('has subjects, lanes and limits, those of the definition before the defaults', async () => {
    const { actors, namespace } = await made('draft-2020-12')
    expect(namespace).toBe('shop')
    expect(JSON.parse(JSON.stringify(actors[0]))).toMatchObject({
      name: 'mailer',
      stream: 'shop-mailbox-mailer',
      service: 'shop-mailer',
      lanes: ['high', 'normal'],
      limits: { concurrency: 2, runningAtOnce: 3, leaseMs: 30_000, dedupeWindowMs: 120_000, maxMessages: 50 },
      subjects: { cancel: 'shop.cancel.mailer', dead: 'shop.dead.mailer.{message}.{id}' },
      messages: [
        {
          name: 'welcome',
          description: 'Welcomes somebody',
          payload: { required: ['to'] },
          timeLimitMs: 60_000,
          retry: { attempts: 3, baseMs: 2_000 },
          subjects: {
            high: 'shop.high.mailer.welcome',
            normal: 'shop.do.mailer.welcome',
            later: 'shop.later.mailer.welcome',
            call: 'shop.call.mailer.welcome',
            broadcast: 'shop.all.mailer.welcome',
          },
        },
        { name: 'cancel' },
        { name: 'plain', payloadMissing: 'the message declares no schema', timeLimitMs: 300_000 },
      ],
    })
    expect(actors[0]?.messages[0]?.subjects.low).toBeUndefined()
  })

  it('as TypeScript gives each type a name of its own', async () => {
    const other = defineActor('a-b', { messages: { c: { payload: tree, handle: async () => {} } } })
    const same = defineActor('a_b', { messages: { c: { payload: z.string(), handle: async () => {} } } })
    const text = typescriptOf(await made('draft-2020-12', [other, same] as never))
    expect(text).toContain('export interface AB {')
    expect(text).toContain('export interface AB2 {')
    expect(text).toContain('export type ABC = { name: string; children: ABC[] }')
    expect(text).toContain('export type AB2C = string')
  })
})

describe('as AsyncAPI', () => {
  const validator = (): ValidateFunction => {
    const ajv = new Ajv({ strict: false, allErrors: true, logger: false })
    addFormats.default(ajv)
    return ajv.compile(require('@asyncapi/specs/schemas/3.0.0-without-$id.json') as JsonSchema)
  }

  it('a contract is valid by the official schema of AsyncAPI 3', async () => {
    const validate = validator()
    const document = asyncapiOf(await made('draft-07'))
    validate(document)
    expect(validate.errors ?? []).toEqual([])
    expect(validate({ ...document, channels: 7 })).toBe(false)
  })

  it('every reference leads somewhere, those inside of a payload too', async () => {
    const document = JSON.parse(JSON.stringify(asyncapiOf(await made('draft-07')))) as JsonSchema
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, pointer = '']) => pointer)
    expect(refs).toContain('#/components/schemas/mailer.cancel')
    expect(refs.length).toBeGreaterThan(30)
    const lost = refs.filter((pointer) => at(document, pointer) === undefined)
    expect(lost).toEqual([])
  })

  it('a message that is called like one of our channels has its own beside it', async () => {
    const { channels } = asyncapiOf(await made('draft-07')) as { channels: Record<string, { address: string }> }
    expect(channels['mailer.cancel']?.address).toBe('shop.do.mailer.cancel')
    expect(channels['mailer._cancel']?.address).toBe('shop.cancel.mailer')
  })
})

function at(document: unknown, pointer: string): unknown {
  return pointer
    .slice(2)
    .split('/')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], document)
}
