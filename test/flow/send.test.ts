import { actorRef, connect, defineActor, PayloadError } from 'troupe'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { eventually, gate, rejection, testBundle } from '../kit/system.ts'

interface Seen {
  readonly payload: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly id: string
}

function keeper(): { seen: Seen[]; actor: ReturnType<typeof define> } {
  const seen: Seen[] = []
  const define = () =>
    defineActor('keeper', {
      messages: {
        put: (payload: unknown, ctx) => {
          seen.push({ payload, headers: { ...ctx.headers }, id: ctx.id })
          return payload
        },
      },
    })
  return { seen, actor: define() }
}
const define = () => keeper().actor

describe('a message that is sent', () => {
  it('arrives with its payload, under an id of its own', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.put, { to: 'a@b.c' })
    await t.events.wait('done')
    expect(seen).toMatchObject([{ payload: { to: 'a@b.c' }, id: sent.id }])
    expect(sent).toMatchObject({ actor: 'keeper', message: 'put', duplicate: false })
  })

  it('waits in its mailbox until there is a worker', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle()
    await t.troupe.send(actor.put, 1)
    expect(seen).toEqual([])
    await t.another([actor])
    await t.events.wait('done')
    expect(seen).toMatchObject([{ payload: 1 }])
  })

  it('can be sent without the actor’s code', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actorRef<typeof actor>('keeper').put, 'by name')
    await t.events.wait('done')
    expect(seen).toMatchObject([{ payload: 'by name' }])
  })

  it('can be bound to its payload first', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.sendBound(actor.put.with(7))
    await t.events.wait('done')
    expect(seen).toMatchObject([{ payload: 7 }])
  })

  it('carries headers of the application, and no other', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.put, 1, { headers: { tenant: 'acme', note: 'grüße' } })
    await t.events.wait('done')
    expect(seen[0]?.headers).toMatchObject({ tenant: 'acme', note: 'grüße' })
    await expect(t.troupe.send(actor.put, 1, { headers: { 'Nats-Rollup': 'all' } })).rejects.toThrow(PayloadError)
  })

  it('is refused by its schema before it leaves, with the path', async () => {
    const strict = defineActor('strict', {
      messages: { put: { payload: z.object({ to: z.email() }), handle: () => 1 } },
    })
    await using t = await testBundle({ actors: [strict] })
    const error = await rejection(t.troupe.send(strict.put, { to: 'nobody' }))
    expect(error).toBeInstanceOf(PayloadError)
    expect(error).toMatchObject({ code: 'INVALID_PAYLOAD', data: { issues: [{ path: 'to' }] } })
  })
})

describe('an id', () => {
  it('that is sent twice is one message, and the second is told so', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    const first = await t.troupe.send(actor.put, 'first', { id: 'order 7/ü.*>' })
    const second = await t.troupe.send(actor.put, 'second', { id: 'order 7/ü.*>' })
    await t.troupe.send(actor.put, 'last')
    await t.events.wait('done', { count: 2 })
    expect([first.duplicate, second.duplicate]).toEqual([false, true])
    expect(seen.map((one) => one.payload)).toEqual(['first', 'last'])
    expect(seen[0]?.id).toBe('order 7/ü.*>')
  })

  it('is known at its own actor only', async () => {
    const { actor } = keeper()
    const other = defineActor('other', { messages: { put: (payload: unknown) => payload } })
    await using t = await testBundle({ actors: [actor, other] })
    const both = await Promise.all([t.troupe.send(actor.put, 1, { id: 'x' }), t.troupe.send(other.put, 1, { id: 'x' })])
    expect(both.map((sent) => sent.duplicate)).toEqual([false, false])
    await t.events.wait('done', { count: 2 })
  })
})

describe('a format', () => {
  const rich = {
    date: new Date(0),
    map: new Map<unknown, unknown>([['a', new Date(1)]]),
    set: new Set([1, 'two']),
    big: 2n ** 70n,
    bytes: new Uint8Array([0, 255, 1]),
  }

  it('msgpack brings Date, Map, Set, bigint and bytes there and back', async () => {
    const { seen, actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    const back = await t.troupe.ask(actor.put, rich, { format: 'msgpack' })
    expect(seen[0]?.payload).toEqual(rich)
    expect((seen[0]?.payload as typeof rich).bytes).toBeInstanceOf(Uint8Array)
    expect(back).toEqual(rich)
  })

  it('json is what people can read in the stream', async () => {
    const { actor } = keeper()
    await using t = await testBundle()
    await t.troupe.send(actor.put, { to: 'ü' }, { id: 'readable' })
    const stored = await t.troupe.connection.request(
      `$JS.API.STREAM.MSG.GET.${t.namespace}-mailbox-keeper`,
      JSON.stringify({ seq: 1 }),
    )
    const { message } = stored.json<{ message: { data: string; subject: string } }>()
    expect(Buffer.from(message.data, 'base64').toString()).toBe('{"to":"ü"}')
    expect(message.subject).toBe(`${t.namespace}.do.keeper.put`)
  })

  it('json refuses what it would lose', async () => {
    const { actor } = keeper()
    await using t = await testBundle()
    await expect(t.troupe.send(actor.put, { big: 1n })).rejects.toThrow(PayloadError)
  })
})

describe('a kept result', () => {
  const outcomes = defineActor('outcomes', {
    retry: false,
    messages: {
      done: (payload: { n: number }) => ({ twice: payload.n * 2 }),
      fails: (): never => {
        throw Object.assign(new TypeError('no such thing'), { code: 'E_NO' })
      },
      nothing: () => {},
    },
  })

  it('is read by who sent it, typed', async () => {
    await using t = await testBundle({ actors: [outcomes] })
    const sent = await t.troupe.send(outcomes.done, { n: 4 }, { keep: '1h' })
    expect((await sent.result({ timeout: '10s' })).twice).toBe(8)
    expect(await sent.result()).toEqual({ twice: 8 })
  })

  it('is nothing where the handler returned nothing', async () => {
    await using t = await testBundle({ actors: [outcomes] })
    expect(await (await t.troupe.send(outcomes.nothing, undefined, { keep: '1h' })).result()).toBeUndefined()
  })

  it('of a dead message is its typed error', async () => {
    await using t = await testBundle({ actors: [outcomes] })
    const error = await rejection((await t.troupe.send(outcomes.fails, undefined, { keep: '1h' })).result())
    expect(error).toMatchObject({
      name: 'OutcomeError',
      code: 'DEAD',
      failure: { name: 'TypeError', message: 'no such thing', code: 'E_NO', attempts: 1 },
    })
  })

  it('of an expired one too, and of a cancelled one', async () => {
    await using t = await testBundle()
    const expired = await t.troupe.send(outcomes.done, { n: 1 }, { keep: '1h', expires: '1ms' })
    const cancelled = await t.troupe.send(outcomes.done, { n: 1 }, { keep: '1h' })
    await cancelled.cancel({ reason: 'not needed', timeout: '1ms' })
    await t.another([outcomes])
    expect(await rejection(expired.result())).toMatchObject({ name: 'OutcomeError', code: 'EXPIRED' })
    expect(await rejection(cancelled.result())).toMatchObject({
      name: 'OutcomeError',
      code: 'CANCELLED',
      failure: { message: 'not needed' },
    })
    expect(t.events.of('done')).toEqual([])
  })

  it('that was not asked for cannot be read, and says how', async () => {
    await using t = await testBundle()
    const sent = await t.troupe.send(outcomes.done, { n: 1 })
    expect(await rejection(sent.result())).toMatchObject({ name: 'ConfigError', code: 'NOT_KEPT' })
  })

  it('that does not come in time is a timeout, and the message is handled all the same', async () => {
    await using t = await testBundle()
    const sent = await t.troupe.send(outcomes.done, { n: 1 }, { keep: '1h' })
    expect(await rejection(sent.result({ timeout: '20ms' }))).toMatchObject({
      name: 'UnavailableError',
      code: 'TIMEOUT',
    })
    await t.another([outcomes])
    expect(await sent.result()).toEqual({ twice: 2 })
  })

  it('of an earlier message under the same id is not taken for the new one’s', async () => {
    const slow = gate()
    const counter = defineActor('counter', {
      mailbox: { dedupeWindow: '100ms' },
      messages: {
        count: async (payload: number) => {
          if (payload === 2) await slow.passed
          return payload
        },
      },
    })
    await using t = await testBundle({ actors: [counter] })
    const first = await t.troupe.send(counter.count, 1, { id: 'same', keep: '1h' })
    expect(await first.result()).toBe(1)
    let second = await t.troupe.send(counter.count, 2, { id: 'same', keep: '1h' })
    await eventually('the id is forgotten', async () => {
      if (second.duplicate) second = await t.troupe.send(counter.count, 2, { id: 'same', keep: '1h' })
      return !second.duplicate
    })
    const result = second.result()
    setTimeout(() => slow.open(), 50)
    expect(await result).toBe(2)
  })
})

describe('many messages in one call', () => {
  it('are stored in order, and each one’s fate is known, the bad ones’ too', async () => {
    const strict = defineActor('strict', {
      concurrency: 100,
      messages: { put: { payload: z.object({ n: z.number() }), handle: ({ n }: { n: number }) => n } },
    })
    await using t = await testBundle()
    const payloads = Array.from({ length: 5_000 }, (_, n) =>
      n % 1_000 === 999 ? { n: 'bad' as unknown as number } : { n },
    )
    const fates = await t.troupe.sendMany(strict.put, payloads, { id: ({ n }, index) => `${index}:${n}` })
    expect(fates).toHaveLength(5_000)
    for (const [index, fate] of fates.entries()) {
      if (index % 1_000 === 999) expect(fate.error).toBeInstanceOf(PayloadError)
      else expect(fate.sent?.id).toBe(`${index}:${index}`)
    }
    const info = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-mailbox-strict`)
    expect(info.json<{ state: { messages: number } }>().state.messages).toBe(4_995)
    const again = await t.troupe.sendMany(strict.put, payloads.slice(0, 100), { id: ({ n }, index) => `${index}:${n}` })
    expect(again.every((fate) => fate.sent?.duplicate)).toBe(true)
    await t.another([strict])
    await t.events.wait('done', { count: 4_995 })
  })

  it('are in order also where the mailbox has to be created first', async () => {
    const { actor, seen } = keeper()
    await using t = await testBundle()
    await t.troupe.sendMany(
      actor.put,
      Array.from({ length: 50 }, (_, n) => n),
    )
    await t.another([actor])
    await t.events.wait('done', { count: 50 })
    expect(seen.map((one) => one.payload)).toEqual(Array.from({ length: 50 }, (_, n) => n))
  })

  it('fail one by one where a payload cannot be encoded or an id is bad', async () => {
    const { actor } = keeper()
    await using t = await testBundle()
    const fates = await t.troupe.sendMany(actor.put, [1, 2n, 3], {
      id: (_payload, index) => (index === 2 ? '' : `n${index}`),
    })
    expect(fates.map((fate) => (fate.error as { code?: string } | undefined)?.code)).toEqual([
      undefined,
      expect.any(String),
      'INVALID_ID',
    ])
  })

  it('keep the fates of those whose own id function throws', async () => {
    const { actor } = keeper()
    await using t = await testBundle()
    const id = (payload: unknown): string => (payload as { key: string }).key
    const fates = await t.troupe.sendMany(actor.put, [{ key: 'a' }, null, { key: 'b' }], { id })
    expect(fates.map((fate) => fate.sent?.id)).toEqual(['a', undefined, 'b'])
    expect(fates[1]?.error).toBeInstanceOf(TypeError)
  })
})

describe('sending to nobody', () => {
  it('names the actors that there are', async () => {
    const { actor } = keeper()
    await using t = await testBundle({ actors: [actor] })
    const error = await rejection(t.troupe.send(actorRef('keper')['put'] as never, 1 as never))
    expect(error).toMatchObject({ name: 'ActorError', code: 'UNKNOWN_ACTOR' })
    expect(error.message).toContain('did you mean "keeper"?')
  })

  it('refuses what is no message', async () => {
    await using t = await testBundle()
    const error = await rejection(
      t.troupe.send((define() as never as Record<string, never>)['putt'] as never, 1 as never),
    )
    expect(error).toMatchObject({ name: 'ActorError', code: 'UNKNOWN_MESSAGE' })
  })

  it('over the server’s maximum is refused with size and limit', async () => {
    const { actor } = keeper()
    await using t = await testBundle()
    const error = await rejection(t.troupe.send(actor.put, 'x'.repeat(1_100_000)))
    expect(error).toMatchObject({ name: 'PayloadError', code: 'TOO_LARGE', data: { limit: 1_048_576 - 16_384 } })
  })

  it('at an address where nothing is says so', async () => {
    const error = await rejection(connect({ servers: 'nats://127.0.0.1:1', nats: { connectTimeout: '1s' } }))
    expect(error).toMatchObject({ name: 'UnavailableError', code: 'DISCONNECTED' })
  })
})
