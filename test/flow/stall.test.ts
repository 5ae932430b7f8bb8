/** P9: a worker that gets nothing of a backlog is restarted; one that may get nothing is not. */
import { jetstreamManager } from '@nats-io/jetstream'
import { createSystem, defineActor, type PlannedSystem, type SystemOptions } from 'troupe'
import { afterEach, describe, expect, it, vi } from 'vitest'

import { Pull } from '#runtime/broker/pull.js'

import { startProxy } from '../faults/proxy.ts'
import { eventually, gate, testBundle, type Bundle } from '../kit/system.ts'

afterEach(() => void vi.restoreAllMocks())

const nats = { silentAfter: '1s' } as const
const mailbox = { stalledAfter: '400ms' } as const

function planned(t: Bundle, options: SystemOptions): PlannedSystem {
  const { url: servers } = t.server
  return createSystem({
    namespace: t.namespace,
    logLevel: 'silent',
    signals: false,
    servers,
    nats,
    mailbox,
    ...options,
  })
}

/** As a bug of ours would do it: workers and timers ask for nothing any more. */
function askForNothing(): void {
  vi.spyOn(Pull.prototype, 'stand').mockImplementation(() => {})
  vi.spyOn(Pull.prototype, 'sweep').mockImplementation(() => {})
}

function failuresOf(t: Bundle): { child: string; failure: { code: string; message: string } }[] {
  const failures: { child: string; failure: { code: string; message: string } }[] = []
  t.troupe.connection.subscribe(`${t.namespace}.event.system.*.child-failed`, {
    callback: (_, msg) => void failures.push(msg.json()),
  })
  return failures
}

describe('a worker that gets nothing of a backlog', () => {
  it('is restarted, and goes on (P9)', async () => {
    const actor = defineActor('stuck', { messages: { go: async () => 'gone' } })
    await using t = await testBundle()
    const failures = failuresOf(t)
    await using plan = planned(t, { supervise: { children: [actor] } })
    const system = await plan.start()
    expect(await t.troupe.ask(actor.go, null)).toBe('gone')
    askForNothing()
    await eventually('it asks for nothing', () => system.workers.get('stuck')?.asked === 0)
    const asked = t.troupe.ask(actor.go, null)
    await eventually('the supervisor sees it', () => failures.length > 0)
    vi.restoreAllMocks()
    expect(await asked).toBe('gone')
    expect(failures[0]).toMatchObject({ child: 'stuck', failure: { code: 'STALLED' } })
    expect(failures[0]?.failure.message).toMatch(
      /^expected messages from consumer normal of t\d+-mailbox-stuck, which has some to give, but nothing came for \S+ though there was room$/,
    )
    await eventually('it is told', () => system.supervision.tree()[0]?.state === 'running')
    expect(system.supervision.tree()).toMatchObject([{ id: 'stuck', restarts: 1 }])
  })

  it('is restarted when it is the timer too', async () => {
    const actor = defineActor('late', { messages: { go: async () => 'gone' } })
    await using t = await testBundle()
    const failures = failuresOf(t)
    await using plan = planned(t, { supervise: { children: [actor] } })
    await plan.start()
    expect(await t.troupe.ask(actor.go, null, { delay: '100ms' })).toBe('gone')
    askForNothing()
    // Nothing is in flight any more when the pulls that stood have ended.
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    const asked = t.troupe.ask(actor.go, null, { delay: '100ms' })
    await eventually('the supervisor sees it', () => failures.length > 0)
    vi.restoreAllMocks()
    expect(await asked).toBe('gone')
    expect(failures[0]?.failure.message).toContain('consumer later of')
  })

  it('again and again without getting anything ends its system', async () => {
    const actor = defineActor('hopeless', { messages: { go: async () => 'gone' } })
    await using t = await testBundle()
    const failures = failuresOf(t)
    const given: Error[] = []
    const supervise = { backoff: { base: '10ms', max: '10ms' }, children: [actor] }
    await using plan = planned(t, { supervise, onGiveUp: (error) => given.push(error) })
    const system = await plan.start()
    askForNothing()
    await eventually('it asks for nothing', () => system.workers.get('hopeless')?.asked === 0)
    await t.troupe.send(actor.go, null)
    await eventually('it gives up', () => given.length > 0, 28_000)
    await system.stopped
    expect(given[0]).toMatchObject({ code: 'STALLED' })
    expect(failures.length).toBe(4)
  })
})

describe('a worker that may get nothing', () => {
  it('is left alone: its lane is paused, the limit of all is used up, or its slots are taken', async () => {
    const running = gate()
    const go = { go: () => running.passed }
    const paused = defineActor('paused', { messages: go })
    const limited = defineActor('limited', { limit: 1, messages: go })
    const full = defineActor('full', { concurrency: 1, messages: go })
    await using t = await testBundle({ actors: [limited] })
    const failures = failuresOf(t)
    await using plan = planned(t, { supervise: { children: [paused, limited, full] } })
    const system = await plan.start()
    const jsm = await jetstreamManager(t.troupe.connection)
    await jsm.consumers.pause(`${t.namespace}-mailbox-paused`, 'normal', new Date(Date.now() + 60_000))
    for (const actor of [paused, limited, full]) await t.troupe.sendMany(actor.go, [1, 2, 3])
    await eventually('what may run runs', () => system.workers.get('full')?.running.length === 1)
    // Time is what must not make a stall: three times what makes one elsewhere.
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(failures).toEqual([])
    const { num_pending: waiting } = await jsm.consumers.info(`${t.namespace}-mailbox-limited`, 'all')
    expect(waiting).toBe(2)
    running.open()
  })
})

describe('after a reconnect', () => {
  it('every consumer is made sure of', async () => {
    const actor = defineActor('lost', { messages: { go: async () => 'gone' } })
    await using t = await testBundle()
    await using proxy = await startProxy(t.server.port)
    await using plan = planned(t, { supervise: { children: [actor] }, servers: proxy.url })
    await plan.start()
    const jsm = await jetstreamManager(t.troupe.connection)
    const stream = `${t.namespace}-mailbox-lost`
    proxy.cut()
    for (const lane of ['high', 'normal', 'low', 'later']) await jsm.consumers.delete(stream, lane)
    proxy.heal()
    await eventually('all are there again', async () => {
      const names: string[] = []
      for await (const { name } of jsm.consumers.list(stream)) names.push(name)
      return names.length === 4
    })
    expect(await t.troupe.ask(actor.go, null)).toBe('gone')
  })
})
