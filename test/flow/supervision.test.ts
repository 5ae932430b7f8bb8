/** Supervision trees over real actors: restarts, groups, giving up, ending in order. */
import { child, createSystem, defineActor, supervisor, type PlannedSystem, type SystemOptions } from 'troupe'
import { describe, expect, it } from 'vitest'

import { makeProject } from '../kit/cli.ts'
import { eventually, gate, serverOfFile, testBundle, type Bundle } from '../kit/system.ts'
import { Command } from '../kit/terminal.ts'

interface Told {
  readonly event: string
  readonly child?: string
  readonly supervisor?: string
  readonly [key: string]: unknown
}

/** Everything that systems of the namespace tell of themselves from now on. */
async function listen(t: Bundle): Promise<Told[]> {
  const told: Told[] = []
  t.troupe.connection.subscribe(`${t.namespace}.event.system.*.*`, {
    callback: (_, msg) => void told.push({ event: msg.subject.split('.').at(-1) ?? '', ...msg.json<object>() }),
  })
  await t.troupe.connection.flush()
  return told
}

const said = (told: readonly Told[], ...events: string[]): string[] =>
  told.filter(({ event }) => events.includes(event)).map(({ event, child: name }) => `${event} ${name}`)

function planned(t: Bundle, options: SystemOptions): PlannedSystem {
  const { url: servers } = t.server
  return createSystem({
    namespace: t.namespace,
    logLevel: 'silent',
    signals: false,
    servers,
    grace: '500ms',
    ...options,
  })
}

const actor = (name: string) => defineActor(name, { messages: { ask: async () => `${name} answers` } })
const BACKOFF = { base: '50ms', jitter: 0 } as const

describe('an actor that fails', () => {
  it('is restarted alone, its messages go on, what ran in its failed life ends and can be cancelled', async () => {
    const open = gate()
    const causes: unknown[] = []
    const work = defineActor('work', {
      messages: {
        quick: async () => 'done',
        long: async (_: unknown, ctx) => {
          ctx.signal.addEventListener('abort', () => causes.push((ctx.signal.reason as { why: string }).why))
          await open.passed
        },
      },
    })
    const [other] = [actor('other')]
    await using t = await testBundle()
    const told = await listen(t)
    await using plan = planned(t, { supervise: { backoff: BACKOFF, children: [work, other] } })
    const system = await plan.start()
    await t.troupe.send(work.long, null, { id: 'ends' })
    await t.troupe.send(work.long, null, { id: 'cancelled' })
    const first = system.hosted.get('work')
    await eventually('both run', () => first?.worker.running.length === 2)
    first?.fail(new Error('its pool is gone'))
    await eventually(
      'it lives anew',
      () => said(told, 'child-started').filter((one) => one.endsWith('work')).length === 2,
    )
    expect(await t.troupe.ask(work.quick, null)).toBe('done')
    expect(await t.troupe.cancel('work', { id: 'cancelled' })).toEqual({ was: 'running' })
    expect(causes).toEqual(['cancelled'])
    open.open()
    await eventually(
      'the failed life has ended',
      () => first?.worker.unsettled === 0 && first.worker.running.length === 0,
    )
    expect(system.supervision.tree()).toMatchObject([
      { id: 'work', state: 'running', restarts: 1, failure: { message: 'its pool is gone' } },
      { id: 'other', state: 'running', restarts: 0 },
    ])
    expect(told.filter(({ event }) => event === 'child-failed')).toMatchObject([
      { supervisor: 'system', child: 'work', failure: { message: 'its pool is gone' } },
    ])
  })

  it('takes those that were started after it along, and those with them only (rest_for_one)', async () => {
    const [a, b, c, d] = [actor('a'), actor('b'), actor('c'), actor('d')]
    await using t = await testBundle()
    const told = await listen(t)
    const media = supervisor('media', { strategy: 'rest_for_one', backoff: BACKOFF, children: [b, c, d] })
    await using plan = planned(t, { supervise: { children: [a, media] } })
    const system = await plan.start()
    told.length = 0
    system.hosted.get('c')?.fail(new Error('broke'))
    await eventually('d is back', () => said(told, 'child-started').length === 2)
    expect(said(told, 'child-failed', 'child-restarting', 'child-stopped', 'child-started')).toEqual([
      'child-failed c',
      'child-restarting c',
      'child-stopped d',
      'child-started c',
      'child-started d',
    ])
    expect(await Promise.all([a, b, c, d].map((one) => t.troupe.ask(one.ask, null)))).toHaveLength(4)
  })
})

describe('a system', () => {
  it('whose tree gives up has stopped in order, and says why', async () => {
    const [a, b] = [actor('a'), actor('b')]
    await using t = await testBundle()
    const told = await listen(t)
    const given: Error[] = []
    await using plan = planned(t, {
      supervise: { restarts: 0, children: [a, supervisor('inner', { restarts: 1, backoff: BACKOFF, children: [b] })] },
      onGiveUp: (error) => given.push(error),
    })
    const system = await plan.start()
    system.hosted.get('b')?.fail(new Error('first'))
    await eventually('it is back', () => said(told, 'child-started').filter((one) => one.endsWith('b')).length === 2)
    system.hosted.get('b')?.fail(new Error('second'))
    await system.stopped
    await eventually('it is said', () => given.length === 1)
    expect(given[0]).toMatchObject({ code: 'GAVE_UP', data: { supervisor: 'system', child: 'inner' } })
    expect(given[0]?.message).toContain('the last was b: second')
    expect(said(told, 'supervisor-gave-up', 'stopped')).toEqual([
      'supervisor-gave-up b',
      'supervisor-gave-up inner',
      'stopped undefined',
    ])
  })

  it('ends in order, and without an error, when its significant actor has ended', async () => {
    const [a, b] = [actor('a'), actor('b')]
    await using t = await testBundle()
    const given: Error[] = []
    await using plan = planned(t, {
      supervise: {
        autoShutdown: 'any_significant',
        children: [a, child(b, { restart: 'temporary', significant: true })],
      },
      onGiveUp: (error) => given.push(error),
    })
    const system = await plan.start()
    system.hosted.get('b')?.fail(new Error('it was temporary'))
    await system.stopped
    expect(given).toEqual([])
  })
})

describe('a process', () => {
  it('ends with code 1 and the reason when its root gives up, though something else holds it', async () => {
    const { url } = await serverOfFile()
    const main = `
      import { createServer } from 'node:http'
      import { createSystem, defineActor } from 'troupe'
      const fragile = defineActor('fragile', { messages: { go: () => {} } })
      const system = await createSystem({ servers: ${JSON.stringify(url)}, namespace: 'givesup', logFormat: 'pretty', supervise: { restarts: 0, children: [fragile] } }).start()
      createServer().listen(0)
      system.hosted.get('fragile').fail(new Error('nothing helps'))`
    await using project = await makeProject({ files: { 'main.mjs': main } })
    await using command = new Command(`"${process.execPath}" main.mjs`, project.dir)
    expect(await command.exited).toEqual([1, null])
    expect(command.output).toContain('giving up: the system stops')
    expect(command.output).toContain('nothing helps')
  })
})
