/** Schedules every second across kills of their systems and of nats-server (P6). Read from the ledger and from what the handlers wrote down. */
import { setTimeout as sleep } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import type { Entry as LedgerEntry } from '#runtime/schedules/ledger.js'

import { bed, isLong, NAMESPACE, until } from './bed.ts'
import type { Child } from './child.ts'
import type { Entry } from './fixtures/journal.ts'
import { count, expectAccounted, expectHandled, POLICIES, readLedger, schedulesOver } from './occurrences.ts'

const MAILBOX = `${NAMESPACE}-mailbox-box`
const SCHEDULES = isLong ? 1_000 : 100
const SECONDS = isLong ? 120 : 8

/** Runs whose end a kill may have cut off: begun before it, and not done a moment before it. */
function runningAt(entries: readonly Entry[], kills: readonly number[]): number {
  const begun = entries.filter(({ what }) => what === 'started')
  const ends = new Map(entries.filter(({ what }) => what === 'done').map(({ id, who, at }) => [`${who} ${id}`, at]))
  return kills.reduce((sum, kill) => {
    const open = begun.filter(({ id, who, at }) => at <= kill && (ends.get(`${who} ${id}`) ?? Infinity) >= kill - 500)
    return sum + open.length
  }, 0)
}

describe(`${SCHEDULES} schedules every second, three systems`, () => {
  it(
    'are accounted for exactly once each, what was sent is handled, none early, none again, when systems and nats-server are killed (P6)',
    { timeout: 600_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: 100 })
      const systems: Child[] = await Promise.all(['s0', 's1', 's2'].map((who) => t.worker(who)))
      // All are put before the first is due.
      const start = Math.ceil(Date.now() / 1_000) * 1_000 + (isLong ? 20_000 : 3_000)
      const end = new Date(start + SECONDS * 1_000)
      const ids = Array.from({ length: SCHEDULES }, (_, index) => `s${index}`)
      await Promise.all(
        ids.map((id, index) =>
          t.troupe.schedules.put(id, {
            every: '1s',
            from: start,
            until: end,
            send: t.box.timed.with({}),
            ...POLICIES[index % POLICIES.length],
          }),
        ),
      )
      expect(Date.now()).toBeLessThan(start)
      await sleep(start - Date.now())
      const kills: number[] = []
      const starting: Promise<Child>[] = []
      const killSystem = async (): Promise<void> => {
        await systems.splice(Math.floor(Math.random() * systems.length), 1)[0]?.kill9()
        kills.push(Date.now())
        // Another takes its place while the rest goes on.
        const child = t.worker(`s${3 + starting.length}`)
        starting.push(child)
        void child.then((ready) => systems.push(ready))
      }
      const killServer = async (): Promise<void> => {
        // A system that starts while there is no server gives up: that is no fault of schedules.
        await Promise.all(starting)
        await t.server.kill9()
        kills.push(Date.now())
        await t.server.restart()
      }
      for (let round = 1; Date.now() < end.getTime() - 1_000; round++) {
        // The moment of a kill is to be any moment.
        await sleep(isLong ? 1_000 + Math.random() * 5_000 : 300 + Math.random() * 1_500)
        if (round === 2 || round === 4) await killServer()
        else if (systems.length > 1) await killSystem()
      }
      await Promise.all(starting)
      await sleep(Math.max(0, end.getTime() - Date.now()))
      await schedulesOver(t)
      await until('nothing waits or runs', async () => (await t.unacked(MAILBOX)) === 0)

      const ledger = await readLedger(t)
      const entries = t.entries()
      const lasts = new Map([...ledger].map(([key, account]) => [key, account.at(-1) as LedgerEntry]))
      const steps = count([...lasts.values()].map(({ step, outcome }) => outcome?.status ?? step))
      const done = entries.filter(({ what }) => what === 'done').map(({ id }) => id)
      const twice = done.length - new Set(done).size
      const running = runningAt(entries, kills)
      const late = entries.filter(({ what }) => what === 'late').map(({ detail }) => Number(detail))
      late.sort((a, b) => a - b)
      console.log(
        `${SCHEDULES} schedules, ${SECONDS} s, ${kills.length} kills: ${lasts.size} occurrences, ${JSON.stringify(Object.fromEntries(steps))}, ` +
          `ran twice ${twice} (${running} running at a kill), late p50 ${late[late.length >> 1]} ms, p99 ${late[Math.floor(late.length * 0.99)]} ms, earliest ${late[0]} ms`,
      )

      expectAccounted(ledger, ids, start, SECONDS)
      expectHandled(ledger, done)
      expect(late.filter((ms) => !(ms >= 0))).toEqual([])
      expect(twice).toBeLessThanOrEqual(running)
    },
  )
})
