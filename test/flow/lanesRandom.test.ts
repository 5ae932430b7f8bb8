/** Random arrivals in all lanes: nothing stalls, nothing runs twice, what a worker holds is bounded. */
import { defineActor, type Lane, type System } from 'troupe'
import { describe, expect, it } from 'vitest'

import { MAX_BUFFER } from '#runtime/flow/fetch.js'

import { eventually, testBundle } from '../kit/system.ts'

const LANES: readonly Lane[] = ['high', 'normal', 'low']

/** The same numbers for the same seed (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms)) // the pattern is made of pauses

const patterns = [
  { seed: 1, concurrency: 1, systems: 1, slowest: 100, messages: 80 },
  { seed: 2, concurrency: 1, systems: 2, slowest: 20, messages: 300 },
  { seed: 3, concurrency: 3, systems: 2, slowest: 100, messages: 200 },
  { seed: 4, concurrency: 10, systems: 1, slowest: 60, messages: 600 },
  { seed: 5, concurrency: 20, systems: 2, slowest: 0, messages: 3_000 },
  { seed: 6, concurrency: 50, systems: 2, slowest: 100, messages: 1_500 },
  { seed: 7, concurrency: 7, systems: 3, slowest: 51, messages: 500 },
]

describe('random arrivals', () => {
  it.each(patterns)(
    'all run once and soon: %j',
    async ({ seed, concurrency, systems, slowest, messages }) => {
      const random = chance(seed)
      const ran = new Map<number, number>()
      let worstMs = 0
      const actor = defineActor('random', {
        concurrency,
        messages: {
          go: async (payload: { n: number; ms: number; sentAt: number }) => {
            worstMs = Math.max(worstMs, Date.now() - payload.sentAt)
            ran.set(payload.n, (ran.get(payload.n) ?? 0) + 1)
            if (payload.ms > 0) await pause(payload.ms)
          },
        },
      })
      await using t = await testBundle({ actors: [actor] })
      const all: System[] = [t.system]
      while (all.length < systems) all.push(await t.another([actor]))
      const workers = all.map(
        (system) => system.workers.get('random') as NonNullable<ReturnType<typeof system.workers.get>>,
      )
      let mostHeld = 0
      const watch = setInterval(() => (mostHeld = Math.max(mostHeld, ...workers.map((worker) => worker.buffered))), 5)
      let workMs = 0
      for (let n = 0; n < messages;) {
        const burst = Math.min(messages - n, 1 + random(random(4) === 0 ? concurrency * 4 : 4))
        const lane = LANES[random(3)] ?? 'normal'
        const payloads = Array.from({ length: burst }, () => ({
          n: n++,
          ms: slowest === 0 ? 0 : random(slowest),
          sentAt: Date.now(),
        }))
        workMs += payloads.reduce((sum, { ms }) => sum + ms + 3, 0)
        await t.troupe.sendMany(actor.go, payloads, { lane })
        if (random(3) === 0) await pause(random(40))
      }
      const budgetMs = (workMs / (concurrency * systems)) * 1.5 + 4_000
      await eventually('all have run', () => ran.size === messages, budgetMs)
      clearInterval(watch)
      expect(Math.max(...ran.values())).toBe(1)
      expect(worstMs).toBeLessThan(budgetMs)
      // A buffer of 50 ms of work, and as much again for each lane that was asked before it was full.
      expect(mostHeld).toBeLessThanOrEqual(
        slowest === 0 ? 4 * (MAX_BUFFER + concurrency) : 4 * Math.max(50 * concurrency, concurrency),
      )
      for (const worker of workers) {
        await eventually(
          'it waits for more on every lane',
          () => worker.asked >= LANES.length && worker.buffered === 0,
          3_000,
        )
        expect(worker.asked).toBeLessThanOrEqual(LANES.length * (MAX_BUFFER + concurrency))
      }
      for (const lane of LANES)
        await t.troupe.ask(actor.go, { n: -1, ms: 0, sentAt: Date.now() }, { lane, timeout: '3s' })
    },
    60_000,
  )
})

describe('a loop that stood still', () => {
  it('runs nothing whose lease has lapsed meanwhile, and goes on with what comes again', async () => {
    const ran: number[] = []
    const actor = defineActor('stands', {
      concurrency: 2,
      lanes: ['normal'],
      lease: '400ms',
      messages: {
        go: (n: number) => {
          ran.push(n)
          const until = n === 0 ? performance.now() + 700 : 0
          while (performance.now() < until); // longer than the lease
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.sendMany(
      actor.go,
      Array.from({ length: 200 }, () => -1),
    )
    await t.events.wait('done', { count: 200 })
    ran.length = 0
    await t.troupe.sendMany(
      actor.go,
      Array.from({ length: 3_000 }, (_, n) => n),
    )
    await eventually('each has run', () => new Set(ran).size === 3_000, 15_000)
  })
})
