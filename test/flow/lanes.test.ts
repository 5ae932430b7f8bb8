import { ConfigError, defineActor, type Lane } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, gate, rejection, testBundle } from '../kit/system.ts'

/** Sends a backlog before there is a worker, and returns the lanes in the order in which they ran. */
async function orderOf(
  counts: Readonly<Record<Lane, number>>,
  options: { concurrency: number; handlerMs: number; total?: number },
): Promise<Lane[]> {
  const ran: Lane[] = []
  const { high, normal, low } = counts
  const actor = defineActor('lanes', {
    concurrency: options.concurrency,
    messages: {
      go: async (lane: Lane) => {
        ran.push(lane)
        if (options.handlerMs > 0) await new Promise((resolve) => setTimeout(resolve, options.handlerMs)) // the work
      },
    },
  })
  await using t = await testBundle()
  const backlog: [Lane, number][] = [['low', low], ['normal', normal], ['high', high]] // prettier-ignore
  for (const [lane, count] of backlog)
    await t.troupe.sendMany(
      actor.go,
      Array.from({ length: count }, () => lane),
      { lane },
    )
  await t.another([actor])
  const total = options.total ?? high + normal + low
  await eventually('all have run', () => ran.length >= total, 20_000)
  return ran
}

const share = (lanes: Lane[], lane: Lane): number => lanes.filter((one) => one === lane).length

describe('with a backlog in all lanes', () => {
  it('high runs before normal before low, and low is not starved: slow handlers, one at a time', async () => {
    const ran = await orderOf({ high: 24, normal: 24, low: 24 }, { concurrency: 1, handlerMs: 55 })
    expect(share(ran.slice(0, 16), 'high')).toBeGreaterThanOrEqual(13)
    // Every 8th turn begins with normal, every 16th with low: counted, so low runs long before high is through.
    expect(share(ran.slice(0, 24), 'low')).toBeGreaterThanOrEqual(1)
    expect(share(ran.slice(0, 24), 'normal')).toBeGreaterThanOrEqual(1)
    expect(share(ran.slice(-16), 'high')).toBe(0)
    expect(share(ran.slice(30, 48), 'normal')).toBeGreaterThan(share(ran.slice(30, 48), 'low'))
  })

  it('the same with fast handlers', async () => {
    const ran = await orderOf({ high: 2_000, normal: 2_000, low: 2_000 }, { concurrency: 10, handlerMs: 0 })
    const firstThird = ran.slice(0, 2_000)
    expect(share(firstThird, 'high')).toBeGreaterThan(1_200)
    expect(share(firstThird, 'high')).toBeGreaterThan(share(firstThird, 'normal'))
    expect(share(firstThird, 'normal')).toBeGreaterThanOrEqual(share(firstThird, 'low'))
    expect(share(firstThird, 'low')).toBeGreaterThan(50)
  })
})

describe('a retry', () => {
  it('comes back in the lane that the message was in, also where the actor has no other', async () => {
    const actor = defineActor('urgent', {
      lanes: ['high'],
      retry: { attempts: 2, backoff: { base: '1ms' } },
      messages: {
        go: (_payload: unknown, ctx) => {
          if (ctx.attempt === 1) throw new Error('once')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, {}, { lane: 'high' })
    expect(await t.events.wait('done')).toMatchObject({ attempt: 2 })
  })
})

describe('lanes that an actor does not declare', () => {
  it('are refused by the sender', async () => {
    const actor = defineActor('narrow', { lanes: ['normal'], messages: { go: () => {} } })
    await using t = await testBundle({ actors: [actor] })
    const error = await rejection(t.troupe.send(actor.go, undefined, { lane: 'high' }))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toContain('the lanes that narrow declares')
    await t.troupe.send(actor.go, undefined)
    await t.events.wait('done')
  })
})

describe('slow handlers don’t hoard', () => {
  it('two workers with one slot each share ten messages evenly', async () => {
    const ran: string[] = []
    const actor = defineActor('slow', {
      concurrency: 1,
      messages: {
        go: async (_payload: unknown, ctx) => {
          ran.push(ctx.worker)
          await new Promise((resolve) => setTimeout(resolve, 200)) // the work
        },
      },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.another([actor], { system: 'two' })
    await t.troupe.sendMany(actor.go, Array.from({ length: 10 }))
    await t.events.wait('done', { count: 10 })
    expect(ran.filter((worker) => worker === 'one/slow')).toHaveLength(5)
    expect(ran.filter((worker) => worker === 'two/slow')).toHaveLength(5)
    expect(t.events.of('started').every((event) => event.attempt === 1)).toBe(true)
  })

  it('a worker that was fast and hangs now gives back what it buffered, and another runs it', async () => {
    const stuck = gate()
    const actor = defineActor('turns', {
      concurrency: 2,
      messages: {
        go: (payload: { hang: boolean }, ctx) =>
          payload.hang && ctx.worker.startsWith('one') ? stuck.passed : undefined,
      },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.troupe.sendMany(
      actor.go,
      Array.from({ length: 500 }, () => ({ hang: false })),
    )
    await t.events.wait('done', { count: 500 })
    await t.troupe.sendMany(
      actor.go,
      Array.from({ length: 100 }, () => ({ hang: true })),
    )
    await t.events.wait('started', { count: 502 })
    await t.another([actor], { system: 'two' })
    await t.events.wait('done', { count: 598 })
    expect(t.system.workers.get('turns')?.buffered).toBe(0)
    stuck.open()
    await t.events.wait('done', { count: 600 })
  })
})
