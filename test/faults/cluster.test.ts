/**
 * Three servers, three copies of everything: servers killed and cut off while senders send and workers work. Nothing that was
 * acknowledged is lost, and all go on by themselves (P1, P3, P5, P9); each test prints its counts and the time without service.
 *
 * `npm test` runs the two faults that say most; `npm run test:cluster` all of them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startCluster, type Cluster, type Member } from '../kit/cluster.ts'
import { bedOn, isLong, sum, until, type Bed } from './bed.ts'
import { KINDS, longestGap, startLoad, type Load } from './load.ts'
import { expectAccounted, expectHandled, POLICIES, readLedger, schedulesOver } from './occurrences.ts'

const MAILBOX = 'faults-mailbox-box'
const TIMEOUT = { timeout: 240_000 }
/** An election takes 4 to 9 s; who is cut off without a word notices it after 10 s, then finds another server. */
const WITHOUT_SERVICE_MS = 30_000
const WITHOUT_QUORUM_MS = 12_000

/** A sender and a worker that know one member only (they learn of the others), and two workers that know another one. */
async function bedAt(cluster: Cluster, home: Member, other: Member): Promise<Bed> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-cluster-'))
  const stop = (): Promise<void> => rm(dir, { recursive: true, force: true })
  const t = await bedOn({ urls: [home.url], dir, replicas: 3, stop }, { lease: '3s' })
  // At once: who comes first makes the streams, and the others find them made.
  await Promise.all([t.worker('w0'), t.worker('w1', { url: other.url }), t.worker('w2', { url: other.url })])
  await cluster.whole()
  return t
}

const WORKERS = ['w0', 'w1', 'w2']

/**
 * What `act` breaks, under load, until messages of every kind that were sent after it are handled, some by every worker. Prints
 * how long nothing was acknowledged, and nothing run.
 */
async function served(t: Bed, load: Load, what: string, act: () => Promise<unknown>): Promise<void> {
  const before = load.acknowledged.length
  await until('a load', () => load.acknowledged.length > before + 150)
  const at = Date.now()
  await act()
  await until(`service after ${what}`, () => isServed(t, load, at), WITHOUT_SERVICE_MS)
  const runs = t.entries('done').map((entry) => entry.at)
  const runGap = longestGap([at, ...runs.filter((moment) => moment > at), Date.now()])
  console.log(`${what}: ${load.silence(at)} ms without an ack, ${runGap} ms without a run`)
}

function isServed(t: Bed, load: Load, at: number): boolean {
  const kinds = KINDS.map((kind) => load.sentAfter(kind, at))
  const done = t.entries('done').filter((entry) => kinds.some((ids) => ids.has(entry.id)))
  const isAtWork = (who: string): boolean => done.some((entry) => entry.who === who)
  return WORKERS.every(isAtWork) && kinds.every((ids) => done.some(({ id }) => ids.has(id)))
}

async function restartAll({ members }: Cluster): Promise<void> {
  await Promise.all(members.map(({ server }) => server.kill9()))
  await Promise.all(members.map(({ server }) => server.restart()))
}

/** The one that lives can store nothing: those on it look for another server, find none, and must come back to it. */
async function oneBackOfTwo({ members }: Cluster): Promise<void> {
  const [, second, third] = members
  await Promise.all([second?.server.kill9(), third?.server.kill9()])
  await sleep(WITHOUT_QUORUM_MS)
  await second?.server.restart()
}

/**
 * Schedules of every second, of each policy, that go on through all that is done to the servers (P5, P6). Returns what ends them, and holds
 * the ledger against what was due and what was handled.
 */
async function startSchedules(t: Bed): Promise<() => Promise<void>> {
  const ids = Array.from({ length: 2 * POLICIES.length }, (_, index) => `every${index}`)
  const start = Math.ceil(Date.now() / 1_000) * 1_000 + 3_000
  const put = (bounds: { from: number; until?: number }): Promise<unknown> =>
    Promise.all(
      ids.map((id, index) => {
        const rule = { every: '1s', ...bounds, send: t.box.timed.with({}) }
        return t.troupe.schedules.put(id, { ...rule, ...POLICIES[index % POLICIES.length] })
      }),
    )
  await put({ from: start })
  return async () => {
    const end = Math.ceil(Date.now() / 1_000) * 1_000 + 2_000
    await put({ from: start, until: end })
    await schedulesOver(t)
    await t.settled()
    const ledger = await readLedger(t)
    const done = t.entries('done').flatMap(({ id }) => (/^every\d@/.test(id) ? [id] : []))
    const handled = new Set(done).size
    console.log(`schedules: ${ledger.size} occurrences in the ledger, ${handled} done, ${done.length - handled} twice`)
    expectAccounted(ledger, ids, start, (end - start) / 1_000)
    expectHandled(ledger, done)
  }
}

/** Every acknowledged message was handled, no send failed, nothing died, no delayed one was early. */
async function account(t: Bed, what: string, loads: readonly Load[]): Promise<void> {
  await t.settled()
  expect(loads.flatMap(({ errors }) => errors)).toEqual([])
  const sums = sum(
    what,
    loads.flatMap(({ acknowledged }) => acknowledged),
    t.entries(),
  )
  const early = t.entries('late').filter(({ detail }) => !(Number(detail) >= 0))
  expect({ lost: sums.lost, early }).toEqual({ lost: 0, early: [] })
  // Cancels are followed on a consumer that lives on one server: whichever that was, it is followed again.
  const parked = await t.troupe.send(t.box.work, { ms: 1 }, { delay: '1h' })
  expect(await parked.cancel({ timeout: '20s' })).toEqual({ was: 'parked' })
  expect((await t.letters()).map(({ id, failure }) => ({ id, failure }))).toEqual([])
}

describe('a server of three killed with kill -9, under load', () => {
  it(
    isLong
      ? 'the leader of the mailbox, then each other one, and a worker each time: nothing is lost, all go on (P1, P3, P5, P9)'
      : 'the leader of the mailbox, and a worker: nothing is lost, all go on (P1, P3, P5, P9)',
    TIMEOUT,
    async () => {
      await using cluster = await startCluster()
      const [home, other] = cluster.members as [Member, Member]
      await using t = await bedAt(cluster, home, other)
      const load = startLoad(t, 'killed')
      const endSchedules = isLong ? await startSchedules(t) : undefined
      const leader = await cluster.leaderOf(MAILBOX)
      const victims = isLong ? [leader, ...cluster.members.filter((member) => member !== leader)] : [leader]
      for (const [round, victim] of victims.entries()) {
        const doomed = await t.worker(`doomed${round}`)
        await served(t, load, `server ${round + 1} killed`, () => Promise.all([victim.server.kill9(), doomed.kill9()]))
        // Two of three are enough to make a mailbox with three copies.
        const fresh = defineActor(`fresh${round}`, { messages: { any: async () => {} } })
        await t.troupe.send(fresh.any, undefined)
        await victim.server.restart()
        await cluster.whole()
      }
      if (isLong) {
        await served(t, load, 'all servers killed and started again', () => restartAll(cluster))
        await cluster.whole()
        await served(t, load, 'two servers killed, and one back after 12 s', () => oneBackOfTwo(cluster))
        await cluster.members[2]?.server.restart()
        await cluster.whole()
      }
      await load.stop()
      await endSchedules?.()
      await account(t, 'servers killed', [load])
    },
  )
})

describe('a server of three cut off from the others, with a sender and a worker on it', () => {
  const cases = [
    ['cut', 'whose routes break'] as const,
    ...(isLong ? [['silent', 'whose routes fall silent'] as const] : []),
  ]
  it.each(cases)(
    '%s: those move to another server by themselves, nothing is lost (P1, P5, P9)',
    TIMEOUT,
    async (state, what) => {
      await using cluster = await startCluster({ links: true })
      const [first, second] = cluster.members as [Member, Member]
      await using before = await bedAt(cluster, first, second)
      await before.stopWorkers()
      // The worst of three: what waits there can be stored by nobody.
      const home = await cluster.leaderOf(MAILBOX)
      await using t = await bedAt(cluster, home, home === first ? second : first)
      const load = startLoad(t, state)
      expect(home.url).toContain(t.troupe.server)
      await served(t, load, `a server ${what}`, () => home.routes(state))
      expect(home.url).not.toContain(t.troupe.server)
      await load.stop()
      await home.routes('open')
      // The one that is back catches up, which makes the others slow for a while (see README).
      const after = startLoad(t, 'back')
      await served(t, after, 'that server back', async () => {})
      await after.stop()
      await account(t, `a server ${what}`, [load, after])
    },
  )
})
