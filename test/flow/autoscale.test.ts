/** A worker whose concurrency follows its work, on real messages. */
import { setTimeout as sleep } from 'node:timers/promises'

import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, testBundle } from '../kit/system.ts'
import { counting, many } from './fixtures/counting.ts'

describe('an autoscaled worker', () => {
  it('grows with its backlog, shrinks when it is calm, and loses nothing on the way', async () => {
    const { seen, handle } = counting(() => sleep(200))
    const actor = defineActor('elastic', {
      autoscale: { min: 2, max: 40, wait: '500ms', calm: '2s' },
      messages: { go: handle },
    })
    await using t = await testBundle()
    const moves: { from: number; to: number; why: string }[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.system.*.scaled`, {
      callback: (_, msg) => void moves.push(msg.json()),
    })
    const system = await t.another([actor])
    const worker = system.workers.get('elastic')
    expect(worker?.concurrency).toBe(2)
    await t.troupe.sendMany(actor.go, many(500))
    await eventually('it has grown', () => (worker?.concurrency ?? 0) > 10, 25_000)
    await eventually('all have run', () => seen.runs.size === 500, 25_000)
    await eventually('it has shrunk', () => worker?.concurrency === 2, 15_000)
    // The event of it takes its way over NATS.
    await eventually('it is told', () => moves.at(-1)?.to === 2, 5_000)
    expect([...seen.runs.values()].filter((runs) => runs !== 1)).toEqual([])
    expect(seen.peak).toBeLessThanOrEqual(40)
    const [first, last] = [moves[0], moves.at(-1)]
    console.log(`autoscaled: ${moves.map(({ from, to, why }) => `${from}→${to} (${why})`).join(', ')}`)
    expect([first?.why, last?.why, last?.to]).toEqual(['backlog', 'calm', 2])
  }, 60_000)

  it('does not grow where that makes all of them slower', async () => {
    // All wait for one thing: a lock, a small database.
    let turn: Promise<unknown> = Promise.resolve()
    const { seen, handle } = counting(() => (turn = turn.then(() => sleep(40))))
    const actor = defineActor('bound', { autoscale: { min: 4, max: 100, wait: '100ms' }, messages: { go: handle } })
    await using t = await testBundle()
    const steps: string[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.system.*.scaled`, {
      callback: (_, msg) => void steps.push(msg.json<{ why: string }>().why),
    })
    const system = await t.another([actor])
    await t.troupe.sendMany(actor.go, many(250))
    await eventually('all have run', () => seen.runs.size === 250, 30_000)
    console.log(`autoscaled where it does not help: ${steps.join(', ')}, at most ${seen.peak} at once`)
    // A step or two that other load on the machine made look well, and back; not the five to the most.
    expect(steps).toContain('no faster')
    expect(seen.peak).toBeLessThanOrEqual(16)
    expect(system.workers.get('bound')?.concurrency).toBeLessThanOrEqual(8)
  }, 40_000)
})
