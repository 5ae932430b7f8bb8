/** Systems that stop gracefully under load, and handlers that leak. */
import { setTimeout as sleep } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import { bed, ids, isLong, many, NAMESPACE, sum, until } from './bed.ts'
import type { Child } from './child.ts'

const SYSTEMS = 3
/** Of one system each: each of them is replaced, in the long form three times. */
const RESTARTS = isLong ? 3 * SYSTEMS : SYSTEMS

describe('a rolling restart of three systems under load', () => {
  it('loses nothing, counts no attempt and leaves no mark (P8)', { timeout: 300_000 }, async () => {
    // A long lease: what is not given back at once would be seen by how long it takes.
    await using t = await bed({ lease: '30s', concurrency: 100 })
    const start = (place: number): Promise<Child> => t.worker(`w${place}`, { within: '100ms' })
    let systems = [await start(0), await start(1), await start(2)]
    const sent: string[] = []
    const load = { isOn: true }
    const sendOnAndOn = async (_: unknown, lane: number): Promise<void> => {
      for (let place = 0; load.isOn; place++) {
        const id = `${lane}-${place}`
        // Some run for longer than a stop waits.
        await t.troupe.send(t.box.work, { ms: place % 20 === 0 ? 1_000 : 10 }, { id })
        sent.push(id)
        // A steady load of over 2,000 a second, where the machine is free for it.
        await sleep(20)
      }
    }
    const begunAt = performance.now()
    const senders = Promise.all(Array.from({ length: 60 }, sendOnAndOn))
    for (let round = 0; round < RESTARTS; round++) {
      const [leaving, ...others] = systems
      const who = `w${round}`
      await until(`runs of ${who}`, () => t.entries('started').filter((entry) => entry.who === who).length > 100)
      expect(await leaving?.stop()).toBe(0)
      systems = [...others, await start(round + SYSTEMS)]
    }
    if (isLong) await until('more messages', () => sent.length > 20_000)
    load.isOn = false
    await senders
    const perSecond = Math.round((sent.length * 1_000) / (performance.now() - begunAt))
    await t.settled()
    const entries = t.entries()
    const sums = sum(`rolling restart of 3 systems, ${RESTARTS} restarts under ${perSecond} messages/s`, sent, entries)
    const starts = new Map<string, number[]>()
    for (const { what, id, at } of entries) if (what === 'started') starts.set(id, [...(starts.get(id) ?? []), at])
    // At most a second of running, 100 ms until the signal, and then at once: not the lease of 30 seconds.
    const longest = Math.max(...[...starts.values()].map((times) => Math.max(...times) - Math.min(...times)))
    console.log(`rolling restart: ${sums.runs - sums.handled} runs were given back, begun again within ${longest} ms`)
    expect(longest).toBeLessThan(10_000)
    expect(sums).toMatchObject({ lost: 0, twice: 0 })
    // The fault happened: long runs were cut short, and begun again as the same attempt.
    expect(sums.runs).toBeGreaterThan(sums.handled)
    expect(entries.filter(({ what, detail }) => what === 'started' && detail !== '1')).toEqual([])
    expect(await t.letters()).toEqual([])
    await until('marks to go', async () => (await t.stored('faults-marks')) === 0, 5_000)
  })
})

describe('a handler that leaves a rejected promise behind', () => {
  it('does not end its worker, and is reported with its message (P7)', { timeout: 300_000 }, async () => {
    await using t = await bed()
    const leaks = new Map<string, string>()
    const events = t.troupe.connection.subscribe(`${NAMESPACE}.event.box.leak.leak`, {
      callback: (_, msg) => {
        const { id, failure } = msg.json<{ id: string; failure: { message: string } }>()
        leaks.set(id, failure.message)
      },
    })
    const worker = await t.worker('w0')
    const sent = ids(many(1_000))
    await t.troupe.sendMany(
      t.box.leak,
      sent.map(() => ({})),
      { id: (_, index) => sent[index] ?? '' },
    )
    await t.settled()
    await until('all reports', () => leaks.size === sent.length)
    events.unsubscribe()
    const sums = sum('leaks', sent, t.entries())
    console.log(`leaks: ${leaks.size} reported`)
    expect(sums).toMatchObject({ lost: 0, twice: 0 })
    expect([...leaks].filter(([id, text]) => text !== `left behind by ${id}`)).toEqual([])
    // It still works: and ends when it is asked to, with success.
    await t.troupe.send(t.box.work, { ms: 1 }, { id: 'after' })
    await until('one more', () => t.entries('done').some(({ id }) => id === 'after'))
    expect(await worker.stop()).toBe(0)
  })
})
