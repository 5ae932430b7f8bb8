import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import { DiscardPolicy, jetstream, jetstreamManager, type Consumer, type ConsumerInfo } from '@nats-io/jetstream'
import { AbortedError, ConfigError, defineActor, retry, snooze } from 'troupe'
import { describe, expect, it, vi } from 'vitest'

import { startServer } from '../kit/server.ts'
import { eventually, gate, rejection, testBundle } from '../kit/system.ts'

function work() {
  const ran: unknown[] = []
  const reasons: unknown[] = []
  const hold = gate()
  const actor = defineActor('work', {
    concurrency: 1,
    messages: {
      go: (payload: unknown) => void ran.push(payload),
      other: (payload: unknown) => void ran.push(payload),
      blocks: () => hold.passed,
      long: (_payload: unknown, ctx) =>
        new Promise<void>((_resolve, reject) => {
          ctx.signal.addEventListener('abort', () => {
            reasons.push(ctx.signal.reason)
            reject(ctx.signal.reason as Error)
          })
        }),
    },
  })
  return { ran, reasons, hold, actor }
}

describe('cancelling', () => {
  it('a parked message: it never runs, and who waits is told', async () => {
    const { ran, actor } = work()
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.go, 1, { delay: '1h', keep: '1h' })
    await parkedIn(t, 1)
    expect(await sent.cancel({ reason: 'changed my mind' })).toEqual({ was: 'parked' })
    expect(await rejection(sent.result())).toMatchObject({ code: 'CANCELLED', failure: { message: 'changed my mind' } })
    await parkedIn(t, 0)
    expect(ran).toEqual([])
  })

  it('one on its way to parking: by two timers, two hundred times', async () => {
    const { ran, actor } = work()
    await using t = await testBundle({ actors: [actor] })
    await t.another([actor])
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const sent = await t.troupe.send(actor.go, index, { delay: '1h' })
        return sent.cancel()
      }),
    )
    expect(new Set(answers.map(({ was }) => was))).toEqual(new Set(['parked']))
    await parkedIn(t, 0)
    expect(new Set(t.events.of('cancelled').map(({ id }) => id)).size).toBe(200)
    expect(ran).toEqual([])
  })

  it('a delayed one in its last moments, held in memory', async () => {
    const { ran, actor } = work()
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.go, 1, { delay: '500ms' })
    expect(await sent.cancel()).toEqual({ was: 'parked' })
    await t.troupe.ask(actor.go, 'last', { delay: '700ms' })
    expect(ran).toEqual(['last'])
  })

  it('a waiting one: dropped when its turn comes', async () => {
    const { ran, actor, hold } = work()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.blocks, undefined)
    await t.events.wait('started')
    const sent = await t.troupe.send(actor.go, 1)
    const cancelled = sent.cancel({ reason: 'too late' })
    await eventually('the cancel is stored', async () => {
      const info = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-cancels`)
      return info.json<{ state: { messages: number } }>().state.messages === 1
    })
    await new Promise((resolve) => setTimeout(resolve, 100)) // that the worker has heard it can be seen nowhere
    hold.open()
    expect(await cancelled).toEqual({ was: 'waiting' })
    expect(await t.events.wait('cancelled')).toMatchObject({ id: sent.id, reason: 'too late' })
    await t.troupe.ask(actor.go, 'last')
    expect(ran).toEqual(['last'])
  })

  it('one that waits for a worker: whoever starts later honours it', async () => {
    const { ran, actor } = work()
    await using t = await testBundle()
    const sent = await t.troupe.send(actor.go, 1)
    expect(await sent.cancel({ timeout: '20ms' })).toEqual({ was: 'unknown' })
    await t.another([actor])
    await t.events.wait('cancelled')
    await t.troupe.ask(actor.go, 'last')
    expect(ran).toEqual(['last'])
  })

  it('a running one: its signal aborts, and it is not retried', async () => {
    const { reasons, actor } = work()
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.long, {})
    await t.events.wait('started')
    expect(await sent.cancel({ reason: 'enough' })).toEqual({ was: 'running' })
    expect(await t.events.wait('cancelled')).toMatchObject({ id: sent.id, reason: 'enough' })
    expect(reasons[0]).toBeInstanceOf(AbortedError)
    expect(reasons[0]).toMatchObject({ why: 'cancelled', message: 'enough' })
    await t.troupe.ask(actor.go, 'last')
    expect(t.events.of('retry')).toEqual([])
  })

  it.each(['retry', 'snooze'] as const)('one that waits for its %s, at once, however long that is', async (event) => {
    let runs = 0
    const actor = defineActor('again', {
      messages: {
        go: () => {
          runs++
          return event === 'retry' ? retry({ after: '1h', reason: 'later' }) : snooze('1h')
        },
        other: () => {},
      },
    })
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.go, undefined, { id: 'a.b c', keep: '1h' })
    await t.events.wait(event)
    await parkedIn(t, 1, 'again')
    const other = { id: sent.id, message: 'other' }
    expect(await t.troupe.cancel('again', other, { timeout: '200ms' })).toEqual({ was: 'unknown' })
    expect(await sent.cancel({ reason: 'enough' })).toEqual({ was: 'parked' })
    expect(await rejection(sent.result())).toMatchObject({ code: 'CANCELLED', failure: { message: 'enough' } })
    expect(await t.events.wait('cancelled')).toMatchObject({ id: sent.id, reason: 'enough' })
    await parkedIn(t, 0, 'again')
    expect(runs).toBe(1)
  })

  it('one whose retry is on its way to parking: who parks it sees the cancel that found nothing', async () => {
    const actor = defineActor('again', {
      messages: { go: () => retry({ after: '1h', reason: 'later' }), other: () => {} },
    })
    await using t = await testBundle({ actors: [actor] })
    const jsm = await jetstreamManager(t.troupe.connection)
    const other = await t.troupe.send(actor.other, undefined, { delay: '1h' })
    await parkedIn(t, 1, 'again')
    // No room for a second one: the retry is stored when the first has gone.
    await jsm.streams.update(`${t.namespace}-timer-again`, { max_msgs: 1, discard: DiscardPolicy.New })
    const sent = await t.troupe.send(actor.go, undefined, { keep: '1h' })
    await t.events.wait('retry')
    const answer = sent.cancel({ reason: 'enough', timeout: '10s' })
    await eventually('the cancel is stored', async () => {
      return (await jsm.streams.info(`${t.namespace}-cancels`)).state.messages === 1
    })
    // Cancels are carried out in order: when this one is answered, the other has found nothing.
    expect(await other.cancel()).toEqual({ was: 'parked' })
    expect(await answer).toEqual({ was: 'parked' })
    expect(await rejection(sent.result())).toMatchObject({ code: 'CANCELLED', failure: { message: 'enough' } })
    expect(t.events.of('cancelled').map(({ id }) => id)).toEqual([other.id, sent.id])
    await parkedIn(t, 0, 'again')
    await eventually('it is off the worker’s hands', () => t.system.workers.get('again')?.unsettled === 0)
  })

  it('by message, root or header meets all of them, and nothing that is sent afterwards', async () => {
    const { ran, actor } = work()
    await using t = await testBundle()
    const send = (payload: string, headers: Record<string, string> = {}): Promise<unknown> =>
      t.troupe.send(actor.go, payload, { headers })
    await send('acme 1', { tenant: 'acme' })
    await send('other 1', { tenant: 'other' })
    await send('acme 2', { tenant: 'acme' })
    await t.troupe.cancel('work', { header: { name: 'tenant', value: 'acme' } }, { timeout: '10ms' })
    await new Promise((resolve) => setTimeout(resolve, 5)) // moments are told apart by the millisecond
    await send('acme 3', { tenant: 'acme' })
    await t.another([actor])
    await t.events.wait('done', { count: 2 })
    expect(ran).toEqual(['other 1', 'acme 3'])
    await t.troupe.cancel('work', { message: 'other' }, { timeout: '10ms' })
    await new Promise((resolve) => setTimeout(resolve, 5)) // moments are told apart by the millisecond
    await t.troupe.ask(actor.other, 'sent later')
    expect(ran.at(-1)).toBe('sent later')
  })

  it('an id that was used again afterwards is another message', async () => {
    const { ran, actor } = work()
    const quick = defineActor('work', {
      mailbox: { dedupeWindow: '100ms' },
      messages: { go: (payload: unknown) => void ran.push(payload) },
    })
    await using t = await testBundle()
    const first = await t.troupe.send(quick.go, 1, { id: 'x' })
    await first.cancel({ timeout: '10ms' })
    await new Promise((resolve) => setTimeout(resolve, 250)) // the dedupe window is what passes here
    const second = await t.troupe.send(quick.go, 2, { id: 'x' })
    expect(second.duplicate).toBe(false)
    await t.another([quick])
    await t.events.wait('done')
    expect(ran).toEqual([2])
    expect(actor).toBeDefined()
  })

  it.each([0, 1])('that expires while a system starts, behind %i others, holds up no start', async (before) => {
    const { actor } = work()
    await using t = await testBundle({ actors: [actor] })
    await t.system.stop()
    for (let n = 0; n <= before; n++) await t.troupe.cancel('work', { id: `absent${n}` }, { timeout: 1 })
    const js = jetstream(t.troupe.connection)
    const stream = `${t.namespace}-cancels`
    const { streams } = await js.jetstreamManager()
    const { last_seq: last } = (await streams.info(stream)).state
    // Between the count of what is to be read and the reading.
    const consumer = Object.getPrototypeOf(await js.consumers.get(stream)) as Consumer
    let counts = 0
    const { info } = consumer as { info: (this: Consumer, cached?: boolean) => Promise<ConsumerInfo> }
    const counting = vi.spyOn(consumer, 'info').mockImplementation(async function (this: Consumer, cached?: boolean) {
      const counted = await info.call(this, cached)
      if (++counts === 1) await streams.deleteMessage(stream, last)
      return counted
    })
    try {
      await t.another([actor], { nats: { requestTimeout: '1s' } })
    } finally {
      counting.mockRestore()
    }
    expect(counts).toBeGreaterThan(1)
  })

  it('is heard though NATS came back without its data (P9)', { timeout: 30_000 }, async () => {
    const { actor } = work()
    await using server = await startServer()
    await using t = await testBundle({ actors: [actor], server })
    await server.kill9()
    await rm(join(server.dir, 'data'), { recursive: true, force: true })
    await server.restart()
    const sent = await t.troupe.send(actor.long, 1)
    await t.events.wait('started')
    expect(await sent.cancel({ timeout: '10s' })).toEqual({ was: 'running' })
  })

  it('nothing in particular is refused', async () => {
    await using t = await testBundle()
    expect(await rejection(t.troupe.cancel('work', {}))).toBeInstanceOf(ConfigError)
  })

  it('what is done already meets nothing', async () => {
    const { actor } = work()
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.go, 1)
    await t.events.wait('done')
    expect(await sent.cancel({ timeout: '50ms' })).toEqual({ was: 'unknown' })
  })
})

type Bundle = Awaited<ReturnType<typeof testBundle>>

/** In the actor's timer stream, parked or released. */
async function parkedIn(t: Bundle, count: number, actor = 'work'): Promise<void> {
  const subject = `$JS.API.STREAM.INFO.${t.namespace}-timer-${actor}`
  await eventually(`${count} are parked`, async () => {
    const info = await t.troupe.connection.request(subject)
    return info.json<{ state: { messages: number } }>().state.messages === count
  })
}
