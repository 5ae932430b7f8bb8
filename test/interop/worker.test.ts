/**
 * A worker in another language: one that is written from PROTOCOL.md on a bare socket (clients/worker), with Troupe's own senders, workers and
 * commands on the other side of the wire.
 */
import {
  actorRef,
  connect,
  declareActor,
  defineActor,
  run,
  type DeadLetter,
  type MessageRef,
  type System,
  type Troupe,
} from 'troupe'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'

import { startServer, type TestServer } from '../kit/server.ts'
import { eventually, gate, rejection } from '../kit/system.ts'
import { openSocket, type SocketWire } from './clients/socket.ts'
import { Timer } from './clients/worker/timer.ts'
import { Verdict, Worker, type RunContext, type WorkerOptions } from './clients/worker/worker.ts'

interface Ran {
  readonly message: string
  readonly id: string
  readonly attempt: number
  readonly payload: unknown
  readonly by: string
}

const foreign = actorRef('foreign')
const refOf = (message: string): MessageRef<unknown, unknown> => {
  const ref = foreign[message]
  if (ref === undefined) throw new Error(`no message ${message}`)
  return ref
}

let server: TestServer
let troupe: Troupe
let namespace = ''
let spaces = 0
let ran: Ran[] = []
let open = gate()
let ending: (() => Promise<unknown>)[] = []

beforeAll(async () => void (server = await startServer()))
afterAll(() => server.stop())
beforeEach(async () => {
  namespace = `foreign${++spaces}`
  ran = []
  open = gate()
  troupe = await connect({ servers: server.url, namespace, logLevel: 'silent', sender: 'shop' })
  ending = [() => troupe.close()]
})
afterEach(async () => {
  open.open()
  for (const end of ending.toReversed()) await end()
})

interface Foreign {
  readonly worker: Worker
  readonly wire: SocketWire
}

type Handlers = WorkerOptions['handlers']

/** Answers in every way that there is; `by` tells workers apart. */
function handlers(by: string, wire: SocketWire): Handlers {
  const noting =
    (message: string, handle: (payload: unknown, ctx: RunContext) => unknown) =>
    (payload: unknown, ctx: RunContext) => {
      ran.push({ message, id: ctx.id, attempt: ctx.attempt, payload, by })
      return handle(payload, ctx)
    }
  const all: Handlers = {
    echo: (payload) => payload,
    fail: () => Promise.reject(Object.assign(new Error('no such mailbox'), { code: 'ENOMAIL' })),
    flaky: (payload, { attempt }) => (attempt < 2 ? new Verdict('retry', 700, 'not yet') : { attempt, payload }),
    slowly: (_payload, { attempt }) => (attempt < 2 ? new Verdict('retry', 1_800, 'not yet') : { attempt }),
    soon: (_payload, { attempt }) => (attempt < 3 ? new Verdict('retry', 1, 'not yet') : { attempt }),
    sleepy: (_payload, { id, attempt }) =>
      ran.filter((one) => one.id === id).length < 2 ? new Verdict('snooze', 5) : { attempt },
    refuse: () => new Verdict('dead', 0, 'unsubscribed'),
    wait: (_payload, { signal }) =>
      Promise.race([
        open.passed.then(() => 'waited'),
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error(String(signal.reason))))),
      ]),
    die: () => {
      wire.kill()
      return new Promise(() => {})
    },
  }
  return Object.fromEntries(Object.entries(all).map(([message, handle]) => [message, noting(message, handle)]))
}

async function startWorker(
  by: string,
  options: Partial<WorkerOptions> & { wire?: SocketWire; hasTimer?: boolean } = {},
): Promise<Foreign> {
  const { wire = await openSocket(server.url), hasTimer = true, ...own } = options
  const place = { namespace, actor: 'foreign', leaseMs: own.leaseMs ?? 1_000 }
  const timer = new Timer(wire, place)
  const names = Object.keys(handlers(by, wire))
  const worker = new Worker(wire, {
    ...place,
    name: `${by}/foreign`,
    handlers: handlers(by, wire),
    rule: { attempts: 2, baseMs: 20, factor: 2, maxMs: 1_000, jitter: 0.2 },
    maxPayload: wire.maxPayload,
    onCancel: (cancel) => void timer.cancel(cancel, names).catch(() => {}),
    ...own,
  })
  await worker.start()
  if (hasTimer) await timer.start()
  ending.push(async () => wire.kill())
  return { worker, wire }
}

interface DyingWire extends SocketWire {
  hasDied(): boolean
}

/** A connection that is cut at the first word to such a subject, which is never said: a process that dies there. */
async function dyingAt(subject: RegExp): Promise<DyingWire> {
  const wire = await openSocket(server.url)
  let hasDied = false
  return {
    publish(to, headers, body, reply) {
      hasDied ||= subject.test(to)
      if (hasDied) wire.kill()
      else wire.publish(to, headers, body, reply)
    },
    subscribe: (...args) => wire.subscribe(...args),
    flush: () => wire.flush(),
    close: () => wire.close(),
    kill: () => wire.kill(),
    maxPayload: wire.maxPayload,
    hasDied: () => hasDied,
  }
}

async function letters(): Promise<DeadLetter[]> {
  const all: DeadLetter[] = []
  for await (const letter of troupe.dead.list()) all.push(letter)
  return all
}

async function stored(stream: string): Promise<number> {
  const reply = await troupe.connection.request(`$JS.API.STREAM.INFO.${namespace}-${stream}`)
  return reply.json<{ state: { messages: number } }>().state.messages
}

/** Whether a delayed message has come to its parking place. */
async function isParked(message: string, id: string): Promise<boolean> {
  const place = JSON.stringify({ last_by_subj: `${namespace}.timer.at.foreign.${message}.${id}` })
  const reply = await troupe.connection.request(`$JS.API.STREAM.MSG.GET.${namespace}-timer-foreign`, place)
  return reply.json<{ error?: unknown }>().error === undefined
}

const attempts = (id: string): number[] => ran.filter((one) => one.id === id).map(({ attempt }) => attempt)

describe('a worker on a bare socket', () => {
  it('does what it is sent: the result is told, and kept', async () => {
    await startWorker('a')
    expect(await troupe.ask(refOf('echo'), { n: 1 })).toEqual({ n: 1 })
    const sent = await troupe.send(refOf('echo'), { n: 2 }, { keep: '1h', id: 'kept.here' })
    expect(await sent.result()).toEqual({ n: 2 })
    await eventually('nothing is left', async () => (await stored('mailbox-foreign')) === 0)
  })

  it('retries by parking a copy, and a timer brings it back with its attempt', async () => {
    await startWorker('a')
    expect(await troupe.ask(refOf('flaky'), 'x', { id: 'again' })).toEqual({ attempt: 2, payload: 'x' })
    expect(attempts('again')).toEqual([1, 2])
    expect(await troupe.ask(refOf('soon'), {}, { id: 'soon', retry: { attempts: 3 } })).toEqual({ attempt: 3 })
    expect(await troupe.ask(refOf('sleepy'), {}, { id: 'sleepy' })).toEqual({ attempt: 1 })
    await eventually(
      'nothing is left',
      async () => (await stored('mailbox-foreign')) + (await stored('timer-foreign')) === 0,
    )
  })

  it('buries what can not be done; the letter is one like any other, and can be retried', async () => {
    await startWorker('a')
    const told = await rejection(troupe.ask(refOf('fail'), { n: 1 }, { id: 'lost', headers: { 'X-Tenant': 'blue' } }))
    expect(told).toMatchObject({ code: 'DEAD', failure: { message: 'no such mailbox', code: 'ENOMAIL', attempts: 2 } })
    await rejection(troupe.ask(refOf('refuse'), {}, { id: 'refused' }))
    const found = await letters()
    expect(found).toMatchObject([
      {
        id: 'lost',
        actor: 'foreign',
        message: 'fail',
        reason: 'failed',
        failure: { name: 'Error', message: 'no such mailbox', code: 'ENOMAIL' },
        attempts: 2,
        history: [{ attempt: 1, error: 'Error: no such mailbox' }],
        worker: 'a/foreign',
        subject: `${namespace}.do.foreign.fail`,
        payload: { n: 1 },
      },
      { id: 'refused', reason: 'rejected', failure: { message: 'unsubscribed' } },
    ])
    expect(found[0]?.headers['X-Tenant']).toBe('blue')
    expect(await troupe.dead.retry({ id: 'lost' })).toHaveLength(1)
    await eventually('it has died again', async () => (await letters()).some(({ history }) => history.length > 1))
    expect(attempts('lost')).toEqual([1, 2, 1, 2])
  })

  it.each([
    ['invalid', 'echo', 'not json', {}],
    ['invalid', 'echo', '{}', { 'Troupe-Attempt': 'many' }],
    ['unknown-message', 'nothing', '{}', {}],
    ['deadline', 'echo', '{}', { 'Troupe-Deadline': '1' }],
  ])('buries as %s: %s %s %j', async (reason, message, body, headers) => {
    const { wire } = await startWorker('a')
    wire.publish(`${namespace}.do.foreign.${message}`, headers, Buffer.from(body))
    await eventually('it is dead', async () => (await letters()).length === 1)
    expect(await letters()).toMatchObject([{ reason, message }])
    expect(ran).toEqual([])
  })

  it('buries a body of the largest size in two parts', async () => {
    const { wire } = await startWorker('a')
    const body = Buffer.alloc(wire.maxPayload, 'x')
    body.write('the end', body.length - 7)
    wire.publish(`${namespace}.do.foreign.echo`, {}, body)
    await eventually('it is dead', async () => (await letters()).length === 1)
    const [letter] = await letters()
    expect(letter).toMatchObject({ reason: 'invalid', failure: { name: 'PayloadError' } })
    expect(letter?.headers['Troupe-Tail']).toBe('1')
    expect(Buffer.from(letter?.body ?? []).equals(body)).toBe(true)
  })

  it('is told to drop what expired, and what is cancelled: waiting, running, parked', async () => {
    await startWorker('a')
    const expired = await rejection(troupe.ask(refOf('echo'), 1, { expires: new Date(Date.now() - 1_000) }))
    expect(expired).toMatchObject({ code: 'EXPIRED' })

    const running = rejection(troupe.ask(refOf('wait'), {}, { id: 'runs' }))
    await eventually('it runs', () => ran.length === 1)
    const waiting = rejection(troupe.ask(refOf('echo'), {}, { id: 'waits' }))
    await eventually('both are stored', async () => (await stored('mailbox-foreign')) === 2)
    const first = troupe.cancel('foreign', { id: 'waits' }, { timeout: '10s' })
    await eventually('the cancel is stored', async () => (await stored('cancels')) === 1)
    expect(await troupe.cancel('foreign', { message: 'wait' })).toEqual({ was: 'running' })
    expect(await first).toEqual({ was: 'waiting' })
    for (const ended of [running, waiting]) expect(await ended).toMatchObject({ code: 'CANCELLED' })

    const parked = rejection(troupe.ask(refOf('echo'), {}, { id: 'parked', delay: '1m' }))
    await eventually('it is parked', () => isParked('echo', 'parked'))
    expect(await troupe.cancel('foreign', { id: 'parked' })).toEqual({ was: 'parked' })
    expect(await parked).toMatchObject({ code: 'CANCELLED' })

    const retried = rejection(
      troupe.ask(refOf('fail'), {}, { id: 'retries', retry: { backoff: { base: '1m', jitter: 0 } } }),
    )
    await eventually('its retry is parked', async () => (await stored('timer-foreign')) === 1)
    expect(await troupe.cancel('foreign', { id: 'retries' })).toEqual({ was: 'parked' })
    expect(await retried).toMatchObject({ code: 'CANCELLED' })
    expect(ran.map(({ id }) => id)).toEqual(['runs', 'retries'])
  })

  it('delays by its timer, never early, and replaces what waits', async () => {
    await startWorker('a')
    const due = Date.now() + 900
    await troupe.send(refOf('echo'), 'first', { id: 'one', at: due + 600, replace: true })
    await eventually('it is parked', () => isParked('echo', 'one'))
    expect(await troupe.ask(refOf('echo'), 'second', { id: 'one', at: due, replace: true })).toBe('second')
    expect(Date.now()).toBeGreaterThanOrEqual(due)
    await eventually(
      'nothing is left',
      async () => (await stored('mailbox-foreign')) + (await stored('timer-foreign')) === 0,
    )
    expect(ran.map(({ payload }) => payload)).toEqual(['second'])
  })

  it('answers live calls and hears broadcasts', async () => {
    await startWorker('a')
    expect(await troupe.call(refOf('echo'), { live: true })).toEqual({ live: true })
    expect(await rejection(troupe.call(refOf('fail'), {}))).toMatchObject({
      code: 'DEAD',
      failure: { code: 'ENOMAIL' },
    })
    expect(await rejection(troupe.call(refOf('nothing'), {}))).toMatchObject({ code: 'NO_LIVE_WORKER' })
    await troupe.broadcast(refOf('echo'), 'all')
    await eventually('it heard', () => ran.some(({ payload }) => payload === 'all'))
  })
})

describe('a worker on a bare socket keeps the promises', () => {
  it('P2: what runs longer than its lease is not run by another', async () => {
    await startWorker('a')
    await startWorker('b')
    const asked = troupe.ask(refOf('wait'), {}, { id: 'long' })
    await eventually('it runs', () => ran.length === 1)
    // Two and a half leases: that is what is tested.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    open.open()
    expect(await asked).toBe('waited')
    expect(ran).toHaveLength(1)
  })

  it('P3: what a killed worker ran, another gets after the lease', async () => {
    const { wire } = await startWorker('a')
    const asked = troupe.ask(refOf('wait'), {}, { id: 'orphan' })
    await eventually('it runs', () => ran.length === 1)
    await startWorker('b')
    wire.kill()
    await eventually('the other runs it', () => ran.length === 2, 5_000)
    open.open()
    expect(await asked).toBe('waited')
    expect(new Set(ran.map(({ by }) => by)).size).toBe(2)
  })

  it('P3: a message that kills its workers becomes a dead letter after four runs', async () => {
    await startWorker('0', { leaseMs: 500 })
    await troupe.send(refOf('die'), {}, { id: 'killer' })
    for (let life = 1; life <= 4; life++) {
      await eventually(`it killed ${life}`, () => ran.length === life, 5_000)
      await startWorker(String(life), { leaseMs: 500 })
    }
    await eventually('it is dead', async () => (await letters()).length === 1, 5_000)
    expect(await letters()).toMatchObject([{ id: 'killer', reason: 'poison' }])
    expect(ran).toHaveLength(4)
  })

  it('P1: one that dies between parking a retry and its ack leaves one message to run, not two', async () => {
    const dying = await dyingAt(/^\$JS\.ACK\..*\.normal\./)
    await startWorker('a', { wire: dying, leaseMs: 700 })
    await troupe.send(refOf('slowly'), 'x', { id: 'forked', keep: '1h' })
    await eventually('it has died', () => dying.hasDied())
    expect(await stored('timer-foreign')).toBe(1)
    // Its lease is over long before the retry is due: it is delivered again while its copy is still parked.
    await startWorker('b', { leaseMs: 700 })
    await eventually(
      'nothing is left',
      async () => (await stored('mailbox-foreign')) + (await stored('timer-foreign')) === 0,
    )
    expect(attempts('forked')).toEqual([1, 2])
  })

  it('one that dies between keeping a result and its ack is not run again', async () => {
    const dying = await dyingAt(/^\$JS\.ACK\..*\.normal\./)
    await startWorker('a', { wire: dying, leaseMs: 700 })
    const sent = await troupe.send(refOf('echo'), 'x', { id: 'done already', keep: '1h' })
    await eventually('it has died', () => dying.hasDied())
    await startWorker('b', { leaseMs: 700 })
    expect(await sent.result()).toBe('x')
    await eventually('nothing is left', async () => (await stored('mailbox-foreign')) === 0)
    expect(attempts('done already')).toEqual([1])
  })

  it('P8: one that stops gives back what runs, and another has it at once', async () => {
    const { worker } = await startWorker('a', { leaseMs: 30_000 })
    const asked = troupe.ask(refOf('wait'), {}, { id: 'handed over' })
    await eventually('it runs', () => ran.length === 1)
    await startWorker('b', { leaseMs: 30_000 })
    await worker.stop()
    await eventually('the other runs it', () => ran.length === 2, 5_000)
    open.open()
    expect(await asked).toBe('waited')
    expect(attempts('handed over')).toEqual([1, 1])
  })
})

/** The actor as services in TypeScript know it that have none of its code. */
const declared = declareActor('foreign', {
  lease: '1s',
  description: 'Written in another language',
  messages: {
    echo: { payload: z.object({ n: z.number() }), description: 'Answers what it is asked' },
    flaky: {},
    wait: {},
  },
})

describe('an actor that is declared here and runs elsewhere', () => {
  async function hostTimer(): Promise<void> {
    const system = await run({ actors: [declared], servers: server.url, namespace, signals: false, logLevel: 'silent' })
    ending.push(() => system.stop({ within: 0 }))
  }

  it('is sent to with types and its schema, and Troupe runs its timer', async () => {
    await hostTimer()
    await startWorker('bare', { hasTimer: false })
    const due = Date.now() + 800
    expect(await troupe.ask(declared.echo, { n: 1 }, { at: due })).toEqual({ n: 1 })
    expect(Date.now()).toBeGreaterThanOrEqual(due)
    expect(await troupe.ask(declared.flaky, 'x', { id: 'again' })).toEqual({ attempt: 2, payload: 'x' })
    // @ts-expect-error the schema says that n is a number
    expect(await rejection(troupe.send(declared.echo, { n: 'one' }))).toMatchObject({ code: 'INVALID_PAYLOAD' })
    // @ts-expect-error there is no such message
    expect(declared.nothing).toBeUndefined()

    const parked = rejection(troupe.ask(declared.wait, {}, { id: 'parked', delay: '1m' }))
    await eventually('it is parked', () => isParked('wait', 'parked'))
    expect(await troupe.cancel('foreign', { id: 'parked' })).toEqual({ was: 'parked' })
    expect(await parked).toMatchObject({ code: 'CANCELLED' })
  })

  it('is not run here, nor answered for', async () => {
    await hostTimer()
    await troupe.send(declared.echo, { n: 1 }, { id: 'waits' })
    expect(await rejection(troupe.call(declared.echo, { n: 1 }))).toMatchObject({ code: 'NO_LIVE_WORKER' })
    expect(await stored('mailbox-foreign')).toBe(1)
    await startWorker('bare', { hasTimer: false })
    await eventually('it has run', async () => (await stored('mailbox-foreign')) === 0)
    expect(attempts('waits')).toEqual([1])
  })

  it('has schedules, whose accounts its worker keeps', async () => {
    await hostTimer()
    await startWorker('bare', { hasTimer: false })
    await troupe.schedules.put('each-second', { every: '1s', send: declared.echo.with({ n: 7 }), overlap: 'skip' })
    const ended = async (): Promise<unknown[]> =>
      (await troupe.schedules.history('each-second')).filter(({ state }) => state === 'ended')
    await eventually('three have ended', async () => (await ended()).length >= 3)
    expect((await ended()).slice(0, 3)).toMatchObject(
      Array.from({ length: 3 }, () => ({ outcome: { status: 'done', attempts: 1, result: { n: 7 } } })),
    )
    const runs = ran.filter(({ id }) => id.startsWith('each-second@')).map(({ id }) => id)
    expect(new Set(runs).size).toBe(runs.length)
  })
})

describe("beside Troupe's own workers and timers", () => {
  it('each takes its part of one mailbox, and what one parks the other may run', async () => {
    const own = defineActor('foreign', {
      lease: '1s',
      concurrency: 2,
      retry: { attempts: 2, backoff: { base: 20 } },
      messages: {
        soon: async (payload: unknown, ctx) => {
          ran.push({ message: 'soon', id: ctx.id, attempt: ctx.attempt, payload, by: 'troupe' })
          await new Promise((resolve) => setTimeout(resolve, 5)) // so that no one worker has it all
          if (ctx.attempt < 2) throw new Error('not yet')
          return ctx.attempt
        },
      },
    })
    // First the bare one: what it makes in JetStream is what Troupe would have made, or this is refused.
    await startWorker('bare', { concurrency: 2, handlers: sooner() })
    const system: System = await run({
      actors: [own],
      servers: server.url,
      namespace,
      signals: false,
      logLevel: 'silent',
    })
    ending.push(() => system.stop({ within: 0 }))
    const ids = Array.from({ length: 100 }, (_, index) => `shared-${index}`)
    const fates = await troupe.sendMany(own.soon, ids, { id: (id) => String(id) })
    expect(fates.filter(({ error }) => error !== undefined)).toEqual([])
    await eventually('all have run', () => ids.every((id) => attempts(id).length >= 2), 20_000)
    await eventually(
      'nothing is left',
      async () => (await stored('mailbox-foreign')) + (await stored('timer-foreign')) === 0,
    )
    expect(ids.filter((id) => String(attempts(id)) !== '1,2')).toEqual([])
    expect(await letters()).toEqual([])
    for (const by of ['troupe', 'bare']) expect(ran.some((one) => one.by === by)).toBe(true)
    const crossed = ids.filter((id) => new Set(ran.filter((one) => one.id === id).map(({ by }) => by)).size === 2)
    expect(crossed.length).toBeGreaterThan(0)
  })
})

function sooner(): Handlers {
  return {
    soon: async (payload, { id, attempt }) => {
      ran.push({ message: 'soon', id, attempt, payload, by: 'bare' })
      await new Promise((resolve) => setTimeout(resolve, 5)) // so that no one worker has it all
      return attempt < 2 ? new Verdict('retry', 20, 'not yet') : attempt
    },
  }
}
