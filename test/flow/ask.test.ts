import type { NatsConnection } from '@nats-io/transport-node'
import { defineActor, OutcomeError, UnavailableError } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startServer } from '../kit/server.ts'
import { eventually, gate, rejection, testBundle } from '../kit/system.ts'

const hold = gate()
const render = defineActor('render', {
  concurrency: 2,
  retry: { attempts: 2, backoff: { base: '1ms' } },
  messages: {
    pdf: (payload: { id: number }, ctx) => ({ file: `${payload.id}.pdf`, attempt: ctx.attempt }),
    flaky: (_payload: unknown, ctx) => {
      if (ctx.attempt === 1) throw new Error('once')
      return ctx.attempt
    },
    broken: (): never => {
      throw new RangeError('out of ink')
    },
    endless: () => new Promise<void>(() => {}),
    waits: () => hold.passed,
  },
})

/** Its time limit is longer than a timer of Node's can wait. */
const patient = defineActor('patient', {
  timeLimit: '30d',
  messages: {
    echo: async (payload: string) => {
      await Promise.resolve()
      return payload
    },
  },
})

async function storedIn(nc: NatsConnection, stream: string): Promise<number> {
  const answer = await nc.request(`$JS.API.STREAM.INFO.${stream}`)
  return answer.json<{ state?: { messages: number } }>().state?.messages ?? 0
}

const clerk = defineActor('clerk', {
  messages: { outer: (payload: { id: number }, ctx) => ctx.ask(render.pdf, payload) },
})

describe('asking', () => {
  it('gives the handler’s result', async () => {
    await using t = await testBundle({ actors: [render] })
    expect(await t.troupe.ask(render.pdf, { id: 3 })).toEqual({ file: '3.pdf', attempt: 1 })
  })

  it('waits through retries', async () => {
    await using t = await testBundle({ actors: [render] })
    expect(await t.troupe.ask(render.flaky, {})).toBe(2)
  })

  it('throws the typed error of a dead message', async () => {
    await using t = await testBundle({ actors: [render] })
    const error = await rejection(t.troupe.ask(render.broken, undefined))
    expect(error).toBeInstanceOf(OutcomeError)
    expect(error).toMatchObject({ code: 'DEAD', failure: { name: 'RangeError', message: 'out of ink', attempts: 2 } })
  })

  it('ends with its timeout, and the message is not affected', async () => {
    await using t = await testBundle()
    const error = await rejection(t.troupe.ask(render.pdf, { id: 1 }, { timeout: '30ms', id: 'late' }))
    expect(error).toMatchObject({ name: 'UnavailableError', code: 'TIMEOUT' })
    await t.another([render])
    await t.events.wait('done', { where: (event) => event.id === 'late' })
  })

  it.each(['ask', 'call'] as const)('%s waits for longer than a timer of Node’s can', async (way) => {
    await using t = await testBundle({ actors: [patient] })
    expect(await t.troupe[way](patient.echo, 'well', { timeout: '30d' })).toBe('well')
  })

  it('ends when its connection is closed, and not at its timeout', async () => {
    await using t = await testBundle()
    const sender = await t.sender()
    const asked = rejection(sender.ask(patient.echo, 'anybody there?', { timeout: '1h' }))
    const mailbox = `${t.namespace}-mailbox-patient`
    await eventually('it is stored', async () => (await storedIn(t.troupe.connection, mailbox)) === 1)
    await sender.close()
    expect(await asked).toMatchObject({ name: 'UnavailableError', code: 'STOPPED' })
  })

  it('works on where the first was asked while NATS was away (P9)', { timeout: 30_000 }, async () => {
    await using server = await startServer()
    await using t = await testBundle({ actors: [patient], server })
    const closed = new Promise<void>((resolve) => {
      void (async () => {
        for await (const { type } of t.troupe.connection.status()) if (type === 'disconnect') resolve()
      })()
    })
    await server.kill9()
    await closed
    const first = t.troupe.ask(patient.echo, 'first')
    await server.restart()
    expect(await first).toBe('first')
    expect(await t.troupe.ask(patient.echo, 'second')).toBe('second')
  })

  it('is a stored message: a worker that starts later answers', async () => {
    await using t = await testBundle()
    const answer = t.troupe.ask(render.pdf, { id: 9 })
    await t.another([render])
    expect(await answer).toMatchObject({ file: '9.pdf' })
  })

  it('of an id that was sent already is refused: its outcome goes to who asked first', async () => {
    await using t = await testBundle({ actors: [render] })
    await t.troupe.ask(render.pdf, { id: 1 }, { id: 'one' })
    expect(await rejection(t.troupe.ask(render.pdf, { id: 1 }, { id: 'one' }))).toMatchObject({ code: 'DUPLICATE' })
  })

  it('works from within a handler', async () => {
    await using t = await testBundle({ actors: [render, clerk] })
    expect(await t.troupe.ask(clerk.outer, { id: 5 })).toMatchObject({ file: '5.pdf' })
  })

  it('keeps hundreds apart', async () => {
    await using t = await testBundle({ actors: [render] })
    const files = await Promise.all(Array.from({ length: 300 }, (_, id) => t.troupe.ask(render.pdf, { id })))
    expect(files.map(({ file }) => file)).toEqual(Array.from({ length: 300 }, (_, id) => `${id}.pdf`))
  })

  it('tells the asker when the message is cancelled, waiting or running', async () => {
    await using t = await testBundle({ actors: [render] })
    const asked = rejection(t.troupe.ask(render.endless, undefined, { id: 'run' }))
    await t.events.wait('started')
    expect(await t.troupe.cancel('render', { id: 'run', reason: 'enough' })).toEqual({ was: 'running' })
    // The handler ignores its signal: the grace is what ends it.
    expect(await asked).toMatchObject({ code: 'CANCELLED', failure: { message: 'enough' } })
  })
})

describe('calling a live worker', () => {
  it('gives the result, and stores nothing', async () => {
    await using t = await testBundle({ actors: [render] })
    expect(await t.troupe.call(render.pdf, { id: 1 })).toEqual({ file: '1.pdf', attempt: 1 })
    const info = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-mailbox-render`)
    expect(info.json<{ state: { last_seq: number } }>().state.last_seq).toBe(0)
  })

  it('says when no worker runs', async () => {
    await using t = await testBundle()
    const error = await rejection(t.troupe.call(render.pdf, { id: 1 }))
    expect(error).toMatchObject({ name: 'ActorError', code: 'NO_LIVE_WORKER' })
    expect(error.message).toContain('Start one, or send()')
  })

  it('throws the handler’s own error', async () => {
    await using t = await testBundle({ actors: [render] })
    const error = await rejection(t.troupe.call(render.broken, undefined))
    expect(error).toMatchObject({
      name: 'OutcomeError',
      code: 'DEAD',
      failure: { name: 'RangeError', message: 'out of ink' },
    })
  })

  it('is told that all slots are taken', async () => {
    await using t = await testBundle({ actors: [render] })
    const both = [t.troupe.call(render.waits, undefined), t.troupe.call(render.waits, undefined)]
    await eventually('a third call is refused', async () => {
      const error = await t.troupe.call(render.pdf, { id: 1 }).then(
        () => undefined,
        (thrown: unknown) => thrown as { code: string },
      )
      return error?.code === 'BUSY'
    })
    hold.open()
    await Promise.all(both)
    expect(await t.troupe.call(render.pdf, { id: 1 })).toMatchObject({ file: '1.pdf' })
  })

  it('ends with its timeout', async () => {
    await using t = await testBundle({ actors: [render], grace: '10ms' })
    expect(await rejection(t.troupe.call(render.endless, undefined, { timeout: '50ms' }))).toMatchObject({
      code: 'TIMEOUT',
    })
  })

  it('carries msgpack and headers', async () => {
    const echo = defineActor('echo', {
      messages: { echo: (payload: unknown, ctx) => [payload, ctx.headers['tenant']] },
    })
    await using t = await testBundle({ actors: [echo] })
    const sent = new Map([['at', new Date(5)]])
    expect(await t.troupe.call(echo.echo, sent, { format: 'msgpack', headers: { tenant: 'acme' } })).toEqual([
      sent,
      'acme',
    ])
  })
})

describe('broadcasting', () => {
  it('reaches every live worker once', async () => {
    const heard: string[] = []
    const cache = defineActor('cache', {
      messages: { clear: (payload: { region: string }, ctx) => void heard.push(`${payload.region} ${ctx.worker}`) },
    })
    await using t = await testBundle({ actors: [cache], system: 'one' })
    await t.another([cache], { system: 'two' })
    await t.troupe.broadcast(cache.clear, { region: 'eu' })
    await eventually('both have heard it', () => heard.length >= 2)
    expect(heard.toSorted()).toEqual(['eu one/cache', 'eu two/cache'])
    const info = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-mailbox-cache`)
    expect(info.json<{ state: { last_seq: number } }>().state.last_seq).toBe(0)
  })

  it('rejects with a typed error where NATS goes away meanwhile', async () => {
    const cache = defineActor('cache', { messages: { clear: () => {} } })
    await using server = await startServer()
    await using t = await testBundle({ server })
    await t.troupe.broadcast(cache.clear, undefined as never)
    process.kill(server.pid, 'SIGSTOP')
    const error = rejection(t.troupe.broadcast(cache.clear, undefined as never))
    await server.kill9()
    expect(await error).toBeInstanceOf(UnavailableError)
    expect(await error).toMatchObject({ code: 'DISCONNECTED' })
  })
})
