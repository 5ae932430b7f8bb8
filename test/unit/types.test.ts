/** What is inferred from a definition. The compiler is the judge (`npm run types`); at run time only the harmless parts run. */
import { type } from 'arktype'
import {
  actorRef,
  dead,
  defineActor,
  resource,
  retry,
  snooze,
  type Context,
  type Fate,
  type MessageRef,
  type Sent,
  type Troupe,
  type DeadVerdict,
  type RetryVerdict,
  type SnoozeVerdict,
} from 'troupe'
import { testContext } from 'troupe/testing'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'

export const mailer = defineActor('mailer', {
  concurrency: 50,
  retry: { attempts: 8, backoff: { base: '2s', factor: 2, max: '1h', jitter: 0.3 } },
  messages: {
    welcome: {
      payload: z.object({ to: z.email(), name: z.string().default('you') }),
      timeLimit: '30s',
      async handle(payload, ctx) {
        expectTypeOf(payload).toEqualTypeOf<{ to: string; name: string }>()
        expectTypeOf(ctx).toEqualTypeOf<Context>()
        return { sentAt: ctx.now() }
      },
    },
    valibot: {
      payload: v.object({ day: v.string(), at: v.optional(v.pipe(v.string(), v.transform(Number)), '1') }),
      handle(payload) {
        expectTypeOf(payload).toEqualTypeOf<{ day: string; at: number }>()
        return payload.at
      },
    },
    arktype: {
      payload: type({ id: 'string', 'size?': 'number' }),
      handle: (payload, ctx) => {
        expectTypeOf(payload.id).toEqualTypeOf<string>()
        expectTypeOf(payload.size).toEqualTypeOf<number | undefined>()
        expectTypeOf(ctx).toEqualTypeOf<Context>()
        return [payload.id]
      },
    },
    digest: async (payload: { day: string }, ctx) => {
      expectTypeOf(ctx).toEqualTypeOf<Context>()
      return payload.day.length
    },
    plain: {
      retry: false,
      handle(payload: { n: number }, ctx) {
        expectTypeOf(ctx).toEqualTypeOf<Context>()
        return payload.n > 0
      },
    },
    nothing: () => {},
    untyped: (payload, ctx) => {
      expectTypeOf(payload).toEqualTypeOf<unknown>()
      expectTypeOf(ctx).toEqualTypeOf<Context>()
      return 'x' as const
    },
    moody: async (payload: { mood: number }) => {
      if (payload.mood === 0) return retry({ after: '1m', reason: 'later' })
      if (payload.mood === 1) return snooze('1h')
      if (payload.mood === 2) return dead('never')
      return { mood: payload.mood }
    },
    onlyVerdicts: () => snooze('1s'),
  },
})

declare const troupe: Troupe

/** Compiled, never called. */
const compiled = (code: () => unknown): void => expect(code).toBeTypeOf('function')

describe('payloads', () => {
  it('are what goes into the schema, for a sender', () => {
    expectTypeOf(mailer.welcome).toExtend<
      MessageRef<{ to: string; name?: string | undefined }, Promise<{ sentAt: Date }>>
    >()
    expectTypeOf<Parameters<typeof mailer.welcome.with>[0]>().toEqualTypeOf<{ to: string; name?: string | undefined }>()
    expectTypeOf<Parameters<typeof mailer.valibot.with>[0]>().toEqualTypeOf<{ day: string; at?: string | undefined }>()
    expectTypeOf<Parameters<typeof mailer.arktype.with>[0]>().toEqualTypeOf<{ id: string; size?: number }>()
  })

  it('are what the handler takes, without a schema', () => {
    expectTypeOf<Parameters<typeof mailer.digest.with>[0]>().toEqualTypeOf<{ day: string }>()
    expectTypeOf<Parameters<typeof mailer.plain.with>[0]>().toEqualTypeOf<{ n: number }>()
    expectTypeOf<Parameters<typeof mailer.untyped.with>[0]>().toEqualTypeOf<unknown>()
    expectTypeOf<Parameters<typeof mailer.nothing.with>[0]>().toEqualTypeOf<unknown>()
  })

  it('that are wrong do not compile', () => {
    compiled(async () => {
      // @ts-expect-error -- a number is no address
      await troupe.send(mailer.welcome, { to: 1 })
      // @ts-expect-error -- `to` is missing
      await troupe.send(mailer.welcome, { name: 'x' })
      // @ts-expect-error -- no such field
      await troupe.send(mailer.welcome, { to: 'a@b.c', nmae: 'x' })
      // @ts-expect-error -- the schema makes a number of text: the sender gives text
      await troupe.send(mailer.valibot, { day: 'x', at: 1 })
      // @ts-expect-error -- the short form
      await troupe.ask(mailer.digest, { day: 1 })
      // @ts-expect-error -- a list of payloads, one of them wrong
      await troupe.sendMany(mailer.digest, [{ day: 'x' }, { day: 2 }])
      // @ts-expect-error -- anything at all
      await troupe.send(mailer.digest, JSON.parse('{}') as unknown)
      // @ts-expect-error -- less than is needed
      await troupe.ask(mailer.digest, {} as { day?: string })
      // @ts-expect-error -- live calls
      await troupe.call(mailer.plain, { n: 'x' })
      // @ts-expect-error -- broadcasts
      await troupe.broadcast(mailer.plain, {})
      // @ts-expect-error -- bound
      mailer.plain.with({ n: 'x' })
      // @ts-expect-error -- no such message
      await troupe.send(mailer.welcom, { to: 'a@b.c' })
      // @ts-expect-error -- no such option
      await troupe.send(mailer.digest, { day: 'x' }, { dealy: '1s' })
    })
  })
})

describe('results', () => {
  it('are what handlers return, awaited', () => {
    compiled(async () => {
      expectTypeOf(await troupe.send(mailer.welcome, { to: 'a@b.c' })).toEqualTypeOf<Sent<{ sentAt: Date }>>()
      expectTypeOf(await (await troupe.send(mailer.digest, { day: 'x' })).result()).toEqualTypeOf<number>()
      expectTypeOf(await troupe.ask(mailer.valibot, { day: 'x' })).toEqualTypeOf<number>()
      expectTypeOf(await troupe.ask(mailer.arktype, { id: 'x' })).toEqualTypeOf<string[]>()
      expectTypeOf(await troupe.call(mailer.plain, { n: 1 })).toEqualTypeOf<boolean>()
      expectTypeOf(await troupe.ask(mailer.nothing, null)).toEqualTypeOf<void>()
      expectTypeOf(await troupe.ask(mailer.untyped, 1)).toEqualTypeOf<'x'>()
      expectTypeOf(await troupe.sendMany(mailer.digest, [{ day: 'x' }])).toEqualTypeOf<Fate<number>[]>()
      expectTypeOf(await troupe.sendBound(mailer.digest.with({ day: 'x' }))).toEqualTypeOf<Sent<number>>()
    })
  })

  it('leave out retry, snooze and dead', () => {
    compiled(async () => {
      expectTypeOf(await troupe.ask(mailer.moody, { mood: 3 })).toEqualTypeOf<{ mood: number }>()
      expectTypeOf(await troupe.ask(mailer.onlyVerdicts, null)).toEqualTypeOf<never>()
    })
  })

  it('of a handler that is called in a unit test are its own, verdicts too', async () => {
    const ran = mailer.moody.handle({ mood: 3 }, testContext())
    expectTypeOf(ran).toEqualTypeOf<Promise<{ mood: number } | RetryVerdict | SnoozeVerdict | DeadVerdict>>()
    expect(await ran).toEqual({ mood: 3 })
    expectTypeOf(mailer.plain.handle({ n: 1 }, testContext())).toEqualTypeOf<boolean>()
    expectTypeOf(mailer.valibot.handle({ day: 'x', at: 7 }, testContext())).toEqualTypeOf<number>()
  })
})

describe('a context', () => {
  it('sends and asks with the same types', () => {
    compiled(async () => {
      const ctx = testContext()
      expectTypeOf(await ctx.ask(mailer.digest, { day: 'x' })).toEqualTypeOf<number>()
      expectTypeOf(await ctx.send(mailer.digest, { day: 'x' })).toEqualTypeOf<Sent<number>>()
      // @ts-expect-error -- a wrong payload
      await ctx.send(mailer.digest, { day: 1 })
      // @ts-expect-error -- a wrong payload
      await ctx.ask(mailer.welcome, {})
    })
  })
})

/** An actor that sends to itself: its handler says what it returns, since TypeScript cannot infer a thing from itself. */
const loop = defineActor('loop', {
  messages: {
    inner: (payload: { n: number }) => payload.n,
    outer: async (payload: { n: number }, ctx): Promise<number> => ctx.ask(loop.inner, payload),
  },
})

describe('an actor that refers to itself', () => {
  it('is typed where the handler that does so says what it returns', () => {
    expectTypeOf<Parameters<typeof loop.outer.with>[0]>().toEqualTypeOf<{ n: number }>()
    expectTypeOf(loop.outer.handle({ n: 1 }, testContext({ answers: { 'loop.inner': 1 } }))).toEqualTypeOf<
      Promise<number>
    >()
  })
})

describe('a reference without the code', () => {
  it('has the types of the definition that it names', () => {
    // oxlint-disable-next-line typescript/consistent-type-imports -- exactly what a sender without the code writes
    const ref = actorRef<typeof import('./types.test.ts').mailer>('mailer')
    expectTypeOf(ref.welcome).toEqualTypeOf<typeof mailer.welcome>()
    compiled(async () => {
      expectTypeOf(await troupe.ask(ref.digest, { day: 'x' })).toEqualTypeOf<number>()
      // @ts-expect-error -- a wrong payload
      await troupe.send(ref.digest, { day: 1 })
      // @ts-expect-error -- no such message
      await troupe.send(ref.digets, { day: 'x' })
    })
    expect(ref.welcome.actor).toBe('mailer')
  })

  it('takes anything where no definition is named', () => {
    const ref = actorRef('mailer')
    compiled(async () => {
      const message = ref['anything']
      if (message !== undefined) expectTypeOf(await troupe.ask(message, { a: 1 })).toEqualTypeOf<unknown>()
    })
    expect(ref['anything']?.message).toBe('anything')
  })
})

describe('a definition', () => {
  it('with a wrong option, handler or schema does not compile', () => {
    compiled(() => {
      // @ts-expect-error -- no such option
      defineActor('a', { concurency: 3, messages: { m: () => {} } })
      // @ts-expect-error -- a number
      defineActor('a', { concurrency: 'many', messages: { m: () => {} } })
      // @ts-expect-error -- no messages
      defineActor('a', { concurrency: 1 })
      // @ts-expect-error -- no handler
      defineActor('a', { messages: { m: { timeLimit: '1s' } } })
      // @ts-expect-error -- no such lane
      defineActor('a', { lanes: ['urgent'], messages: { m: () => {} } })
      // @ts-expect-error -- no handler either
      defineActor('a', { messages: { m: 42 } })
      const payload = z.object({ a: z.string() })
      // @ts-expect-error -- the handler wants what its schema does not give
      defineActor('a', { messages: { m: { payload, handle: (given: { a: number }) => given.a } } })
      // @ts-expect-error -- no schema
      defineActor('a', { messages: { m: { payload: { a: 'string' }, handle: () => 1 } } })
      // @ts-expect-error -- no such option of a message
      defineActor('a', { messages: { m: { timelimit: '1s', handle: () => 1 } } })
    })
  })
})

const db = resource({ open: async () => ({ query: (sql: string) => sql.length }), close: (pool) => void pool.query })
const numbers = resource({ open: () => [1, 2, 3] })

const withResources = defineActor('withResources', {
  resources: { db, numbers },
  onStart(worker) {
    expectTypeOf(worker.resources.db.query).returns.toEqualTypeOf<number>()
    expectTypeOf(worker.resources).toEqualTypeOf<{
      readonly db: { query: (sql: string) => number }
      readonly numbers: number[]
    }>()
  },
  messages: {
    short: async (payload: { sql: string }, ctx) => {
      expectTypeOf(ctx.resources.numbers).toEqualTypeOf<number[]>()
      expectTypeOf<keyof typeof ctx.resources>().toEqualTypeOf<'db' | 'numbers'>()
      return ctx.resources.db.query(payload.sql)
    },
    long: {
      payload: z.object({ sql: z.string() }),
      handle(payload, ctx) {
        expectTypeOf(payload).toEqualTypeOf<{ sql: string }>()
        expectTypeOf(ctx).toEqualTypeOf<
          Context<{ readonly db: { query: (sql: string) => number }; readonly numbers: number[] }>
        >()
        return `${ctx.resources.db.query(payload.sql)}`
      },
    },
    /** A function that was written for any actor. */
    any: takesAnyContext,
  },
})

function takesAnyContext(payload: { n: number }, ctx: Context): string {
  return `${ctx.id} ${payload.n}`
}

describe('resources', () => {
  it('are typed in handlers and hooks by what opens them, beside payloads and results', async () => {
    expectTypeOf<Parameters<typeof withResources.short.with>[0]>().toEqualTypeOf<{ sql: string }>()
    expectTypeOf<Parameters<typeof withResources.any.with>[0]>().toEqualTypeOf<{ n: number }>()
    compiled(async () => {
      expectTypeOf(await troupe.ask(withResources.short, { sql: 'x' })).toEqualTypeOf<number>()
      expectTypeOf(await troupe.ask(withResources.long, { sql: 'x' })).toEqualTypeOf<string>()
      // @ts-expect-error -- no resource
      defineActor('a', { resources: { db: 1 }, messages: { m: () => {} } })
      // @ts-expect-error -- no such option
      resource({ open: () => 1, clsoe: () => {} })
      // @ts-expect-error -- closes something else than it opens
      resource({ open: () => 1, close: (value: string) => value.length })
    })
    const ctx = testContext({ resources: { db: { query: () => 7 }, numbers: [] } })
    expect(await withResources.short.handle({ sql: 'x' }, ctx)).toBe(7)
    expect(() => withResources.long.handle({ sql: 'x' }, testContext())).toThrow(
      'expected the resource db, got none: give it as testContext({ resources: { db: … } })',
    )
  })
})
