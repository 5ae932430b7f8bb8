/** Hooks of systems and workers, and resources: opened before the first handler, handed to all, closed after the last. */
import { createSystem, defineActor, resource, type System } from 'troupe'
import { testSystem } from 'troupe/testing'
import { describe, expect, it } from 'vitest'

import { eventually, gate, rejection, serverOfFile, testBundle } from '../kit/system.ts'

/** A pool that writes down when it is opened and closed, and refuses what comes after. */
function poolFor(log: string[], name = 'pool') {
  let opened = 0
  return resource({
    open: async () => {
      const number = ++opened
      log.push(`open ${name} ${number}`)
      let isOpen = true
      return {
        number,
        query: () => {
          if (!isOpen) throw new Error(`${name} is closed`)
          return number
        },
        end: () => (isOpen = false),
      }
    },
    close: async (pool) => {
      pool.end()
      log.push(`close ${name} ${pool.number}`)
    },
  })
}

describe('resources and hooks', () => {
  it('come in order: system, resources, worker, handlers, and the same backwards', async () => {
    const log: string[] = []
    const running = gate()
    const actor = defineActor('ordered', {
      resources: { first: poolFor(log, 'first'), second: poolFor(log, 'second') },
      onStart: ({ actor: name, worker, resources }) =>
        log.push(`start ${name} in ${worker} with ${resources.first.query()}`),
      onStop: ({ resources }) => log.push(`stop with ${resources.second.query()}`),
      messages: {
        work: async (_: unknown, ctx) => {
          await running.passed
          log.push(`ran with ${ctx.resources.second.query()}`)
        },
      },
    })
    const hooks = {
      onStart: (system: System) => log.push(`system ${system.name} starts, ${system.troupe.connection.isClosed()}`),
      onStop: (system: System) => log.push(`system stops, ${system.troupe.connection.isClosed()}`),
    }
    const t = await testBundle({ actors: [actor], system: 'ordered', ...hooks })
    await t.troupe.send(actor.work, null)
    await eventually('it runs', () => t.system.workers.get('ordered')?.running.length === 1)
    const stopped = t.system.stop()
    running.open()
    await stopped
    expect(log).toEqual([
      'system ordered starts, false',
      'open first 1',
      'open second 1',
      'start ordered in ordered/ordered with 1',
      'ran with 1',
      'stop with 1',
      'close second 1',
      'close first 1',
      'system stops, false',
    ])
    await t[Symbol.asyncDispose]()
  })

  it('are shared by actors that name the same one, and closed with the last of them', async () => {
    const log: string[] = []
    const pool = poolFor(log)
    const actor = (name: string) =>
      defineActor(name, {
        resources: { pool },
        messages: { ask: async (_: unknown, ctx) => ctx.resources.pool.query() },
      })
    const [a, b] = [actor('a'), actor('b')]
    await using t = await testBundle({ actors: [a, b] })
    expect(await t.troupe.ask(a.ask, null)).toBe(1)
    await t.system.supervision.stop('a')
    expect(await t.troupe.ask(b.ask, null)).toBe(1)
    expect(log).toEqual(['open pool 1'])
    await t.system.supervision.stop('b')
    expect(log).toEqual(['open pool 1', 'close pool 1'])
    await Promise.all([t.system.supervision.start('a'), t.system.supervision.start('b')])
    expect(await t.troupe.call(a.ask, null)).toBe(2)
    expect(log).toEqual(['open pool 1', 'close pool 1', 'open pool 2'])
  })

  it('that are given stand for what would be opened', async () => {
    const log: string[] = []
    const actor = defineActor('given', {
      resources: { pool: poolFor(log), other: poolFor(log, 'other') },
      messages: { ask: async (_: unknown, ctx) => ctx.resources.pool.query() },
    })
    const { url } = await serverOfFile()
    await using t = await testSystem({ servers: url, actors: [actor], resources: { pool: { query: () => 42 } } })
    expect(await t.ask(actor.ask, null)).toBe(42)
    expect(log).toEqual(['open other 1'])
  })
})

describe('an actor that can not start', () => {
  const broken = (error: Error) => resource({ open: () => Promise.reject(error) })

  it('keeps its system from starting, with the error of its own, and what was started is stopped', async () => {
    const log: string[] = []
    const good = defineActor('good', { resources: { pool: poolFor(log) }, messages: { m: () => {} } })
    const bad = defineActor('bad', {
      resources: { pool: poolFor(log, 'own'), broken: broken(new Error('no such database')) },
      messages: { m: () => {} },
    })
    const { url } = await serverOfFile()
    const planned = createSystem({
      servers: url,
      logLevel: 'silent',
      signals: false,
      supervise: { children: [good, bad] },
    })
    expect((await rejection(planned.start())).message).toBe('no such database')
    expect(log).toEqual(['open pool 1', 'open own 1', 'close own 1', 'close pool 1'])
  })

  it('is one whose onStart throws, or takes longer than startWithin', async () => {
    const { url } = await serverOfFile()
    const start = (options: Partial<Parameters<typeof defineActor>[1]>): Promise<Error & Record<string, unknown>> =>
      rejection(
        createSystem({
          servers: url,
          logLevel: 'silent',
          signals: false,
          supervise: { children: [defineActor('bad', { ...options, messages: { m: () => {} } })] },
        }).start(),
      )
    const thrown = await start({
      onStart: () => {
        throw new TypeError('not today')
      },
    })
    expect(thrown).toMatchObject({ name: 'TypeError', message: 'not today' })
    const late = await start({ startWithin: '100ms', onStart: () => new Promise(() => {}) })
    expect(late).toMatchObject({ code: 'TIMEOUT' })
    expect(late.message).toBe(
      'expected bad to open its resources and to end onStart within 100ms (startWithin), but it did not',
    )
  })

  it('is one whose onStart ends too late: what it began is ended by onStop', async () => {
    const hold = gate()
    const log: string[] = []
    const late = defineActor('tardy', {
      startWithin: '50ms',
      onStart: () => hold.passed.then(() => void log.push('started')),
      onStop: () => void log.push('stopped'),
      messages: { ping: () => 1 },
    })
    await using t = await testBundle()
    expect(await rejection(t.another([late]))).toMatchObject({ code: 'TIMEOUT' })
    expect(log).toEqual([])
    hold.open()
    await eventually('it was ended', () => log.length === 2)
    expect(log).toEqual(['started', 'stopped'])
  })

  it('when it is restarted is told, tried again with longer waits, and runs when it can (no hot loop)', async () => {
    let opens = 0
    let isUp = true
    const database = resource({
      open: () => {
        opens++
        if (!isUp) throw new Error('the database is away')
      },
    })
    const actor = defineActor('reader', { resources: { database }, messages: { ask: async () => 'read' } })
    await using t = await testBundle()
    const events: string[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.system.*.*`, {
      callback: (_, msg) => void events.push(msg.subject.split('.').at(-1) ?? ''),
    })
    const planned = createSystem({
      servers: t.server.url,
      namespace: t.namespace,
      logLevel: 'silent',
      signals: false,
      supervise: { backoff: { base: '100ms', jitter: 0 }, children: [actor] },
    })
    const system = await planned.start()
    isUp = false
    system.hosted.get('reader')?.fail(new Error('lost the database'))
    await eventually('it was tried three times', () => opens === 4)
    const failed = (): number => events.filter((event) => event === 'child-start-failed').length
    await eventually('it was told', () => failed() >= 3)
    // 100, 200 and 400 ms: no time for more.
    expect(failed()).toBe(3)
    expect(system.supervision.tree()).toMatchObject([
      { id: 'reader', state: 'waiting', failure: { message: 'the database is away' } },
    ])
    isUp = true
    expect(await t.troupe.ask(actor.ask, null)).toBe('read')
    await eventually('all is told', () => events.at(-1) === 'child-started')
    expect(events.filter((event) => event.startsWith('child-'))).toEqual([
      'child-started',
      'child-failed',
      ...Array.from({ length: 3 }, () => ['child-restarting', 'child-start-failed']).flat(),
      'child-restarting',
      'child-started',
    ])
    await planned.stop({ within: 0 })
  })
})
