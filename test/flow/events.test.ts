import { defineActor, retry, snooze, type EventLevel } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, testBundle } from '../kit/system.ts'

const actor = defineActor('talks', {
  retry: { attempts: 2, backoff: { base: '1ms' } },
  messages: {
    fine: () => 'ok',
    once: (_payload: unknown, ctx) => (ctx.attempt === 1 ? retry({ reason: 'once' }) : 'ok'),
    fails: (): never => {
      throw new Error('no')
    },
    naps: (_payload: unknown, ctx) => (ctx.headers['Troupe-Origin'] === undefined ? snooze('1ms') : 'ok'),
  },
})

/** The events of one run of everything, as they are heard on NATS. */
async function heardAt(
  level: EventLevel,
): Promise<{ subjects: string[]; bodies: Map<string, Record<string, unknown>>; namespace: string }> {
  await using t = await testBundle({ system: 'talker' })
  const bodies = new Map<string, Record<string, unknown>>()
  const subjects: string[] = []
  t.troupe.connection.subscribe(`${t.namespace}.event.>`, {
    callback: (_error, msg) => {
      subjects.push(msg.subject.slice(t.namespace.length + 1))
      bodies.set(subjects.at(-1) as string, msg.json())
    },
  })
  await t.troupe.connection.flush()
  const system = await t.another([actor], { events: level, system: 'talker' })
  await t.troupe.send(actor.fine, undefined, { id: 'f' })
  await t.troupe.send(actor.once, {})
  await t.troupe.send(actor.fails, undefined, { id: 'd' })
  await t.troupe.send(actor.naps, {})
  await t.troupe.send(actor.fine, undefined, { expires: '1ms', delay: '20ms' })
  await t.events.wait('done', { count: 3 })
  await t.events.wait('dead')
  await system.stop()
  await t.troupe.connection.flush()
  return { subjects, bodies, namespace: t.namespace }
}

describe('events on NATS', () => {
  it('at level off: nothing', async () => {
    expect((await heardAt('off')).subjects).toEqual([])
  })

  it('at level failures: what went wrong, and the life of the system', async () => {
    const { subjects, bodies } = await heardAt('failures')
    expect(new Set(subjects)).toEqual(
      new Set([
        'event.system.talker.started',
        'event.talks.once.retry',
        'event.talks.fails.retry',
        'event.talks.fails.dead',
        'event.system.talker.stopping',
        'event.system.talker.stopped',
      ]),
    )
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
    expect(bodies.get('event.system.talker.started')).toMatchObject({
      system: 'talker',
      actors: ['talks'],
      pid: process.pid,
    })
  })

  it('at level all: also what happens to every healthy message', async () => {
    const { subjects, bodies } = await heardAt('all')
    const count = (name: string): number => subjects.filter((subject) => subject === name).length
    expect(count('event.talks.fine.started')).toBeGreaterThanOrEqual(1)
    expect(count('event.talks.fine.done')).toBeGreaterThanOrEqual(1)
    expect(count('event.talks.naps.snooze')).toBe(1)
    expect(bodies.get('event.talks.fine.done')).toMatchObject({ actor: 'talks', durationMs: expect.any(Number) })
  })
})

describe('listeners in the process', () => {
  it('hear everything, whatever is published', async () => {
    await using t = await testBundle({ actors: [actor], events: 'off' })
    await t.troupe.send(actor.fine, undefined)
    await t.events.wait('done')
    expect(t.events.seen.map((one) => one.event)).toEqual(['started', 'done'])
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

  it('the timer’s stream: delayed messages work again', async () => {
    await using t = await testBundle({ actors: [healing] })
    const heard = await troubles(t)
    await t.troupe.connection.request(`$JS.API.STREAM.DELETE.${t.namespace}-timer-heals`)
    await eventually('it is told', () => heard.length > 0, 20_000)
    expect(await t.troupe.ask(healing.go, 2, { delay: '900ms', timeout: '20s' })).toBe(2)
  }, 60_000)
})
