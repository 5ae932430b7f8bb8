import { defineActor, type AbortedError, type Logger } from 'troupe'
import { describe, expect, it, vi } from 'vitest'

import { startServer } from '../kit/server.ts'
import { eventually, gate, testBundle } from '../kit/system.ts'

type Bundle = Awaited<ReturnType<typeof testBundle>>

async function waitingIn(t: Bundle, actor: string): Promise<{ pending: number; unacked: number }> {
  const info = await t.troupe.connection.request(`$JS.API.CONSUMER.INFO.${t.namespace}-mailbox-${actor}.normal`)
  const { num_pending, num_ack_pending } = info.json<{ num_pending: number; num_ack_pending: number }>()
  return { pending: num_pending, unacked: num_ack_pending }
}

describe('a system that stops', () => {
  it('lets running handlers finish, gives the rest back at once, and nothing is counted as an attempt', async () => {
    const hold = gate()
    const actor = defineActor('drains', { concurrency: 3, messages: { go: () => hold.passed } })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.sendMany(actor.go, Array.from({ length: 10 }))
    await t.events.wait('started', { count: 3 })
    const stopped = t.system.stop({ within: '10s' })
    await eventually('the rest is back in the mailbox', async () => (await waitingIn(t, 'drains')).unacked <= 3)
    expect(t.events.of('done')).toEqual([])
    hold.open()
    await stopped
    expect(t.events.of('done')).toHaveLength(3)
    await t.another([actor])
    await t.events.wait('done', { count: 10 })
    expect(t.events.of('started').every((event) => event.attempt === 1)).toBe(true)
    expect(t.events.of('started')).toHaveLength(10)
    expect(t.events.of('retry')).toEqual([])
  })

  it('gives back what a fast worker had in its buffer: another system runs it at once', async () => {
    const hold = gate()
    let blocked = false
    const actor = defineActor('buffers', {
      concurrency: 2,
      messages: { go: (_payload: unknown, ctx) => (blocked && ctx.worker.startsWith('one') ? hold.passed : undefined) },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.troupe.sendMany(actor.go, Array.from({ length: 300 }))
    await t.events.wait('done', { count: 300 })
    blocked = true
    await t.troupe.sendMany(actor.go, Array.from({ length: 200 }))
    await t.events.wait('started', { count: 302 })
    const stopped = t.system.stop({ within: '10s' })
    await t.another([actor], { system: 'two' })
    await t.events.wait('done', { count: 498, timeoutMs: 5_000 })
    hold.open()
    await stopped
    expect(t.events.of('done')).toHaveLength(500)
  })

  it('aborts what still runs after its time, and gives it back uncounted', async () => {
    const whys: string[] = []
    const actor = defineActor('long', {
      messages: {
        go: (_payload: unknown, ctx) =>
          new Promise<void>((_resolve, reject) => {
            if (ctx.worker.startsWith('two')) return reject(new Error('on purpose'))
            ctx.signal.addEventListener('abort', () => {
              whys.push((ctx.signal.reason as AbortedError).why)
              reject(ctx.signal.reason as Error)
            })
          }),
      },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.troupe.send(actor.go, {})
    await t.events.wait('started')
    await t.system.stop({ within: '50ms' })
    expect(whys).toEqual(['shutdown'])
    expect(t.events.of('released')).toHaveLength(1)
    await t.another([actor], { system: 'two' })
    expect(await t.events.wait('retry', { timeoutMs: 5_000 })).toMatchObject({ attempt: 1 })
  })

  it('gives up a handler that ignores its signal, and another system runs its message', async () => {
    const actor = defineActor('deaf', {
      messages: {
        go: (_payload: unknown, ctx) => (ctx.worker.startsWith('one') ? new Promise<void>(() => {}) : undefined),
      },
    })
    await using t = await testBundle({ actors: [actor], system: 'one', grace: '50ms' })
    await t.troupe.send(actor.go, {})
    await t.events.wait('started')
    await t.system.stop({ within: '10ms' })
    expect(t.events.of('abandoned')).toHaveLength(1)
    await t.another([actor], { system: 'two' })
    expect(await t.events.wait('done', { timeoutMs: 5_000 })).toMatchObject({ attempt: 1 })
  })

  it('tells handlers that it is stopping, so that they may end early', async () => {
    const actor = defineActor('polite', {
      messages: {
        go: async (_payload: unknown, ctx) => {
          while (!ctx.stopping) await new Promise((resolve) => setTimeout(resolve, 5)) // it works in small pieces
          return 'stopped early'
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, {})
    await t.events.wait('started')
    await t.system.stop({ within: '10s' })
    expect(t.events.of('done')).toHaveLength(1)
  })

  it.each([0, 1])('a second stop aborts what the first let run, however soon it comes (%i)', async (turns) => {
    const actor = defineActor('hurried', {
      messages: {
        go: (_payload: unknown, ctx) =>
          new Promise<void>((_resolve, reject) =>
            ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error)),
          ),
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, {})
    await t.events.wait('started')
    const stopped = t.system.stop({ within: '1h' })
    if (turns > 0) await eventually('it drains', () => t.system.workers.get('hurried')?.stopping === true)
    void t.system.stop({ within: 0 })
    await stopped
    expect(t.events.of('released')).toHaveLength(1)
  })

  it('has the time that stop was given, also beyond the default; a second stop with a shorter one takes that over', async () => {
    const actor = defineActor('shortened', {
      messages: {
        go: (_payload: unknown, ctx) =>
          new Promise<void>((_resolve, reject) =>
            ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error)),
          ),
      },
    })
    await using t = await testBundle({ actors: [actor], shutdown: { within: '1ms' } })
    await t.troupe.send(actor.go, {})
    await t.events.wait('started')
    const stopped = t.system.stop({ within: '1h' })
    void t.system.stop()
    await eventually('it drains', () => t.system.workers.get('shortened')?.stopping === true)
    // As long as a stop that took the default over would need, several times.
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(t.events.of('released')).toEqual([])
    void t.system.stop({ within: '50ms' })
    await stopped
    expect(t.events.of('released')).toHaveLength(1)
  })

  it('ends all the rest where one part fails to stop, and says so', async () => {
    const errors: unknown[] = []
    const quiet = (): void => {}
    const logger: Logger = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (...line) => void errors.push(line),
      child: () => logger,
    }
    const actor = defineActor('stuck', { messages: { go: () => {} } })
    await using t = await testBundle({ actors: [actor], logger })
    vi.spyOn(t.system.control, 'stop').mockImplementation(() => {
      throw new Error('no')
    })
    await t.system.stop()
    await t.system.stopped
    expect(t.system.troupe.connection.isClosed()).toBe(true)
    expect(errors).toMatchObject([['a part of the system failed to stop', { error: { message: 'no' } }]])
  })

  it('a second stop ends live calls too', async () => {
    const actor = defineActor('calls', {
      messages: {
        go: (_payload: unknown, ctx) =>
          new Promise<void>((_resolve, reject) => {
            started.open()
            ctx.signal.addEventListener('abort', () => reject(new Error('aborted')))
          }),
      },
    })
    const started = gate()
    await using t = await testBundle({ actors: [actor] })
    const call = t.troupe.call(actor.go, {}).catch((error: unknown) => error)
    await started.passed
    const stopped = t.system.stop({ within: '1h' })
    void t.system.stop({ within: 0 })
    await stopped
    expect(await call).toBeInstanceOf(Error)
  })

  it('is safe to stop many times, and says when it has', async () => {
    const actor = defineActor('idle', { messages: { go: () => {} } })
    await using t = await testBundle({ actors: [actor] })
    let isStopped = false
    void t.system.stopped.then(() => (isStopped = true))
    await Promise.all([t.system.stop(), t.system.stop(), t.system[Symbol.asyncDispose]()])
    await Promise.resolve()
    expect(isStopped).toBe(true)
  })

  it('gives back a delayed message that its timer held', async () => {
    const actor = defineActor('alarm', { messages: { ring: () => 1 } })
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.ring, undefined, { delay: '590ms', keep: '1m' })
    await eventually('the timer holds it', () => t.system.timers.get('alarm')?.holding === 1)
    await t.system.stop()
    await t.another([actor])
    expect(await sent.result({ timeout: '3s' })).toBe(1)
  })

  it('ends within its time although NATS is away', async () => {
    await using server = await startServer()
    const actor = defineActor('cutOff', {
      messages: {
        go: (_payload: unknown, ctx) =>
          new Promise<void>((_resolve, reject) =>
            ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error)),
          ),
      },
    })
    await using t = await testBundle({ actors: [actor], server })
    await t.troupe.send(actor.go, {})
    await t.troupe.send(actor.go, {}, { delay: '590ms' })
    await t.events.wait('started')
    await server.kill9()
    const before = performance.now()
    await t.system.stop({ within: '100ms' })
    expect(performance.now() - before).toBeLessThan(10_000)
  }, 60_000)
})
