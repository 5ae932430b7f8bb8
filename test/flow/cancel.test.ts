import { AbortedError, ConfigError, defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

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

  it('one that waits for its retry: dropped when its turn comes', async () => {
    let runs = 0
    const actor = defineActor('retries', {
      retry: { backoff: { base: '1s', jitter: 0 } },
      messages: {
        go: (): never => {
          runs++
          throw new Error('later')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.go, undefined, { id: 'r' })
    await t.events.wait('retry')
    await eventuallySettled(t)
    // A parked retry is found by its place, not by its id: who asks is told when it comes back.
    expect(await sent.cancel({ reason: 'enough', timeout: '5s' })).toEqual({ was: 'waiting' })
    expect(await t.events.wait('cancelled')).toMatchObject({ id: 'r', reason: 'enough' })
    expect(runs).toBe(1)
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

async function parkedIn(t: Bundle, count: number): Promise<void> {
  const subject = `$JS.API.STREAM.INFO.${t.namespace}-timer-work`
  for (let messages = -1; messages !== count;) {
    const info = await t.troupe.connection.request(subject)
    messages = info.json<{ state: { messages: number } }>().state.messages
  }
}

async function eventuallySettled(t: Bundle): Promise<void> {
  while ([...t.system.workers.values()].some((worker) => worker.unsettled > 0))
    await new Promise((resolve) => setImmediate(resolve))
}
