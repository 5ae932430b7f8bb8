import { AbortedError, ConfigError, defineActor, PayloadError } from 'troupe'
import { manualClock, testContext } from 'troupe/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

const render = defineActor('render', {
  messages: {
    pdf: { payload: z.object({ pages: z.number().int() }), handle: ({ pages }) => `${pages} pages` },
  },
})

const mailer = defineActor('mailer', {
  messages: {
    welcome: {
      payload: z.object({ to: z.string() }),
      async handle({ to }, ctx) {
        ctx.progress('begun')
        ctx.log.child({ to }).info('sending')
        const pdf = await ctx.ask(render.pdf, { pages: 2 }, { timeout: '5s' })
        await ctx.send(render.pdf, { pages: 3 }, { delay: '1h' })
        return { pdf, sentAt: ctx.now() }
      },
    },
    wait: (_: null, ctx) =>
      new Promise<never>((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error))),
    wrong: (_: null, ctx) => ctx.send(render.pdf, { pages: 1.5 }),
    raw: (_: null, ctx) => ctx.connection.getServer(),
  },
})

const welcomeWith = (answers: Record<string, unknown>): Promise<unknown> =>
  mailer.welcome.handle({ to: 'a@b.c' }, testContext({ answers }))

describe('a test context', () => {
  it('records what a handler sends, asks, tells and logs', async () => {
    const ctx = testContext({
      id: 'm1',
      actor: 'mailer',
      message: 'welcome',
      now: '2027-03-28T01:00:00Z',
      answers: { 'render.pdf': 'a pdf' },
    })
    const result = await mailer.welcome.handle({ to: 'a@b.c' }, ctx)
    expect(result).toEqual({ pdf: 'a pdf', sentAt: new Date('2027-03-28T01:00:00Z') })
    expect(ctx.recorded.sent).toMatchObject([
      { kind: 'ask', actor: 'render', message: 'pdf', payload: { pages: 2 }, options: { timeout: '5s' } },
      { kind: 'send', actor: 'render', message: 'pdf', payload: { pages: 3 }, options: { delay: '1h' } },
    ])
    expect(ctx.recorded.progress).toEqual(['begun'])
    expect(ctx.recorded.log).toEqual([
      {
        level: 'info',
        message: 'sending',
        fields: { actor: 'mailer', message: 'welcome', id: 'm1', attempt: 1, to: 'a@b.c' },
      },
    ])
  })

  it('answers by function and by error, and says how to answer what is not listed', async () => {
    await expect(welcomeWith({ 'render.pdf': ({ pages }: { pages: number }) => pages * 2 })).resolves.toMatchObject({
      pdf: 4,
    })
    const broken = new Error('no printer')
    await expect(welcomeWith({ 'render.pdf': broken })).rejects.toBe(broken)
    const error: unknown = await welcomeWith({}).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as Error).message).toContain('testContext({ answers: { "render.pdf": … } })')
  })

  it('refuses what the real send refuses', async () => {
    await expect(mailer.wrong.handle(null, testContext())).rejects.toThrow(PayloadError)
    const { send } = testContext()
    await expect(send(render.pdf, { pages: 1 }, { dealy: 1 } as never)).rejects.toThrow('did you mean "delay"')
  })

  it('sends messages whose result is answered and whose cancel meets nothing', async () => {
    const ctx = testContext({ answers: { 'render.pdf': 'kept' } })
    const sent = await ctx.send(render.pdf, { pages: 1 }, { id: 'p1', keep: '1h' })
    expect(sent).toMatchObject({ id: 'p1', actor: 'render', message: 'pdf', duplicate: false })
    expect(await sent.result()).toBe('kept')
    expect(await sent.cancel()).toEqual({ was: 'unknown' })
  })

  it('aborts by hand with the reasons of the runtime, the first one stands', async () => {
    const ctx = testContext()
    const run = mailer.wait.handle(null, ctx)
    ctx.abort('shutdown')
    ctx.abort('cancelled')
    await expect(run).rejects.toMatchObject({ code: 'SHUTDOWN', why: 'shutdown' })
    expect(ctx.stopping).toBe(true)
    const own = new Error('own')
    const other = testContext()
    other.abort(own)
    expect(other.signal.reason).toBe(own)
    expect(other.stopping).toBe(false)
  })

  it('reaches its time limit when the clock is moved so far', async () => {
    const ctx = testContext({ timeLimit: '30s' })
    const run = mailer.wait.handle(null, ctx)
    await ctx.clock.advance(29_999)
    expect(ctx.remaining()).toBe(1)
    expect(ctx.signal.aborted).toBe(false)
    const limited = expect(run).rejects.toBeInstanceOf(AbortedError)
    await ctx.clock.advance(1)
    await limited
    expect(ctx.remaining()).toBe(0)
    expect(ctx.signal.reason).toMatchObject({ code: 'TIME_LIMIT' })
  })

  it('has a sound default for everything, and takes any part from the test', async () => {
    const plain = testContext()
    expect(plain).toMatchObject({
      attempt: 1,
      root: plain.id,
      headers: {},
      parent: undefined,
      planned: undefined,
      schedule: undefined,
      stopping: false,
    })
    const clock = manualClock(5_000)
    const planned = new Date(4_000)
    const ctx = testContext({
      id: 'x',
      attempt: 3,
      headers: { a: 'b' },
      root: 'r',
      parent: 'p',
      planned,
      schedule: { id: 's', planned },
      worker: 'w',
      stopping: true,
      clock,
    })
    expect(ctx).toMatchObject({
      id: 'x',
      attempt: 3,
      headers: { a: 'b' },
      root: 'r',
      parent: 'p',
      planned,
      schedule: { id: 's', planned, by: 'rule' },
      worker: 'w',
      stopping: true,
    })
    await clock.advance(1_000)
    expect(ctx.now()).toEqual(new Date(6_000))
    expect(() => mailer.raw.handle(null, testContext())).toThrow(/testContext\(\{ connection \}\)/)
  })
})
