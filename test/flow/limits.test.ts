import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, gate, testBundle } from '../kit/system.ts'

/** Counts how many run at once. */
function crowd() {
  const state = { now: 0, most: 0, ran: 0, byWorker: new Map<string, number>() }
  const handle = async (worker: string, ms: number): Promise<void> => {
    state.most = Math.max(state.most, ++state.now)
    state.byWorker.set(worker, (state.byWorker.get(worker) ?? 0) + 1)
    await new Promise((resolve) => setTimeout(resolve, ms)) // the work
    state.now--
    state.ran++
  }
  return { state, handle }
}

describe('concurrency', () => {
  it('is how many messages one worker runs at once', async () => {
    const { state, handle } = crowd()
    const actor = defineActor('four', {
      concurrency: 4,
      messages: { go: (_payload: unknown, ctx) => handle(ctx.worker, 20) },
    })
    await using t = await testBundle()
    await t.troupe.sendMany(actor.go, Array.from({ length: 60 }))
    await t.another([actor])
    await t.events.wait('done', { count: 60 })
    expect(state.most).toBe(4)
  })

  it('is 10 unless the actor or the configuration says otherwise', async () => {
    const { state, handle } = crowd()
    const actor = defineActor('plain', { messages: { go: (_payload: unknown, ctx) => handle(ctx.worker, 100) } })
    await using t = await testBundle()
    await t.troupe.sendMany(actor.go, Array.from({ length: 30 }))
    await t.another([actor])
    await t.events.wait('done', { count: 30 })
    expect(state.most).toBe(10)
  })
})

describe('a limit over all workers', () => {
  it.each([
    [1, 3, 20],
    [3, 50, 30],
    [5, 4, 0],
  ])(
    'of %i is never passed by two systems with concurrency %i and handlers of %i ms, and all run',
    async (limit, concurrency, ms) => {
      const { state, handle } = crowd()
      const actor = defineActor('narrow', {
        limit,
        concurrency,
        messages: { go: (_payload: unknown, ctx) => handle(ctx.worker, ms) },
      })
      await using t = await testBundle({ actors: [actor], system: 'one' })
      await t.another([actor], { system: 'two' })
      await t.troupe.sendMany(actor.go, Array.from({ length: 60 }))
      await t.events.wait('done', { count: 60, timeoutMs: 20_000 })
      expect(state.most).toBeLessThanOrEqual(limit)
      expect(state.ran).toBe(60)
    },
    40_000,
  )

  it('is shared: both systems get on, and neither holds what it does not run', async () => {
    const { state, handle } = crowd()
    const actor = defineActor('shared', {
      limit: 4,
      concurrency: 2,
      messages: { go: (_payload: unknown, ctx) => handle(ctx.worker, 30) },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.another([actor], { system: 'two' })
    await t.troupe.sendMany(actor.go, Array.from({ length: 80 }))
    await t.events.wait('done', { count: 80, timeoutMs: 20_000 })
    expect(state.most).toBeLessThanOrEqual(4)
    expect(Math.min(...state.byWorker.values())).toBeGreaterThan(15)
    expect(state.byWorker.size).toBe(2)
  }, 40_000)

  it('is not used up by what waits in a buffer: who was fast holds nothing that another could run', async () => {
    const hold = gate()
    const actor = defineActor('holds', {
      limit: 4,
      concurrency: 2,
      messages: { go: (payload: { waits: boolean }) => (payload.waits ? hold.passed : undefined) },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    const many = (count: number, waits: boolean): { waits: boolean }[] =>
      Array.from({ length: count }, () => ({ waits }))
    await t.troupe.sendMany(actor.go, many(100, false))
    await t.events.wait('done', { count: 100 })
    await t.troupe.sendMany(actor.go, many(10, true))
    await t.events.wait('started', { count: 102 })
    await t.another([actor], { system: 'two' })
    // Sooner than the second after which a buffer is given back.
    await t.events.wait('started', { count: 104, timeoutMs: 700 })
    hold.open()
    await t.events.wait('done', { count: 110 })
  })

  it('takes all lanes, in the order in which they came', async () => {
    const ran: unknown[] = []
    const actor = defineActor('lanes', { limit: 1, messages: { go: (payload: unknown) => void ran.push(payload) } })
    await using t = await testBundle()
    await t.troupe.send(actor.go, 'low', { lane: 'low' })
    await t.troupe.send(actor.go, 'high', { lane: 'high' })
    await t.another([actor])
    await t.events.wait('done', { count: 2 })
    expect(ran).toEqual(['low', 'high'])
  })

  it('does not hold up what comes in slowly, one after the other', async () => {
    const { state, handle } = crowd()
    const actor = defineActor('trickle', {
      limit: 1,
      messages: { go: (_payload: unknown, ctx) => handle(ctx.worker, 5) },
    })
    await using t = await testBundle({ actors: [actor], system: 'one' })
    await t.another([actor], { system: 'two' })
    for (let n = 1; n <= 20; n++) {
      await t.troupe.send(actor.go, n)
      await t.events.wait('done', { count: n, timeoutMs: 3_000 })
    }
    await eventually('all are through', () => state.ran === 20)
  })
})

describe('two actors in two systems', () => {
  it('each gets its own messages only, and each message is run once', async () => {
    const ran: string[] = []
    const make = (name: string) =>
      defineActor(name, {
        messages: { go: (payload: unknown, ctx) => void ran.push(`${ctx.actor} ${String(payload)}`) },
      })
    const [red, blue] = [make('red'), make('blue')]
    await using t = await testBundle({ actors: [red, blue], system: 'one' })
    await t.another([red, blue], { system: 'two' })
    const numbers = Array.from({ length: 500 }, (_, n) => n)
    await Promise.all([t.troupe.sendMany(red.go, numbers), t.troupe.sendMany(blue.go, numbers)])
    await t.events.wait('done', { count: 1_000 })
    expect(new Set(ran).size).toBe(1_000)
    expect(ran).toHaveLength(1_000)
  })
})
