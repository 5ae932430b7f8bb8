import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { jetstreamManager } from '@nats-io/jetstream'
import { connect as natsConnect, headers } from '@nats-io/transport-node'
import { actorRef, dead, defineActor, OutcomeError, retry, snooze, type MessageRef } from 'troupe'
import { testSystem, type TestSystem, type TestSystemOptions } from 'troupe/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'

let server: TestServer
beforeAll(async () => void (server = await startServer()))
afterAll(() => server.stop())

const start = (options: TestSystemOptions): Promise<TestSystem> => testSystem({ servers: server.url, ...options })

async function streamNames(): Promise<string[]> {
  const connection = await natsConnect({ servers: server.url })
  const manager = await jetstreamManager(connection)
  const names: string[] = []
  for await (const name of manager.streams.names()) names.push(name)
  await connection.close()
  return names
}

describe('a test system', () => {
  it('settles when a chain of messages and all retries have come to their end', async () => {
    const seen: string[] = []
    const second = defineActor('second', {
      retry: { backoff: { base: '700ms', jitter: 0 } },
      messages: {
        end: (payload: { n: number }, ctx) => {
          if (ctx.attempt === 1) throw new Error('once')
          seen.push(`end ${payload.n}`)
        },
      },
    })
    const first = defineActor('first', {
      messages: {
        begin: async (payload: { n: number }, ctx) => {
          await ctx.send(second.end, payload)
          seen.push(`begin ${payload.n}`)
        },
      },
    })
    await using t = await start({ actors: [first, second] })
    await t.settled()
    await t.send(first.begin, { n: 1 })
    await t.settled()
    expect(seen).toEqual(['begin 1', 'end 1'])
    // Who sends and who runs tell apart from each other: `sent` may come after `started`.
    const told = t.events.filter(({ actor, event }) => actor === 'second' && event !== 'sent')
    expect(told.map(({ event }) => event)).toEqual(['started', 'retry', 'started', 'done'])
  })

  it('rejects at once with the very error of the handler that died, and reports each death once', async () => {
    const thrown = new RangeError('boom')
    const actor = defineActor('fails', {
      retry: false,
      messages: {
        die: (payload: { text: string }) => {
          throw Object.assign(thrown, payload)
        },
        fine: () => {},
        slow: (_: null, ctx) => new Promise((resolve) => ctx.signal.addEventListener('abort', resolve)),
      },
    })
    await using t = await start({ actors: [actor], grace: '50ms', shutdown: { within: 0 } })
    // A handler that never ends by itself: the rejection does not wait for it.
    await t.send(actor.slow, null)
    await t.send(actor.die, { text: 'x' })
    await expect(t.settled({ timeout: '1m' })).rejects.toBe(thrown)
    expect(t.dead).toMatchObject([{ actor: 'fails', message: 'die', attempt: 1, reason: 'failed', error: thrown }])
    expect(t.events.find(({ event }) => event === 'dead')).toMatchObject({ error: thrown })
    await expect(t.settled({ timeout: 50 })).rejects.toThrow(/fails\.slow .* runs/)
  })

  it('collects the dead with failFast: false, also those without an error of a handler', async () => {
    const actor = defineActor('deaths', {
      retry: false,
      messages: {
        throws: () => {
          throw new Error('thrown')
        },
        rejects: () => dead('not today'),
        late: {
          timeLimit: 20,
          handle: (_: null, ctx) =>
            new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(new Error('was aborted')))),
        },
      },
    })
    await using t = await start({ actors: [actor] })
    await Promise.all([t.send(actor.throws, null), t.send(actor.rejects, null), t.send(actor.late, null)])
    await t.send(actorRef('deaths')['unheard'] as MessageRef<unknown, unknown>, null)
    await t.settled({ failFast: false })
    const byMessage = Object.fromEntries(t.dead.map((death) => [death.message, death]))
    expect(byMessage['throws']?.error.message).toBe('thrown')
    expect(byMessage['rejects']?.error).toBeInstanceOf(OutcomeError)
    expect(byMessage['rejects']?.error.message).toContain('not today')
    expect(byMessage['late']?.error).toMatchObject({ code: 'TIME_LIMIT', cause: { message: 'was aborted' } })
    expect(byMessage['unheard']?.reason).toBe('unknown-message')
    // They are old news now, but were not reported by a rejection.
    await expect(t.settled()).rejects.toBe(t.dead[0]?.error)
    await t.settled()
  })

  it('says what still waits where when it does not settle', async () => {
    const actor = defineActor('busy', { messages: { later: () => {}, again: () => snooze('1h') } })
    const nobody = defineActor('nobody', { messages: { hears: () => {} } })
    await using t = await start({ actors: [actor] })
    await t.send(actor.later, null, { id: 'tomorrow', delay: '24h' })
    await t.send(nobody.hears, null)
    const error = (await t.settled({ timeout: 300 }).catch((error: unknown) => error)) as Error
    expect(error).toMatchObject({ name: 'UnavailableError', code: 'TIMEOUT' })
    expect(error.message).toMatch(/1 × nobody\.hears in the mailbox, but this system does not run that actor/)
    expect(error.message).toMatch(
      /1 parked in .*-timer-busy, tomorrow until \d{4}-.*: t\.clock\.advance\("(1d|23h59m.*)"\)/,
    )
  })

  it('knows of a message that the timer had to bury', async () => {
    const actor = defineActor('buried', { messages: { note: () => {} } })
    await using t = await start({ actors: [actor] })
    const header = headers()
    header.set('Troupe-Due', 'tomorrow')
    t.troupe.connection.publish(`${t.namespace}.later.buried.note`, 'null', { headers: header })
    await t.troupe.connection.flush()
    await expect(t.settled()).rejects.toThrow(/buried\.note .* became a dead letter \(invalid\): .*Troupe-Due/)
  })

  it('is at rest with parked messages when they are not asked for', async () => {
    const seen: string[] = []
    const actor = defineActor('rest', { messages: { note: (text: string) => void seen.push(text) } })
    await using t = await start({ actors: [actor] })
    await t.send(actor.note, 'later', { delay: '1h' })
    await t.send(actor.note, 'now')
    await t.settled({ parked: false })
    expect(seen).toEqual(['now'])
  })

  it('waits for broadcasts too', async () => {
    let heard = 0
    const actor = defineActor('ears', {
      messages: {
        hear: async () => {
          await new Promise((resolve) => setTimeout(resolve, 100))
          heard++
        },
      },
    })
    await using t = await start({ actors: [actor] })
    await t.troupe.broadcast(actor.hear, null)
    await t.settled()
    expect(heard).toBe(1)
  })

  it('has a namespace of its own, and leaves nothing of it in NATS', async () => {
    const seen: string[] = []
    const actor = defineActor('alone', { messages: { note: (text: string) => void seen.push(text) } })
    const [one, two] = await Promise.all([start({ actors: [actor] }), start({ actors: [actor] })])
    expect(one.namespace).not.toBe(two.namespace)
    await one.send(actor.note, 'one')
    await one.settled()
    expect(two.events).toEqual([])
    expect((await streamNames()).filter((name) => name.startsWith(one.namespace)).length).toBeGreaterThan(4)
    await one.stop()
    expect((await streamNames()).filter((name) => name.startsWith(one.namespace))).toEqual([])
    await two.stop()
    expect(seen).toEqual(['one'])
  })

  it("runs on the project's own server where no other is named, whatever the environment says", async () => {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-testing-'))
    const before = process.env['TROUPE_NATS_SERVERS']
    process.env['TROUPE_NATS_SERVERS'] = 'nats://127.0.0.1:1'
    try {
      const actor = defineActor('own', { messages: { answer: () => 42 } })
      await using t = await testSystem({ actors: [actor], server: { dir } })
      expect(await t.ask(actor.answer, null)).toBe(42)
    } finally {
      if (before === undefined) delete process.env['TROUPE_NATS_SERVERS']
      else process.env['TROUPE_NATS_SERVERS'] = before
      // The server ends a second after its last user, and writes until then.
      await rm(dir, { recursive: true, force: true, maxRetries: 30, retryDelay: 200 })
    }
  })
})

describe('its clock', () => {
  it('sends what becomes due, in order of due time, each at its own time', async () => {
    const seen: [string, number][] = []
    const actor = defineActor('delayed', {
      messages: { note: (text: string, ctx) => void seen.push([text, ctx.now().getTime()]) },
    })
    await using t = await start({ actors: [actor] })
    const from = t.clock.now().getTime()
    await t.send(actor.note, 'c', { delay: '30m' })
    await t.send(actor.note, 'a', { delay: '300ms' })
    await t.send(actor.note, 'd', { at: new Date(from + 3_600_000) })
    await t.send(actor.note, 'b', { delay: '10m' })
    await t.send(actor.note, 'never', { delay: '2h' })
    await t.clock.advance('1h1s')
    expect(seen.map(([text]) => text)).toEqual(['a', 'b', 'c', 'd'])
    const minutes = seen.map(([, at]) => (at - from) / 60_000)
    for (const [index, expected] of [0.005, 10, 30, 60].entries()) {
      expect(minutes[index]).toBeGreaterThanOrEqual(expected)
      expect(minutes[index]).toBeLessThan(expected + 0.1)
    }
    expect(t.clock.now().getTime() - from).toBeGreaterThanOrEqual(3_601_000)
  })

  it('does not let wait what a timer holds in memory for the last moments', async () => {
    const late: number[] = []
    const actor = defineActor('held', {
      messages: { note: (_: null, ctx) => void late.push(ctx.now().getTime() - (ctx.planned?.getTime() ?? 0)) },
    })
    await using t = await start({ actors: [actor] })
    for (let round = 0; round < 4; round++) {
      await t.send(actor.note, null, { delay: '590ms' })
      await t.clock.advance('1s')
      expect(late).toHaveLength(round + 1)
    }
    // Waiting in real time, each would be later than 500 ms; a busy machine may make some so.
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0)
    expect(Math.min(...late)).toBeLessThan(300)
  })

  it('takes a message through all its retries and snoozes, and what they send for later', async () => {
    const seen: string[] = []
    const actor = defineActor('patient', {
      retry: { attempts: 5, backoff: { base: '1m', factor: 2, max: '1h', jitter: 0 } },
      messages: {
        begin: async (_: null, ctx) => {
          seen.push(`begin ${ctx.attempt}`)
          if (ctx.attempt === 1) return retry({ after: '20m' })
          if (ctx.attempt < 4) throw new Error('again')
          return void (await ctx.send(actorRef<{ end: MessageRef<null, void> }>('patient').end, null, { delay: '5m' }))
        },
        end: (_: null, ctx) => {
          seen.push('end')
          return seen.filter((text) => text === 'end').length < 3 ? snooze('10m') : ctx.now().toISOString()
        },
      },
    })
    await using t = await start({ actors: [actor] })
    const from = t.clock.now().getTime()
    await t.send(actor.begin, null)
    // 20 + 2 + 4 minutes of retries, 5 of delay, 2 × 10 of snoozes.
    await t.clock.advance('50m30s')
    expect(seen).toEqual(['begin 1', 'begin 2', 'begin 3', 'begin 4', 'end', 'end'])
    await t.clock.advance('1m')
    await t.settled()
    expect(seen).toHaveLength(7)
    expect((t.clock.now().getTime() - from) / 60_000).toBeCloseTo(51.5, 0)
  })

  it('counts for expiry, and for what is sent after it was moved', async () => {
    const seen: string[] = []
    const actor = defineActor('expiring', { messages: { note: (text: string) => void seen.push(text) } })
    await using t = await start({ actors: [actor] })
    await t.send(actor.note, 'too late', { delay: '2h', expires: new Date(t.clock.now().getTime() + 60_000) })
    await t.send(actor.note, 'in time by then', { delay: '2h', expires: '1m' })
    await t.clock.advance('1d')
    expect(seen).toEqual(['in time by then'])
    await t.send(actor.note, 'too late', { expires: new Date(t.clock.now().getTime() - 1000) })
    await t.send(actor.note, 'in time', { expires: '10s' })
    // Real time goes on: this one comes by itself, by the moved clock.
    await t.send(actor.note, 'by itself', { delay: '1500ms' })
    await t.settled()
    expect(seen).toEqual(['in time by then', 'in time', 'by itself'])
  })

  it('leaves alone what was cancelled, and sends a replaced one once', async () => {
    const seen: string[] = []
    const actor = defineActor('fickle', { messages: { note: (text: string) => void seen.push(text) } })
    await using t = await start({ actors: [actor] })
    const gone = await t.send(actor.note, 'cancelled', { delay: '10m' })
    await t.send(actor.note, 'first', { id: 'slot', delay: '20m' })
    await t.clock.advance('1m')
    expect(await gone.cancel()).toEqual({ was: 'parked' })
    await t.send(actor.note, 'second', { id: 'slot', delay: '10m', replace: true })
    await t.clock.advance('1h')
    await t.settled()
    expect(seen).toEqual(['second'])
  })

  it('does not wait for ever for a handler that waits for the test, nor for a message that sends itself for ever', async () => {
    const releases: (() => void)[] = []
    const actor = defineActor('stuck', {
      messages: {
        wait: () => new Promise<void>((resolve) => void releases.push(resolve)),
        loop: () => snooze('1s'),
      },
    })
    await using t = await start({ actors: [actor] })
    await t.send(actor.wait, null, { delay: '1m' })
    await t.clock.advance('2m')
    expect(t.system.workers.get('stuck')?.running).toHaveLength(1)
    releases[0]?.()
    await t.settled()
    await t.send(actor.loop, null)
    await expect(t.clock.advance('30d', { timeout: '300ms' })).rejects.toThrow(
      /moments .* to go\. Does a message send itself/,
    )
  })
})
