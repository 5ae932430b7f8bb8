/** One conformance suite for the three places where handlers run: what a handler has and does is the same in each. */
import type { Logger } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { eventually, rejection, testBundle, type Bundle } from '../kit/system.ts'
import { echo, here, inlineBox, processBox, threadBox } from './fixtures/kinds.ts'

type LogFields = NonNullable<Parameters<Logger['info']>[1]>

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: LogFields
}

function recorder(lines: Line[], own: LogFields = {}): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields: { ...own, ...fields } })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => recorder(lines, { ...own, ...fields }),
  }
}

function readyIn(t: Bundle, actor: string): number {
  const members = t.system.hosted.get(actor)?.members ?? []
  return members.filter(({ state }) => state === 'ready').length
}

describe.each([
  ['inline', inlineBox],
  ['thread', threadBox],
  ['process', processBox],
] as const)('a handler that runs %s', (kind, box) => {
  const lines: Line[] = []
  const seen: { payload: unknown; result: unknown }[] = []
  let t: Bundle
  beforeAll(async () => {
    t = await testBundle({
      actors: [echo, box],
      events: 'all',
      logger: recorder(lines),
      middleware: [
        async (payload, ctx, next) => {
          const result = await next(payload)
          if (ctx.message === 'echo') seen.push({ payload, result })
          return result
        },
      ],
    })
  })
  afterAll(() => t[Symbol.asyncDispose]())

  it('runs where its actor says', async () => {
    const [pid, thread] = (await t.troupe.ask(box.where, {})).split('/')
    expect(pid === String(process.pid)).toBe(kind !== 'process')
    expect(await t.troupe.ask(box.where, {})).toMatch(/^\d+\/\d+$/)
    expect(`${pid}/${thread}` === here()).toBe(kind === 'inline')
  })

  it('has the resources of its actor, opened where it runs, after onStart', async () => {
    const { opened, hooks, here: where } = await t.troupe.ask(box.resources, {})
    expect(opened).toBe(where)
    expect(hooks).toEqual([`${box.where.actor} in ${t.system.name}/${box.where.actor}`])
  })

  it('has the whole context of its message', async () => {
    const before = Date.now()
    const options = { id: 'context-1', headers: { 'X-Own': 'yes' } }
    const ctx = await t.troupe.ask(box.context, {}, options)
    expect(ctx).toMatchObject({
      id: 'context-1',
      actor: box.context.actor,
      message: 'context',
      attempt: 1,
      root: 'context-1',
      stopping: false,
      aborted: false,
      worker: `${t.system.name}/${box.context.actor}`,
      headers: { 'X-Own': 'yes', 'Nats-Msg-Id': 'context-1' },
    })
    expect(ctx.parent).toBeUndefined()
    expect(ctx.schedule).toBeUndefined()
    expect(ctx.planned).toBeUndefined()
    expect(Math.abs(ctx.now - before)).toBeLessThan(10_000)
    expect(Math.abs(ctx.sent - before)).toBeLessThan(10_000)
    expect(ctx.remaining).toBeGreaterThan(290_000)
    expect(ctx.remaining).toBeLessThanOrEqual(300_000)
  })

  it('knows when it was to be sent', async () => {
    const at = new Date(Date.now() + 50)
    expect((await t.troupe.ask(box.context, {}, { at })).planned).toBe(at.getTime())
  })

  it('is given and gives back all that its format carries', async () => {
    const value = {
      text: 'a',
      date: new Date(0),
      map: new Map([[1, new Set(['x'])]]),
      big: 2n ** 60n,
      bytes: new Uint8Array([1, 2, 3]),
      nothing: null,
      deep: [{ a: [1.5, true] }],
    }
    expect(await t.troupe.ask(box.echo, value, { format: 'msgpack' })).toEqual(value)
    expect(await t.troupe.ask(box.echo, { a: ['ü', 1], ['__proto__']: 1 })).toEqual({ a: ['ü', 1], ['__proto__']: 1 })
    expect(seen[0]).toEqual({ payload: value, result: value })
  })

  it('gives a result that says itself how it is written, as its receiver gets it', async () => {
    expect(await t.troupe.ask(box.money, {})).toEqual({ price: '12.5 EUR' })
    expect(await t.troupe.ask(box.money, {}, { format: 'msgpack' })).toEqual({ price: '12.5 EUR' })
  })

  it('is done where its result has no form: only that is told', async () => {
    const error = await rejection(t.troupe.ask(box.untold, {}, { id: 'untold' }))
    expect(error['code']).toBe('UNENCODABLE')
    await t.events.wait('done', { where: ({ id }) => id === 'untold' })
  })

  it('fails with its own error, is retried, and is done at last', async () => {
    expect(await t.troupe.ask(box.fail, { until: 3 }, { id: 'fail' })).toBe(3)
    const retries = t.events.of('retry').filter(({ id }) => id === 'fail')
    expect(retries.map(({ failure }) => failure)).toEqual([
      { name: 'Busy', message: 'not yet', code: 'BUSY', attempts: 1 },
      { name: 'Busy', message: 'not yet', code: 'BUSY', attempts: 2 },
    ])
  })

  it('dies with its own error, and its dead letter has the stack', async () => {
    const error = await rejection(t.troupe.ask(box.fail, { until: 9 }, { id: 'dies' }))
    expect(error).toMatchObject({ code: 'DEAD', failure: { name: 'Busy', code: 'BUSY', attempts: 3 } })
    const letter = await t.troupe.dead.show('dies', { actor: box.fail.actor })
    expect(letter.stack).toContain('fixtures/kinds.ts')
    expect(letter.reason).toBe('failed')
  })

  it('is not retried after an error of a class that its rule excepts', async () => {
    const error = await rejection(t.troupe.ask(box.refuse, {}, { id: 'refused' }))
    expect(error).toMatchObject({ code: 'DEAD', failure: { name: 'Refused', attempts: 1 } })
  })

  it('may throw what is no error', async () => {
    const error = await rejection(t.troupe.ask(box.throwText, {}, { retry: { attempts: 1 } }))
    expect(error).toMatchObject({ failure: { name: 'Error', message: 'just text' } })
  })

  it('chooses its outcome: retry, snooze, dead', async () => {
    expect(await t.troupe.ask(box.retry, {}, { id: 'retry' })).toBe(2)
    expect(t.events.of('retry').find(({ id }) => id === 'retry')?.failure.message).toBe('not yet')
    expect(await t.troupe.ask(box.snooze, {}, { id: 'snooze' })).toBe(1)
    expect(t.events.of('snooze').find(({ id }) => id === 'snooze')).toBeDefined()
    const error = await rejection(t.troupe.ask(box.dead, {}))
    expect(error).toMatchObject({ code: 'DEAD', failure: { message: 'as asked' } })
  })

  it('is told by its signal that it is cancelled, with the reason', async () => {
    const sent = await t.troupe.send(box.wait, {}, { id: 'cancel-me' })
    await t.events.wait('progress', { where: ({ id, value }) => id === 'cancel-me' && value === 'waiting' })
    expect(await sent.cancel({ reason: 'enough' })).toEqual({ was: 'running' })
    const told = await t.events.wait('progress', { where: ({ id }) => id === 'cancel-me', count: 2 })
    expect(told.value).toEqual({ why: 'cancelled', code: 'CANCELLED', message: 'enough', stopping: false })
    expect((await t.events.wait('cancelled', { where: ({ id }) => id === 'cancel-me' })).reason).toBe('enough')
  })

  it('is told by its signal that its time is over', async () => {
    const error = await rejection(t.troupe.ask(box.limited, {}))
    expect(error).toMatchObject({ code: 'DEAD', failure: { name: 'AbortedError', code: 'TIME_LIMIT' } })
  })

  it('tells its progress, as JSON says it', async () => {
    await t.troupe.ask(box.progress, { done: 0.5 }, { id: 'progress' })
    const told = t.events.of('progress').filter(({ id }) => id === 'progress')
    expect(told.map(({ value }) => JSON.parse(JSON.stringify(value)) as unknown)).toEqual([{ done: 0.5 }, '12.5 EUR'])
  })

  it('logs with the ids of its message, secrets hidden where they leave the process', async () => {
    await t.troupe.ask(box.log, {}, { id: 'log' })
    const own = lines.filter(({ fields }) => fields['id'] === 'log' && fields['message'] === 'log')
    expect(own.map(({ level, message }) => [level, message])).toEqual([
      ['info', 'a line'],
      ['warn', 'another'],
    ])
    expect(own[0]?.fields).toMatchObject({ actor: box.log.actor, attempt: 1, n: 1, error: { message: 'logged' } })
    if (kind !== 'inline') expect(own[0]?.fields['password']).toBe('[hidden]')
    expect(own[1]?.fields).toMatchObject({ part: 'child' })
  })

  it('sends children and reads their results, in both formats', async () => {
    const json = await t.troupe.ask(box.send, {}, { id: 'parent-json' })
    expect(json).toMatchObject({
      actor: 'echo',
      message: 'echo',
      duplicate: false,
      result: { at: '1970-01-01T00:00:00.000Z', price: '12.5 EUR' },
    })
    const packed = await t.troupe.ask(box.send, { format: 'msgpack' }, { format: 'msgpack' })
    expect(packed.result).toEqual({ at: new Date(0), price: '12.5 EUR' })
  })

  it('asks, and gets results and typed errors', async () => {
    expect(await t.troupe.ask(box.ask, {}, { id: 'asker' })).toEqual({ from: 'asker' })
    expect(await t.troupe.ask(box.askDead, {})).toMatchObject({
      name: 'OutcomeError',
      code: 'DEAD',
      type: 'OutcomeError',
      isError: true,
    })
  })

  it('passes root and parent on to what it sends', async () => {
    expect(await t.troupe.ask(box.askLineage, {}, { id: 'lineage' })).toEqual({ root: 'lineage', parent: 'lineage' })
  })

  it('cancels what it sent', async () => {
    expect(await t.troupe.ask(box.cancel, {})).toEqual({ was: 'parked' })
  })

  it.each([
    [
      'wrongOption',
      { type: 'ConfigError', code: 'INVALID_OPTION', message: expect.stringContaining('did you mean "delay"') },
    ],
    ['unencodable', { type: 'PayloadError', code: 'UNENCODABLE', message: expect.stringContaining('a function') }],
    ['toNobody', { type: 'ActorError', code: 'UNKNOWN_ACTOR' }],
  ] as const)('gets the same typed error for a bad send: %s', async (name, expected) => {
    expect(await t.troupe.ask(box[name], {})).toMatchObject(expected)
  })

  it('leaves a rejected promise behind: that is told with its message, and nothing ends', async () => {
    await t.troupe.ask(box.leak, {}, { id: 'leaky' })
    const leak = await t.events.wait('leak', { where: ({ id }) => id === 'leaky' })
    expect(leak.failure).toMatchObject({ name: 'Busy', message: 'left behind by leaky' })
    expect(await t.troupe.ask(box.echo, 1)).toBe(1)
    expect(t.events.of('crashed')).toEqual([])
  })

  it('answers live calls and hears broadcasts', { timeout: 60_000 }, async () => {
    expect(await t.troupe.call(box.echo, { live: true })).toEqual({ live: true })
    expect(await rejection(t.troupe.call(box.refuse, {}))).toMatchObject({ failure: { name: 'Refused' } })
    // In every thread or process: each has variables of its own.
    const places = kind === 'inline' ? 1 : 2
    await eventually('all are ready', () => kind === 'inline' || readyIn(t, box.hear.actor) === places, 30_000)
    await t.troupe.broadcast(box.hear, 'hello')
    const isHello = ({ value }: { value: unknown }): boolean => String(value).startsWith('hello in ')
    await t.events.wait('progress', { where: isHello, count: places })
    expect(
      new Set(
        t.events
          .of('progress')
          .filter(isHello)
          .map(({ value }) => value),
      ).size,
    ).toBe(places)
  })

  it('runs as many at once as its actor says', async () => {
    const ids = ['at-once-1', 'at-once-2', 'at-once-3']
    for (const id of ids) await t.troupe.send(box.wait, {}, { id })
    await t.events.wait('progress', { where: ({ id, value }) => ids.includes(id) && value === 'waiting', count: 2 })
    const started = t.events.of('started').filter(({ id }) => ids.includes(id))
    expect(started).toHaveLength(2)
    for (const id of ids) await t.troupe.cancel(box.wait.actor, { id })
    await t.events.wait('cancelled', { where: ({ id }) => ids.includes(id), count: 3 })
  })

  it('is told when its system stops, and its message goes back uncounted', async () => {
    const own = await t.another([box], { system: `stopping-${kind}` })
    await t.troupe.send(box.wait, {}, { id: 'stop-me' })
    await t.events.wait('progress', { where: ({ id, value }) => id === 'stop-me' && value === 'waiting' })
    const where = t.events.of('started').find(({ id }) => id === 'stop-me')?.worker
    if (where?.startsWith('stopping-')) await own.stop({ within: '100ms' })
    else await t.system.stop({ within: '100ms' })
    const told = await t.events.wait('progress', { where: ({ id, value }) => id === 'stop-me' && value !== 'waiting' })
    expect(told.value).toMatchObject({ why: 'shutdown', stopping: true })
    await t.events.wait('released', { where: ({ id }) => id === 'stop-me' })
  })
})
