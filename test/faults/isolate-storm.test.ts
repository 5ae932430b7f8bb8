/** Three systems of child processes, half of which are killed again and again while they work, and once a whole system. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type Troupe } from 'troupe'
import { expect, it } from 'vitest'

import { startServer } from '../kit/server.ts'
import { ids, isLong, NAMESPACE, sum, until } from './bed.ts'
import { startChild, type Child } from './child.ts'
import { stormProcess } from './fixtures/frail.ts'
import { readJournals, type Entry } from './fixtures/journal.ts'
import { isRunning, residentOf, slowness } from './pids.ts'

const COUNT = isLong ? 10_000 : 2_000
const EVERY_MS = 2_500
const ROUNDS = isLong ? 24 : 4
const LEASE_MS = 4_000

interface Kill {
  readonly pid: number
  readonly at: number
}

/** Members that live, by the events of their systems. */
function followMembers(troupe: Troupe): Map<number, string> {
  const living = new Map<number, string>()
  const follow = (event: string, act: (data: { pid: number; system: string }) => void): void =>
    void troupe.connection.subscribe(`${NAMESPACE}.event.system.*.${event}`, {
      callback: (_error, msg) => act(msg.json()),
    })
  follow('member-started', ({ pid, system }) => living.set(pid, system))
  follow('member-ended', ({ pid }) => living.delete(pid))
  return living
}

/** Runs that a process had begun and that came again when it was killed, done or not, and how long each waited for that. */
function waitsAfter(kills: readonly Kill[], entries: readonly Entry[]): number[] {
  const starts = entries.filter(({ what }) => what === 'started')
  return kills.flatMap(({ pid, at }) => {
    const own = new Set(starts.filter(({ who }) => who.startsWith(`${pid}-`)).map(({ id }) => id))
    return [...own].flatMap((id) => {
      const next = starts.filter((entry) => entry.id === id && entry.at >= at).map((entry) => entry.at - at)
      return next.length === 0 ? [] : [Math.min(...next)]
    })
  })
}

/** Whether one of these processes has begun a run that has not ended. */
function isBusy(pids: readonly number[], entries: readonly Entry[]): boolean {
  return pids.some((pid) => {
    const own = entries.filter(({ who }) => who.startsWith(`${pid}-`))
    return own.filter(({ what }) => what === 'started').length > own.filter(({ what }) => what === 'done').length
  })
}

const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? 0

it(
  'loses nothing, repeats no more than was killed, and goes on within a second (P3)',
  { timeout: 300_000 },
  async () => {
    await using server = await startServer()
    const dir = await mkdtemp(join(tmpdir(), 'troupe-storm-'))
    await using troupe = await connect({ servers: server.url, namespace: NAMESPACE, logLevel: 'silent' })
    const jsm = await jetstreamManager(troupe.connection)
    const living = followMembers(troupe)
    const start = (who: string): Promise<Child> =>
      startChild('isolatedWorker', { url: server.url, namespace: NAMESPACE, who, actors: ['stormProcess'] })
    const systems = new Map<string, Child>()
    for (const who of ['one', 'two', 'three']) systems.set(who, await start(who))
    await until('all members', () => living.size >= 12)
    const before = new Map([...systems].map(([who, { pid }]) => [who, residentOf(pid)]))

    const sent = ids(COUNT, 'storm-')
    const fates = await troupe.sendMany(
      stormProcess.work,
      sent.map((_, index) => ({ dir, ms: 60 + (index % 60) })),
      { id: (_, index) => sent[index] ?? '' },
    )
    expect(fates.filter((fate) => 'error' in fate)).toEqual([])

    const kills: Kill[] = []
    let fallen: { readonly at: number; readonly pids: readonly number[] } | undefined
    for (let round = 0; round < ROUNDS; round++) {
      await sleep(EVERY_MS)
      const pids = [...living.keys()].toSorted(() => Math.random() - 0.5)
      for (const pid of pids.slice(0, Math.ceil(pids.length / 2))) {
        kills.push({ pid, at: Date.now() })
        if (isRunning(pid)) process.kill(pid, 'SIGKILL')
      }
      if (round !== 1) continue
      // Once a whole system, when those of it that were just killed are at work again: its members end by themselves, its messages
      // come back after the lease.
      await sleep(EVERY_MS / 2)
      const ownOf = (): number[] => [...living].filter(([, system]) => system === 'three').map(([pid]) => pid)
      await until('the third system to run something', () => isBusy(ownOf(), readJournals(dir)))
      const own = ownOf()
      fallen = { at: Date.now(), pids: own }
      await systems.get('three')?.kill9()
      for (const pid of own) living.delete(pid)
      systems.set('four', await start('four'))
    }
    const waiting = async (): Promise<number> =>
      (await jsm.streams.info(`${NAMESPACE}-mailbox-storm_process`)).state.messages
    await until('an empty mailbox', async () => (await waiting()) === 0)

    const entries = readJournals(dir)
    const sums = sum('storm', sent, entries)
    const dead: string[] = []
    for await (const { id, reason } of troupe.dead.list()) dead.push(`${id} ${reason}`)
    const hit = kills.filter(({ pid }) => fallen === undefined || !fallen.pids.includes(pid))
    const waits = waitsAfter(hit, entries)
    const late = waitsAfter(
      (fallen?.pids ?? []).map((pid) => ({ pid, at: fallen?.at ?? 0 })),
      entries,
    )
    const grown = [...systems].flatMap(([who, { pid }]) =>
      before.has(who) && isRunning(pid) ? [Math.round((residentOf(pid) - (before.get(who) ?? 0)) / 2 ** 20)] : [],
    )
    console.log(
      `storm: ${kills.length} kills, ${waits.length} came again after p50 ${percentile(waits, 0.5)}, p99 ${percentile(waits, 0.99)} ms; ` +
        `of the whole system ${late.length}, after at most ${Math.max(0, ...late)} ms; dead ${dead.length}; parents grew by ${grown.join(', ')} MiB`,
    )
    await Promise.all([...systems.values()].map((child) => child.kill9()))
    await rm(dir, { recursive: true, force: true })

    // The fault happened.
    expect(waits.length).toBeGreaterThan(ROUNDS)
    expect(late.length).toBeGreaterThan(0)
    // All are handled, or dead by the rule: three crashes each.
    expect(sums.handled + dead.length).toBe(COUNT)
    expect(dead.filter((letter) => !letter.endsWith(' poison'))).toEqual([])
    // A killed process ran one message; the whole system four.
    expect(sums.runs - COUNT).toBeLessThanOrEqual(hit.length + 4)
    const slow = await slowness()
    expect(percentile(waits, 0.99)).toBeLessThan(1_000 * slow)
    expect(Math.max(0, ...late)).toBeLessThan(LEASE_MS + 2_000 * slow)
    for (const megabytes of grown) expect(megabytes).toBeLessThan(64)
  },
)
