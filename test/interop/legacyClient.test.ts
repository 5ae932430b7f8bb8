/** The promise that a service with nothing but the legacy `nats` package (version 2) can do what a sender can. */
import { Packr } from 'msgpackr'
import { connect, consumerOpts, headers, JSONCodec, type Msg, type MsgHdrs, type NatsConnection } from 'nats'
import { dead, defineActor, run, type Context, type System } from 'troupe'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'

/** Plain MessagePack: what other languages write. */
const msgpack = new Packr({ useRecords: false })
const json = JSONCodec<Record<string, unknown>>()

let server: TestServer
let system: System
let nc: NatsConnection
let ns = ''
let spaces = 0
let handled: {
  message: string
  payload: unknown
  lane: string | undefined
  id: string
  at: number
  headers: Context['headers']
}[] = []
let release: () => void = () => {}

beforeAll(async () => void (server = await startServer()))
afterAll(() => server.stop())

const mailer = defineActor('mailer', {
  description: 'Sends mail',
  retry: { attempts: 2, backoff: { base: 1 } },
  messages: {
    welcome: async (payload: { to: string }, ctx) => {
      note(payload, ctx)
      return { sentTo: payload.to }
    },
    fail: async (payload: unknown, ctx) => {
      note(payload, ctx)
      throw Object.assign(new Error('no such mailbox'), { code: 'ENOMAIL' })
    },
    refuse: async () => dead('unsubscribed'),
    wait: async (payload: unknown, ctx) => {
      note(payload, ctx)
      await new Promise<void>((resolve, reject) => {
        release = resolve
        ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error))
      })
    },
  },
})

function note(payload: unknown, ctx: Context): void {
  handled.push({
    message: ctx.message,
    payload,
    lane: ctx.headers['X-Lane'],
    id: ctx.id,
    at: Date.now(),
    headers: ctx.headers,
  })
}

beforeEach(async () => {
  ns = `legacy${++spaces}`
  handled = []
  system = await run({
    actors: [mailer],
    servers: server.url,
    namespace: ns,
    signals: false,
    logLevel: 'silent',
    grace: 100,
  })
  nc = await connect({ servers: server.url })
})
afterEach(async () => {
  release()
  await nc.close()
  await system.stop({ within: 0 })
})

const block = (own: Record<string, string>): MsgHdrs => {
  const made = headers()
  for (const [name, value] of Object.entries(own)) made.set(name, value)
  return made
}

const messages = (): string[] => handled.map(({ message }) => message)
const handledTimes = (count: number): Promise<void> =>
  expect.poll(() => handled.length, { timeout: 10_000, interval: 5 }).toBe(count)

/** Sends with `Troupe-Reply` and waits for the outcome: all that `ask` is. */
async function outcome(subject: string, body: Uint8Array, own: Record<string, string> = {}): Promise<Msg> {
  const reply = `${ns}.reply.shop.${Math.trunc(performance.now() * 1000)}`
  const waiting = nc.subscribe(reply, { max: 1 })
  await nc.jetstream().publish(subject, body, { headers: block({ 'Troupe-Reply': reply, ...own }) })
  for await (const msg of waiting) return msg
  throw new Error('no outcome came')
}

describe('a service with the legacy nats package', () => {
  it('sends by a plain publish, and by a confirmed one', async () => {
    nc.publish(`${ns}.do.mailer.welcome`, json.encode({ to: 'plain' }))
    const ack = await nc.jetstream().publish(`${ns}.do.mailer.welcome`, json.encode({ to: 'confirmed' }))
    expect(ack).toMatchObject({ stream: `${ns}-mailbox-mailer`, seq: 2, duplicate: false })
    await handledTimes(2)
    expect(handled.map(({ payload, id }) => ({ payload, id }))).toEqual([
      { payload: { to: 'plain' }, id: `${ns}-mailbox-mailer:1` },
      { payload: { to: 'confirmed' }, id: `${ns}-mailbox-mailer:2` },
    ])
  })

  it('waits for the outcome of what is done, with all that its headers promise', async () => {
    const done = await outcome(`${ns}.do.mailer.welcome`, json.encode({ to: 'a@b.c' }), { 'Troupe-Id': 'order 7' })
    expect(json.decode(done.data)).toEqual({ sentTo: 'a@b.c' })
    expect(done.headers?.get('Troupe-Status')).toBe('done')
    expect(done.headers?.get('Troupe-Id')).toBe('order 7')
    expect(done.headers?.get('Troupe-Origin')).toBe(`${ns}-mailbox-mailer:1`)
    expect(done.headers?.get('Content-Type')).toBe('application/json')
  })

  it('is told why a message died, in JSON whatever it was sent in', async () => {
    const failed = await outcome(`${ns}.do.mailer.fail`, msgpack.pack({ to: 'x' }), {
      'Content-Type': 'application/msgpack',
    })
    expect(failed.headers?.get('Troupe-Status')).toBe('dead')
    expect(failed.headers?.get('Content-Type')).toBe('application/json')
    expect(json.decode(failed.data)).toEqual({
      name: 'Error',
      message: 'no such mailbox',
      code: 'ENOMAIL',
      attempts: 2,
    })
    const refused = await outcome(`${ns}.do.mailer.refuse`, json.encode({}))
    expect(json.decode(refused.data)).toMatchObject({ message: 'unsubscribed', attempts: 1 })
  })

  it('is told that a message expired', async () => {
    const told = await outcome(`${ns}.do.mailer.welcome`, json.encode({ to: 'late' }), {
      'Troupe-Expires': String(Date.now() - 1_000),
    })
    expect(told.headers?.get('Troupe-Status')).toBe('expired')
    expect(json.decode(told.data)).toMatchObject({ name: 'ExpiredError' })
    expect(handled).toEqual([])
  })

  it('delays by Troupe-Due on later, into the lane that it names, and never early', async () => {
    const due = Date.now() + 900
    const own = { 'Troupe-Due': String(due), 'Troupe-Lane': 'high', 'Troupe-Id': 'delayed' }
    const done = await outcome(`${ns}.later.mailer.welcome`, json.encode({ to: 'later' }), own)
    expect(done.headers?.get('Troupe-Id')).toBe('delayed')
    expect(handled).toMatchObject([{ id: 'delayed', payload: { to: 'later' } }])
    expect(handled[0]?.at).toBeGreaterThanOrEqual(due)
    expect(handled[0]?.headers['Troupe-Due']).toBe(String(due))
  })

  it('sends to lanes', async () => {
    for (const lane of ['high', 'low']) {
      await nc.jetstream().publish(`${ns}.${lane}.mailer.welcome`, json.encode({ to: lane }))
    }
    await handledTimes(2)
    expect(handled.map(({ payload }) => (payload as { to: string }).to).sort()).toEqual(['high', 'low'])
  })

  it('sends the same id once', async () => {
    const js = nc.jetstream()
    const acks = [await js.publish(`${ns}.do.mailer.welcome`, json.encode({ to: 'once' }), { msgID: 'order-8' })]
    acks.push(await js.publish(`${ns}.do.mailer.welcome`, json.encode({ to: 'twice' }), { msgID: 'order-8' }))
    acks.push(await js.publish(`${ns}.do.mailer.welcome`, json.encode({ to: 'other' }), { msgID: 'order-9' }))
    expect(acks.map(({ duplicate }) => duplicate)).toEqual([false, true, false])
    await handledTimes(2)
    expect(handled.map(({ id }) => id)).toEqual(['order-8', 'order-9'])
  })

  it('speaks MessagePack both ways', async () => {
    const done = await outcome(`${ns}.do.mailer.welcome`, msgpack.pack({ to: 'packed' }), {
      'Content-Type': 'application/msgpack',
    })
    expect(done.headers?.get('Content-Type')).toBe('application/msgpack')
    expect(msgpack.unpack(done.data)).toEqual({ sentTo: 'packed' })
  })

  it('passes headers of its own to the handler', async () => {
    await nc.jetstream().publish(`${ns}.do.mailer.welcome`, json.encode({ to: 'x' }), {
      headers: block({ 'X-Tenant': 'blue', traceparent: '00-1-2-01' }),
    })
    await handledTimes(1)
    expect(handled[0]?.headers).toMatchObject({ 'X-Tenant': 'blue', traceparent: '00-1-2-01' })
  })

  it('reads a result that is kept, by its subject', async () => {
    const own = { 'Troupe-Keep': '1h', 'Troupe-Sender': 'shop', 'Troupe-Id': 'order.10' }
    await outcome(`${ns}.do.mailer.welcome`, json.encode({ to: 'kept' }), own)
    const jsm = await nc.jetstreamManager()
    const kept = await jsm.streams.getMessage(`${ns}-results`, {
      last_by_subj: `${ns}.result.mailer.shop.order%2E10`,
    })
    expect(json.decode(kept.data)).toEqual({ sentTo: 'kept' })
    expect(kept.header.get('Troupe-Status')).toBe('done')
    expect(kept.header.get('Nats-TTL')).toBe('3600s')
  })

  it('sets the retry rule of one message', async () => {
    const failed = await outcome(`${ns}.do.mailer.fail`, json.encode({}), {
      'Troupe-Retry': '{"attempts":3,"backoff":{"base":"1ms"}}',
    })
    expect(json.decode(failed.data)).toMatchObject({ attempts: 3 })
    expect(handled).toHaveLength(3)
  })

  it('calls a live worker, and reads its error where it fails', async () => {
    const answer = await nc.request(`${ns}.call.mailer.welcome`, json.encode({ to: 'live' }))
    expect(json.decode(answer.data)).toEqual({ sentTo: 'live' })
    expect(answer.headers?.get('Nats-Service-Error-Code') ?? '').toBe('')
    const failed = await nc.request(`${ns}.call.mailer.fail`, json.encode({}))
    expect(failed.headers?.get('Nats-Service-Error-Code')).toBe('500')
    expect(failed.headers?.get('Nats-Service-Error')).toBe('no such mailbox')
    expect(json.decode(failed.data)).toMatchObject({ name: 'Error', message: 'no such mailbox', code: 'ENOMAIL' })
    const bad = await nc.request(`${ns}.call.mailer.welcome`, new TextEncoder().encode('not json'))
    expect(bad.headers?.get('Nats-Service-Error-Code')).toBe('400')
    await expect(nc.request(`${ns}.call.mailer.nothing`, json.encode({}))).rejects.toMatchObject({ code: '503' })
  })

  it('tells every live worker at once', async () => {
    const second = await run({
      actors: [mailer],
      servers: server.url,
      namespace: ns,
      signals: false,
      logLevel: 'silent',
    })
    nc.publish(`${ns}.all.mailer.welcome`, json.encode({ to: 'everyone' }))
    await handledTimes(2)
    await second.stop({ within: 0 })
    expect(messages()).toEqual(['welcome', 'welcome'])
  })

  it.each(['parked', 'running'])('cancels what is %s, and is told what it met', async (state) => {
    const own = { 'Troupe-Id': 'gone', ...(state === 'parked' ? { 'Troupe-Due': String(Date.now() + 60_000) } : {}) }
    const told = outcome(`${ns}.${state === 'parked' ? 'later' : 'do'}.mailer.wait`, json.encode({}), own)
    if (state === 'running') await handledTimes(1)
    else await expect.poll(() => parkedCount(), { timeout: 5_000 }).toBe(1)
    const reply = `${ns}.reply.shop.cancel`
    const answers = nc.subscribe(reply, { max: 1 })
    await nc.jetstream().publish(`${ns}.cancel.mailer`, json.encode({ id: 'gone', reason: 'changed my mind' }), {
      headers: block({ 'Troupe-Reply': reply }),
    })
    for await (const answer of answers) expect(json.decode(answer.data)).toEqual({ was: state, id: 'gone' })
    const cancelled = await told
    expect(cancelled.headers?.get('Troupe-Status')).toBe('cancelled')
    expect(json.decode(cancelled.data)).toMatchObject({ name: 'CancelledError', message: 'changed my mind' })
  })

  it('reads a dead letter from its stream, with its reason, its history and its body as sent', async () => {
    await outcome(`${ns}.do.mailer.fail`, json.encode({ n: 1 }), {
      'Troupe-Id': 'lost',
      'X-Tenant': 'blue',
      'Nats-Expected-Stream': `${ns}-mailbox-mailer`,
    })
    const options = consumerOpts().orderedConsumer().deliverAll()
    const letters = await nc.jetstream().subscribe(`${ns}.dead.mailer.>`, options)
    for await (const letter of letters) {
      expect(letter.subject).toBe(`${ns}.dead.mailer.fail.lost`)
      expect(json.decode(letter.data)).toEqual({ n: 1 })
      const get = (name: string): string => letter.headers?.get(name) ?? ''
      expect(get('Troupe-Reason')).toBe('failed')
      expect(get('Troupe-Error')).toBe('Error: no such mailbox')
      expect(get('Troupe-Attempt')).toBe('2')
      expect(get('Troupe-Subject')).toBe(`${ns}.do.mailer.fail`)
      expect(get('X-Tenant')).toBe('blue')
      expect(get('Nats-Expected-Stream')).toBe('')
      expect(JSON.parse(get('Troupe-Detail'))).toMatchObject({
        failure: { name: 'Error', message: 'no such mailbox', code: 'ENOMAIL' },
        stack: expect.stringContaining('no such mailbox') as string,
        history: [{ attempt: 1, error: 'Error: no such mailbox' }],
      })
      break
    }
    letters.unsubscribe()
  })
})

async function parkedCount(): Promise<number> {
  const jsm = await nc.jetstreamManager()
  return (await jsm.streams.info(`${ns}-timer-mailer`)).state.messages
}
