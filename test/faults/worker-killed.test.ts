/** Workers that die: killed from outside in mid-handler, or by what they run. */
import { describe, expect, it } from 'vitest'

import { bed, ids, many, sum, until } from './bed.ts'

describe('a worker that is killed', () => {
  it('gives its messages to another within the lease, and loses none (P1, P3)', { timeout: 300_000 }, async () => {
    await using t = await bed({ lease: '2s', concurrency: 100 })
    const sent: string[] = []
    let workers = [await t.worker('w0'), await t.worker('w1')]
    const kills: { who: string; at: number }[] = []
    const started = (who: string): number => t.entries('started').filter((entry) => entry.who === who).length
    for (let round = 0; round < 4; round++) {
      const [victim, ...others] = workers
      const who = `w${round}`
      const before = started(who)
      const batch = ids(many(750), `${round}-`)
      const fates = await t.troupe.sendMany(
        t.box.work,
        batch.map(() => ({ ms: 100 })),
        { id: (_, index) => batch[index] ?? '' },
      )
      expect(fates.filter((fate) => 'error' in fate)).toEqual([])
      sent.push(...batch)
      await until(`runs of ${who}`, () => started(who) > before + 100)
      await victim?.kill9()
      kills.push({ who, at: Date.now() })
      workers = [...others, await t.worker(`w${round + 2}`)]
    }
    await t.settled()
    const entries = t.entries()
    const sums = sum('workers killed', sent, entries)
    expect(sums.lost).toBe(0)

    // The fault happened: runs were cut short. Each was begun again elsewhere within the lease, and the time to fetch it.
    const waits = kills.flatMap(({ who, at }) => {
      const finished = new Set(
        entries.filter((entry) => entry.who === who && entry.what === 'done').map(({ id }) => id),
      )
      const cut = entries.filter((entry) => entry.who === who && entry.what === 'started' && !finished.has(entry.id))
      return cut.map(
        ({ id }) =>
          Math.min(
            ...entries
              .filter((entry) => entry.id === id && entry.what === 'started' && entry.who !== who && entry.at >= at)
              .map((entry) => entry.at),
          ) - at,
      )
    })
    console.log(
      `workers killed: ${kills.length} kills, ${waits.length} runs cut short, begun again after at most ${Math.max(...waits)} ms`,
    )
    expect(waits.length).toBeGreaterThan(100)
    expect(Math.max(...waits)).toBeLessThan(2_000 + 4_000)
  })

  it(
    'by a message that kills each of its workers: that one is dead as poison after 4 runs, those beside it are handled (P3)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '1s', concurrency: 10 })
      const beside = ids(many(200), 'beside')
      const first = await t.worker('w0')
      // All in one go, the poison in the middle: it shares its worker with innocents each time.
      await Promise.all([
        ...beside.slice(0, 5).map((id) => t.troupe.send(t.box.work, { ms: 50 }, { id })),
        t.troupe.send(t.box.die, {}, { id: 'poison' }),
        ...beside.slice(5).map((id) => t.troupe.send(t.box.work, { ms: 50 }, { id })),
      ])
      let exited: Promise<unknown> = first.exited
      for (let round = 1; round <= 4; round++) {
        await exited
        // It may be killed before it has said that it is ready: it pulls by then.
        exited = t.worker(`w${round}`).then(
          (worker) => worker.exited,
          () => undefined,
        )
      }
      await t.settled()
      const sums = sum('poison', beside, t.entries())
      const letters = await t.letters()
      console.log(`poison: dead letters ${letters.map(({ id, reason }) => `${id} (${reason})`).join(', ')}`)
      expect(letters.map(({ id, reason }) => [id, reason])).toEqual([['poison', 'poison']])
      expect(t.entries('started').filter(({ id }) => id === 'poison')).toHaveLength(4)
      expect(sums.lost).toBe(0)
    },
  )
})
