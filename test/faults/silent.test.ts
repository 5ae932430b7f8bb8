/** Connections that are up but silent: packets are lost on the way, and nobody says so (P9). */
import { connect, createSystem, defineActor, type System, type Troupe } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'
import { PATIENCE_MS, until } from './bed.ts'
import { startProxy, type Proxy } from './proxy.ts'

const SILENT_AFTER_MS = 1_000

interface Line extends AsyncDisposable {
  readonly server: TestServer
  readonly proxy: Proxy
  readonly system: System
  /** Sends past the proxy. */
  readonly troupe: Troupe
  readonly done: Map<string, number>
}

const box = (done: Map<string, number>) =>
  defineActor('box', {
    lease: '3s',
    messages: {
      work: (_: unknown, ctx) => {
        done.set(ctx.id, performance.now())
      },
      long: async (payload: { ms: number }, ctx) => {
        await new Promise((resolve) => setTimeout(resolve, payload.ms))
        if (!ctx.signal.aborted) done.set(ctx.id, performance.now())
      },
    },
  })

async function line(): Promise<Line> {
  const server = await startServer()
  const proxy = await startProxy(server.port)
  const done = new Map<string, number>()
  const nats = { servers: [proxy.url], silentAfter: SILENT_AFTER_MS, connectTimeout: '2s' }
  const planned = createSystem({
    nats,
    logLevel: 'silent',
    signals: false,
    supervise: { children: [box(done)] },
  })
  const system = await planned.start()
  const troupe = await connect({ servers: server.url, logLevel: 'silent' })
  return {
    server,
    proxy,
    system,
    troupe,
    done,
    [Symbol.asyncDispose]: async () => {
      await troupe.close()
      await planned.stop({ within: 0 })
      await proxy[Symbol.asyncDispose]()
      await server.stop()
    },
  }
}

const sent = box(new Map())

/** Sends one, and returns how long it took until it was done: ms. */
async function turnaround({ troupe, done }: Line, id: string, since = performance.now()): Promise<number> {
  await troupe.send(sent.work, null, { id })
  await until(`${id} to be done`, () => done.has(id))
  return (done.get(id) ?? NaN) - since
}

describe('a half-open connection', { timeout: PATIENCE_MS * 2 }, () => {
  it('is dialled anew, and work goes on within 5 s, long runs keep their lease', async () => {
    await using t = await line()
    await turnaround(t, 'before')
    // Longer than the fault: its lease is extended on the keeper's own connection, which freezes too.
    await t.troupe.send(sent.long, { ms: 8_000 }, { id: 'long' })
    await until('it runs', () => t.system.workers.get('box')?.running.length === 1)
    const taken = t.proxy.taken
    t.proxy.freeze()
    const tookMs = await turnaround(t, 'during')
    console.log(`half-open, new connections pass: done ${Math.round(tookMs)} ms after the fault`)
    expect(tookMs).toBeLessThan(SILENT_AFTER_MS + 5_000)
    expect(tookMs).toBeGreaterThan(SILENT_AFTER_MS * 0.5)
    expect(t.proxy.taken).toBeGreaterThan(taken)
    await until('the long one', () => t.done.has('long'))
    expect(t.system.workers.get('box')?.counts).toMatchObject({ done: 3, released: 0 })
  })

  it('that lets no new one through either goes on within 5 s of its end', async () => {
    await using t = await line()
    await turnaround(t, 'before')
    t.proxy.freeze({ newToo: true })
    await until('it is missed', () => t.system.troupe.connection.stats() && t.proxy.taken > 3)
    const healedAt = performance.now()
    t.proxy.heal()
    const tookMs = await turnaround(t, 'after', healedAt)
    console.log(`half-open for all: done ${Math.round(tookMs)} ms after it was healed`)
    expect(tookMs).toBeLessThan(5_000)
  })

  it('whose socket takes nothing more is cut, since it could not even say goodbye', async () => {
    await using t = await line()
    await using proxied = await connect({
      nats: { servers: [t.proxy.url], silentAfter: SILENT_AFTER_MS },
      logLevel: 'silent',
    })
    await proxied.send(sent.work, null, { id: 'first' })
    t.proxy.freeze()
    // More than the buffers of sockets and proxy hold.
    const payload = 'x'.repeat(500_000)
    const sending = Array.from({ length: 60 }, (_, at) =>
      proxied.send({ ...sent.work, spec: undefined } as typeof sent.work, payload, { id: `big-${at}` }),
    )
    const begun = performance.now()
    await Promise.all(sending)
    const tookMs = performance.now() - begun
    console.log(`half-open with full buffers: 60 large messages stored ${Math.round(tookMs)} ms after the fault`)
    expect(tookMs).toBeLessThan(SILENT_AFTER_MS + 5_000)
    await until('all to be done', () => [...t.done.keys()].filter((id) => id.startsWith('big-')).length === 60)
  })
})
