import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { defineActor, retry, snooze, type EventLevel } from 'troupe'
import { describe, expect, it } from 'vitest'

import { LEAST_LEVEL } from '#runtime/events.js'

import { makeProject } from '../kit/cli.ts'
import { startServer } from '../kit/server.ts'
import { eventually, gate, testBundle, type Bundle } from '../kit/system.ts'

const LONG_AGO = 1

const actor = defineActor('talks', {
  retry: { attempts: 2, backoff: { base: '1ms' } },
  messages: {
    fine: () => 'ok',
    tells: (_payload: unknown, ctx) => ctx.progress({ half: true }),
    once: (_payload: unknown, ctx) => (ctx.attempt === 1 ? retry({ reason: 'once' }) : 'ok'),
    fails: (): never => {
      throw new Error('no')
    },
    naps: (_payload: unknown, ctx) => (ctx.headers['Troupe-Origin'] === undefined ? snooze('1ms') : 'ok'),
  },
})

interface Heard {
  readonly subjects: string[]
  readonly bodies: Map<string, Record<string, unknown>>
}

/** Events of messages and of the system itself, as they are heard on NATS. */
async function listen({ troupe, namespace }: Bundle): Promise<Heard> {
  const heard: Heard = { subjects: [], bodies: new Map() }
  troupe.connection.subscribe(`${namespace}.event.>`, {
    callback: (_error, msg) => {
      const subject = msg.subject.slice(namespace.length + 1)
      // How children are started and stopped is supervision's.
      if (/\.child-/.test(subject)) return
      heard.subjects.push(subject)
      heard.bodies.set(subject, msg.json())
    },
  })
  await troupe.connection.flush()
  return heard
}

/** The events of one run of everything. */
async function heardAt(level: EventLevel): Promise<Heard> {
  await using t = await testBundle({ system: 'talker', events: level })
  const heard = await listen(t)
  const sender = await t.sender({ events: level, sender: 'shop' })
  const system = await t.another([actor], { events: level, system: 'talker' })
  await sender.send(actor.fine, undefined, { id: 'f' })
  await sender.send(actor.tells, undefined)
  await sender.send(actor.once, {})
  await sender.send(actor.fails, undefined, { id: 'd' })
  await sender.send(actor.naps, {})
  await sender.send(actor.fine, undefined, { id: 'x', headers: {}, expires: new Date(LONG_AGO) })
  await sender.send(actor.fine, undefined, { id: 'c', delay: '1h' })
  // A cancel that comes while its message is on its way to parking meets it only when it is due.
  const jsm = await jetstreamManager(t.troupe.connection)
  const parked = { last_by_subj: `${t.namespace}.timer.at.talks.fine.c` }
  const isParked = async (): Promise<boolean> =>
    (await jsm.streams.getMessage(`${t.namespace}-timer-talks`, parked).catch(() => null)) !== null
  await eventually('it is parked', isParked)
  await sender.cancel('talks', { id: 'c' })
  await t.events.wait('done', { count: 4 })
  for (const event of ['dead', 'expired', 'cancelled'] as const) await t.events.wait(event)
  await system.stop()
  await t.troupe.connection.flush()
  return heard
}

const FAILURES = [
  'event.system.talker.started',
  'event.talks.tells.progress',
  'event.talks.once.retry',
  'event.talks.fails.retry',
  'event.talks.fails.dead',
  'event.talks.fine.expired',
  'event.talks.fine.cancelled',
  'event.system.talker.stopping',
  'event.system.talker.stopped',
]

describe('events on NATS', () => {
  it('at level off: nothing but the progress that a handler itself tells', async () => {
    expect((await heardAt('off')).subjects).toEqual(['event.talks.tells.progress'])
  })

  it('at level failures: what went wrong, progress, and the life of the system', async () => {
    const { subjects, bodies } = await heardAt('failures')
    expect(new Set(subjects)).toEqual(new Set(FAILURES))
    expect(bodies.get('event.talks.fails.dead')).toMatchObject({
      id: 'd',
      actor: 'talks',
      message: 'fails',
      attempt: 2,
      worker: 'talker/talks',
      reason: 'failed',
      failure: { name: 'Error', message: 'no' },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    })
    expect(bodies.get('event.talks.once.retry')).toMatchObject({ attempt: 1, failure: { message: 'once' } })
    expect(bodies.get('event.talks.tells.progress')).toMatchObject({ value: { half: true } })
    expect(bodies.get('event.talks.fine.cancelled')).toMatchObject({ id: 'c', reason: 'cancelled' })
    expect(bodies.get('event.system.talker.started')).toMatchObject({
      system: 'talker',
      actors: ['talks'],
      pid: process.pid,
    })
  })

  it('at level all: also what happens to every healthy message, from its sender on', async () => {
    const { subjects, bodies } = await heardAt('all')
    const quiet = ['fine.sent', 'fine.started', 'fine.done', 'naps.snooze'].map((name) => `event.talks.${name}`)
    expect(subjects).toEqual(expect.arrayContaining([...FAILURES, ...quiet]))
    expect(subjects.filter((subject) => subject.endsWith('.sent'))).toHaveLength(7)
    expect(bodies.get('event.talks.fine.done')).toMatchObject({ actor: 'talks', durationMs: expect.any(Number) })
    expect(bodies.get('event.talks.naps.sent')).toMatchObject({ attempt: 1, sender: 'shop', lane: 'normal' })
    expect(bodies.get('event.talks.fine.sent')).toMatchObject({ id: 'c', due: expect.stringMatching(/^20/) })
  })

  it('released, when a stop ends a run', async () => {
    const started = gate()
    const slow = defineActor('slow', {
      messages: {
        go: (_payload: unknown, ctx) =>
          new Promise((_resolve, reject) => {
            ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error))
            started.open()
          }),
      },
    })
    await using t = await testBundle({ actors: [slow], events: 'all' })
    const heard = await listen(t)
    await t.troupe.send(slow.go, undefined, { id: 's' })
    await started.passed
    await t.system.stop({ within: 0 })
    await t.troupe.connection.flush()
    expect(heard.bodies.get('event.slow.go.released')).toMatchObject({ id: 's', attempt: 1 })
  })

  it('are listed with their levels: no event is without one', () => {
    expect(LEAST_LEVEL).toMatchObject({ sent: 'all', progress: 'off', dead: 'failures' })
  })
})

describe('the level of an actor', () => {
  it('is its own option before the setting', async () => {
    const loud = defineActor('loud', { events: 'all', messages: { go: () => 'ok' } })
    const mute = defineActor('mute', {
      events: 'off',
      retry: false,
      messages: { go: () => Promise.reject(new Error()) },
    })
    await using t = await testBundle({ actors: [loud, mute] })
    const heard = await listen(t)
    await t.troupe.send(loud.go, undefined)
    await t.troupe.send(mute.go, undefined)
    await t.events.wait('done')
    await t.events.wait('dead')
    await t.troupe.connection.flush()
    expect(heard.subjects.toSorted()).toEqual(['event.loud.go.done', 'event.loud.go.sent', 'event.loud.go.started'])
  })

  it('is checked in the definition', () => {
    expect(() => defineActor('loud', { events: 'faliures' as never, messages: { go: () => 'ok' } })).toThrow(
      /expected loud.events to be one of off, failures, all, got: "faliures", did you mean "failures"\?/,
    )
  })

  it('may be changed while it runs, in every system, and holds when its worker is restarted', async () => {
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.another([actor], { system: 'two' })
    const heard = await listen(t)
    await using project = await makeProject({
      env: { TROUPE_NATS_SERVERS: t.server.url, TROUPE_NAMESPACE: t.namespace },
    })
    const changed = await project.troupe('events', 'talks', 'all', '--json')
    expect(JSON.parse(changed.stdout)).toEqual({
      actor: 'talks',
      systems: [
        { system: 'one', runs: true, level: 'all' },
        { system: 'two', runs: true, level: 'all' },
      ],
    })
    await t.system.supervision.restart('talks')
    for (let n = 0; n < 4; n++) await t.troupe.ask(actor.fine, undefined)
    await eventually('all are told', () => heard.subjects.filter((name) => name.endsWith('.done')).length === 4)

    const back = await project.troupe('events', 'talks', 'default')
    expect(back).toMatchObject({ code: 0, stdout: expect.stringMatching(/one +talks +failures/) as string })
    const before = heard.subjects.length
    await t.troupe.ask(actor.fine, undefined)
    await t.troupe.connection.flush()
    expect(heard.subjects).toHaveLength(before)

    expect(await project.troupe('events', 'talks', 'loud')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('expected LEVEL to be one of off, failures, all') as string,
    })
    expect(await project.troupe('events', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('expected a running system with actor nobody') as string,
    })
  }, 60_000)

  it('all does not trouble a sender that may not publish events', async () => {
    const conf = `authorization { users: [
      { user: all, password: a }
      { user: shop, password: s, permissions: { publish: { deny: ["*.event.>"] } } }
    ] }`
    await using server = await startServer({ conf })
    await using t = await testBundle({ server: { ...server, url: server.url.replace('//', '//all:a@') } })
    await t.another([actor], { events: 'all' })
    const heard = await listen(t)
    const shop = await t.sender({ servers: server.url.replace('//', '//shop:s@'), events: 'all' })
    for (let n = 0; n < 5; n++) expect(await shop.ask(actor.fine, undefined)).toBe('ok')
    await eventually('the worker tells', () => heard.subjects.filter((name) => name.endsWith('.done')).length === 5)
    expect(heard.subjects.filter((name) => name.endsWith('.sent'))).toEqual([])
  })
})

describe('a capture of events', () => {
  it('keeps them in a stream with limits, for history', async () => {
    await using t = await testBundle({
      actors: [actor],
      events: 'all',
      retention: { events: '2h', eventBytes: 2_000_000 },
    })
    await t.troupe.ask(actor.once, {}, { id: 'kept' })
    const stream = await jetstream(t.troupe.connection).streams.get(`${t.namespace}-events`)
    expect((await stream.info()).config).toMatchObject({
      subjects: [`${t.namespace}.event.>`],
      max_age: 2 * 3600 * 1e9,
      max_bytes: 2_000_000,
      discard: 'old',
    })
    const events: string[] = []
    await eventually('all are stored', async () => {
      events.length = 0
      const { state } = await stream.info()
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const message = await stream.getMessage({ seq })
        if (message?.json<{ id?: string }>().id === 'kept') events.push(message.subject.replace(/.*\./, ''))
      }
      return events.includes('done')
    })
    expect(events).toEqual(['started', 'retry', 'started', 'done'])
  })

  it('is not made unless it is asked for', async () => {
    await using t = await testBundle({ actors: [actor], events: 'all' })
    const reply = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-events`)
    expect(reply.json()).toMatchObject({ error: { err_code: 10059 } })
  })
})

describe('listeners in the process', () => {
  it('hear everything, whatever is published', async () => {
    await using t = await testBundle({ actors: [actor], events: 'off' })
    await t.troupe.send(actor.fine, undefined)
    await t.events.wait('done')
    expect(t.events.seen.map((one) => one.event)).toEqual(['started', 'done'])
  })

  it('may throw: that is told, and no message is held up', async () => {
    await using t = await testBundle()
    const onEvent = (): never => {
      throw new Error('a bug of the listener')
    }
    const { troupe, workers } = await t.another([actor], { onEvent })
    expect(await troupe.ask(actor.fine, undefined)).toBe('ok')
    const worker = workers.get(actor.fine.actor)
    await eventually('all is settled', () => worker?.unsettled === 0 && worker.running.length === 0)
  })

  it('hear of a rejection that a handler left behind, and its message is done', async () => {
    const leaks = defineActor('leaks', { messages: { go: () => void Promise.reject(new Error('nobody waits')) } })
    await using t = await testBundle({ actors: [leaks] })
    await t.troupe.send(leaks.go, undefined, { id: 'l' })
    expect(await t.events.wait('leak')).toMatchObject({ id: 'l', failure: { message: 'nobody waits' } })
    await t.events.wait('done')
  })
})

describe('when what a system stands on is deleted', () => {
  const healing = defineActor('heals', { messages: { go: (payload: unknown) => payload } })

  async function troubles(t: Awaited<ReturnType<typeof testBundle>>): Promise<string[]> {
    const heard: string[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.system.*.trouble`, {
      callback: (_error, msg) => void heard.push(msg.json<{ problem: string }>().problem),
    })
    await t.troupe.connection.flush()
    return heard
  }

  it.each(['CONSUMER.DELETE.NAME.normal', 'CONSUMER.DELETE.NAME.high', 'STREAM.DELETE.NAME'])(
    '%s: it is made again, and work goes on',
    async (call) => {
      await using t = await testBundle({ actors: [healing] })
      const heard = await troubles(t)
      expect(await t.troupe.ask(healing.go, 1)).toBe(1)
      await t.troupe.connection.request(`$JS.API.${call.replace('NAME', `${t.namespace}-mailbox-heals`)}`)
      await eventually('it is told', () => heard.length > 0, 20_000)
      const lane = call.endsWith('high') ? 'high' : 'normal'
      expect(await t.troupe.ask(healing.go, 2, { lane, timeout: '20s' })).toBe(2)
    },
    60_000,
  )

  it('a stream is made again a moment later, by worker and sender: the server still removes the files of the one before', async () => {
    await using t = await testBundle({ actors: [healing] })
    await t.troupe.ask(healing.go, 1)
    const stream = `${t.namespace}-mailbox-heals`
    const made: number[] = []
    t.troupe.connection.subscribe('$JS.EVENT.ADVISORY.API', {
      callback: (_error, msg) => {
        if (msg.json<{ subject: string }>().subject === `$JS.API.STREAM.CREATE.${stream}`) made.push(performance.now())
      },
    })
    await t.troupe.connection.request(`$JS.API.STREAM.DELETE.${stream}`)
    const deletedAt = performance.now()
    expect(await t.troupe.ask(healing.go, 2, { timeout: '20s' })).toBe(2)
    // One of the sender's, one of the worker's.
    await eventually('both made it', () => made.length >= 2)
    expect(Math.min(...made) - deletedAt).toBeGreaterThan(900)
  }, 60_000)

  it('the timer’s stream: delayed messages work again', async () => {
    await using t = await testBundle({ actors: [healing] })
    const heard = await troubles(t)
    await t.troupe.connection.request(`$JS.API.STREAM.DELETE.${t.namespace}-timer-heals`)
    await eventually('it is told', () => heard.length > 0, 20_000)
    expect(await t.troupe.ask(healing.go, 2, { delay: '900ms', timeout: '20s' })).toBe(2)
  }, 60_000)
})
