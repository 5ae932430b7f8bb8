import { actorRef, defineActor, type Context } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, testBundle } from '../kit/system.ts'

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

interface Facts {
  readonly id: string
  readonly actor: string
  readonly message: string
  readonly attempt: number
  readonly root: string
  readonly parent: string | null
  readonly planned: number | null
  readonly sent: number
  readonly worker: string
  readonly headers: Record<string, string>
}

function factsOf(ctx: Context): Facts {
  const { id, actor, message, attempt, root, worker } = ctx
  const [parent, planned] = [ctx.parent ?? null, ctx.planned?.getTime() ?? null]
  return {
    id,
    actor,
    message,
    attempt,
    root,
    parent,
    planned,
    sent: ctx.sent.getTime(),
    worker,
    headers: { ...ctx.headers },
  }
}

function family() {
  const seen: Facts[] = []
  const note = (ctx: Context): Facts => {
    const facts = factsOf(ctx)
    seen.push(facts)
    return facts
  }
  const child = defineActor('child', { messages: { born: (_payload: unknown, ctx) => note(ctx) } })
  const parent = defineActor('parent', {
    retry: { attempts: 2, backoff: { base: '1ms' } },
    messages: {
      sends: async (_payload: unknown, ctx) => {
        const { send } = ctx
        await send(child.born, {})
        return note(ctx)
      },
      asks: async (_payload: unknown, ctx) => ({ own: note(ctx), child: await ctx.ask(child.born, {}) }),
      again: (_payload: unknown, ctx) => {
        if (ctx.attempt === 1) throw new Error('once')
        return note(ctx)
      },
      remaining: {
        timeLimit: '1h',
        handle: (_payload: unknown, ctx: Context) => [ctx.remaining(), ctx.now().getTime()],
      },
      talks: (_payload: unknown, ctx) => {
        ctx.progress({ percent: 50 })
        ctx.progress(1n)
        ctx.log.info('half way', { percent: 50 })
      },
      connects: async (_payload: unknown, ctx) => {
        const reply = await ctx.connection.request('$JS.API.INFO')
        return reply.json<{ type: string }>().type
      },
    },
  })
  return { seen, child, parent }
}

describe('what a handler knows of its message', () => {
  it('its id, actor, message, attempt, headers and times; the first of a tree is its own root', async () => {
    const { parent, child } = family()
    await using t = await testBundle({ actors: [parent, child], system: 'here' })
    const before = Date.now()
    const facts = await t.troupe.ask(parent.again, {}, { id: 'm1', headers: { tenant: 'acme' } })
    expect(facts).toMatchObject({
      id: 'm1',
      actor: 'parent',
      message: 'again',
      attempt: 2,
      root: 'm1',
      parent: null,
      planned: null,
      worker: 'here/parent',
      headers: { tenant: 'acme' },
    })
    expect(Math.abs(facts.sent - before)).toBeLessThan(5_000)
  })

  it('when a delayed one was planned and when it was first sent', async () => {
    const { parent, child, seen } = family()
    await using t = await testBundle({ actors: [parent, child] })
    const at = Date.now() + 700
    await t.troupe.send(parent.again, {}, { at })
    await t.events.wait('done')
    expect(seen[0]?.planned).toBe(at)
    expect(seen[0]?.sent).toBeLessThan(at - 300)
  })

  it('how much time it has, and what time it is', async () => {
    const { parent, child } = family()
    await using t = await testBundle({ actors: [parent, child] })
    const [left = 0, now = 0] = (await t.troupe.ask(parent.remaining, {})) as number[]
    expect(left).toBeGreaterThan(3_590_000)
    expect(left).toBeLessThanOrEqual(3_600_000)
    expect(Math.abs(now - Date.now())).toBeLessThan(5_000)
    const [short = 0] = (await t.troupe.ask(parent.remaining, {}, { deadline: '10s' })) as number[]
    expect(short).toBeLessThanOrEqual(10_100)
  })

  it('the connection, for those who need it', async () => {
    const { parent, child } = family()
    await using t = await testBundle({ actors: [parent, child] })
    expect(await t.troupe.ask(parent.connects, {})).toBe('io.nats.jetstream.api.v1.account_info_response')
  })
})

describe('what a handler sends', () => {
  it.each(['sends', 'asks'] as const)('carries root, parent and trace on: %s', async (message) => {
    const { parent, child, seen } = family()
    await using t = await testBundle({ actors: [parent, child] })
    const headers = { traceparent: TRACE, tracestate: 'a=1', tenant: 'acme' }
    await t.troupe.send(parent[message] as typeof parent.sends, {}, { id: 'first', headers })
    await t.events.wait('done', { count: 2 })
    const born = seen.find((facts) => facts.actor === 'child')
    expect(born).toMatchObject({ root: 'first', parent: 'first', headers: { traceparent: TRACE, tracestate: 'a=1' } })
    expect(born?.headers['tenant']).toBeUndefined()
  })

  it('keeps the root through generations', async () => {
    const seen: [string, string | undefined, string][] = []
    const line = defineActor('line', {
      messages: {
        next: async (payload: { left: number }, ctx) => {
          seen.push([ctx.id, ctx.parent, ctx.root])
          if (payload.left > 0)
            await ctx.send(actorRef('line')['next'] as never, { left: payload.left - 1 } as never, {
              id: `g${payload.left}`,
            })
        },
      },
    })
    await using t = await testBundle({ actors: [line] })
    await t.troupe.send(line.next, { left: 2 }, { id: 'g3' })
    await t.events.wait('done', { count: 3 })
    expect(seen).toEqual([
      ['g3', undefined, 'g3'],
      ['g2', 'g3', 'g3'],
      ['g1', 'g2', 'g3'],
    ])
  })
})

describe('what a handler tells', () => {
  it('its progress goes to whoever subscribes, also at level off', async () => {
    const { parent, child } = family()
    await using t = await testBundle({ actors: [parent, child], events: 'off' })
    const heard: unknown[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.parent.talks.progress`, {
      callback: (_error, msg) => void heard.push(msg.json()),
    })
    await t.troupe.connection.flush()
    await t.troupe.send(parent.talks, {}, { id: 'p' })
    await eventually('both were heard', () => heard.length === 2)
    expect(heard[0]).toMatchObject({ id: 'p', actor: 'parent', message: 'talks', attempt: 1, value: { percent: 50 } })
    expect(heard[1]).toMatchObject({ id: 'p', value: '[cannot be written as JSON]' })
  })

  it('its log lines carry the ids', async () => {
    const { parent, child } = family()
    const lines: Record<string, unknown>[] = []
    const logger = recorder(lines)
    await using t = await testBundle({ actors: [parent, child], logger })
    await t.troupe.send(parent.talks, {}, { id: 'p' })
    await t.events.wait('done')
    expect(lines.find((line) => line['text'] === 'half way')).toMatchObject({
      id: 'p',
      actor: 'parent',
      message: 'talks',
      attempt: 1,
      percent: 50,
    })
  })
})

/** A logger that keeps its lines as objects. */
function recorder(lines: Record<string, unknown>[], fields: object = {}): never {
  const write = (text: string, more: object = {}): void => void lines.push({ text, ...fields, ...more })
  const child = (more: object): never => recorder(lines, { ...fields, ...more })
  return { debug: write, info: write, warn: write, error: write, child } as never
}

const go = (): number => 1

describe('a definition', () => {
  it('stays callable in a plain test', () => {
    const { child } = family()
    const ctx = {
      id: 'x',
      actor: 'child',
      message: 'born',
      attempt: 1,
      root: 'x',
      headers: {},
      sent: new Date(5),
      worker: 'test',
    }
    expect(child.born.handle({}, ctx as unknown as Context)).toMatchObject({ id: 'x', sent: 5 })
  })

  it('keeps `this` of a handler that is a method', async () => {
    const actor = defineActor('bound', {
      messages: {
        go: {
          description: 'a method',
          handle(this: { description: string }) {
            return this.description
          },
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    expect(await t.troupe.ask(actor.go, undefined)).toBe('a method')
  })

  it.each([
    [{ concurency: 5, messages: { go } }, 'did you mean "concurrency"?'],
    [{ concurrency: 0, messages: { go } }, 'expected odd.concurrency to be a whole number from 1, got: 0'],
    [{ messages: {} }, 'expected odd.messages to be at least one message with a handler'],
    [{ messages: { go: 5 } }, 'expected odd.go to be a handler, or options with a handler, got: 5'],
    [{ messages: { go: { timeLimt: '1s', handle: go } } }, 'did you mean "timeLimit"?'],
    [{ messages: { go: { payload: {}, handle: go } } }, 'expected odd.go.payload to be a Standard Schema'],
    [{ messages: { go: { timeLimit: '0s', handle: go } } }, 'expected odd.go.timeLimit to be a duration above 0'],
    [{ retry: { attempts: 0 }, messages: { go } }, 'expected odd.retry.attempts to be a whole number from 1, got: 0'],
    [{ lanes: ['urgent'], messages: { go } }, 'expected odd.lanes to be a list of high, normal, low'],
    [{ messages: { 'go.on': () => 1 } }, "expected the message's name to be"],
    [{ messages: { all: go } }, 'reserved'],
  ])('with a mistake is refused: %j', (options, text) => {
    expect(() => defineActor('odd', options as never)).toThrow(text)
  })
})
