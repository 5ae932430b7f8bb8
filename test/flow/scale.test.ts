/** Scaling a worker while it runs: nothing is lost, run twice or hoarded. */
import { setTimeout as sleep } from 'node:timers/promises'

import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, gate, rejection, testBundle } from '../kit/system.ts'
import { counting, many } from './fixtures/counting.ts'
import { sleepers } from './fixtures/sleepers.ts'

describe('a worker that is scaled up', () => {
  it('runs more at once, at once, and its leases are extended beyond the first table (P2)', async () => {
    const open = gate()
    const { seen, handle } = counting(() => open.passed)
    const actor = defineActor('up', { concurrency: 2, lease: '3s', messages: { go: handle } })
    await using t = await testBundle({ actors: [actor] })
    // More than the 2,002 rows that its table of leases has at first.
    await t.troupe.sendMany(actor.go, many(2_500))
    await eventually('two run', () => seen.running === 2)
    expect(t.system.supervision.scale('up', 2_500)).toEqual({ from: 2, to: 2_500 })
    await eventually('all run', () => seen.running === 2_500)
    // Two leases: without heartbeats they would all come again.
    await sleep(6_000)
    open.open()
    await eventually('all are settled', () => t.system.workers.get('up')?.unsettled === 0 && seen.running === 0)
    expect([...seen.runs.values()].filter((runs) => runs !== 1).length).toBe(0)
    expect(t.system.workers.get('up')?.counts).toMatchObject({ started: 2_500, done: 2_500 })
  })

  it('keeps its size when it is restarted', async () => {
    const actor = defineActor('kept', { concurrency: 2, messages: { go: () => {} } })
    await using t = await testBundle({ actors: [actor] })
    t.system.supervision.scale('kept', 7)
    await t.system.supervision.restart('kept')
    expect(t.system.supervision.tree()).toMatchObject([{ id: 'kept', restarts: 1, work: { concurrency: 7 } }])
  })
})

describe('an actor in threads', () => {
  it('has as many of them as its size needs, and loses nothing on the way up and down', async () => {
    await using t = await testBundle({ actors: [sleepers] })
    const nap = (count: number, ms: number): Promise<number[]> =>
      Promise.all(Array.from({ length: count }, () => t.troupe.ask(sleepers.nap, { ms })))
    expect(new Set(await nap(4, 1)).size).toBe(1)
    t.system.supervision.scale('sleepers', 3)
    const ready = (): number =>
      (t.system.hosted.get('sleepers')?.members ?? []).filter(({ state }) => state === 'ready').length
    await eventually('there are three', () => ready() === 3)
    const all = nap(30, 100)
    await eventually('three run', () => t.system.workers.get('sleepers')?.running.length === 3)
    t.system.supervision.scale('sleepers', 1)
    const ran = await all
    expect(ran).toHaveLength(30)
    expect(new Set(ran).size).toBe(3)
    // Threads that are too many now end when they have been idle for a while; one runs at once from now on.
    const more = nap(4, 100)
    let most = 0
    const look = setInterval(() => (most = Math.max(most, t.system.workers.get('sleepers')?.running.length ?? 0)), 5)
    await more
    clearInterval(look)
    expect(most).toBe(1)
    expect(t.system.workers.get('sleepers')?.counts).toMatchObject({ started: 38, done: 38 })
  })
})

describe('a worker that is scaled down', () => {
  it('lets what runs end, begins no more than it may, and gives back at once what it holds beyond that', async () => {
    let holdMs = 1
    const { seen, handle } = counting((worker) => sleep(worker.startsWith('slow/') ? holdMs : 0))
    const actor = defineActor('down', { concurrency: 100, messages: { go: handle } })
    await using t = await testBundle({ actors: [actor], system: 'slow' })
    await t.troupe.sendMany(actor.go, many(3_000))
    // It is fast, and holds as much as it may: then it becomes slow.
    await eventually('it holds a lot', () => (t.system.workers.get('down')?.buffered ?? 0) > 200)
    holdMs = 500
    t.system.supervision.scale('down', 3)
    const worker = t.system.workers.get('down')
    // 50 ms of work at the pace that it was fast at.
    expect(worker?.buffered).toBeLessThanOrEqual(150)
    await eventually('the many have ended', () => worker?.running.length === 3)
    const left = 3_000 - seen.runs.size
    const other = await t.another([actor], { system: 'quick' })
    await eventually('all have run', () => seen.runs.size === 3_000, 20_000)
    await eventually('all are settled', () => worker?.unsettled === 0 && seen.running === 0)
    expect([...seen.runs.values()].filter((runs) => runs !== 1)).toEqual([])
    // The slow one kept next to nothing from it.
    expect(other.workers.get('down')?.counts.done).toBeGreaterThan(left * 0.8)
  })

  it('to nothing, or an actor that is not there, is refused', async () => {
    const actor = defineActor('refused', { messages: { go: () => {} } })
    await using t = await testBundle({ actors: [actor] })
    const scale = async (name: string, size: number): Promise<unknown> => t.system.supervision.scale(name, size)
    expect(await rejection(scale('refused', 0))).toMatchObject({ code: 'INVALID_OPTION' })
    expect(await rejection(scale('refusde', 3))).toMatchObject({ code: 'NO_CHILD' })
  })
})
