/** What every fault test stands on: a server of its own, a sender, workers in processes of their own, and the sums at the end. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect, type DeadLetter, type Troupe } from 'troupe'

import { startServer, type TestServer } from '../kit/server.ts'
import { startChild, type Child } from './child.ts'
import { box, type BoxOptions } from './fixtures/box.ts'
import { openJournal, readJournals, type Entry, type Write } from './fixtures/journal.ts'
import type { WorkerSetup } from './fixtures/worker.ts'

/** `npm run test:long`: the same faults, ten times the messages. */
export const isLong = process.env['TROUPE_TEST_LONG'] !== undefined
export const many = (count: number): number => (isLong ? count * 10 : count)
/** Longest wait of a test for what it waits for. */
export const PATIENCE_MS = isLong ? 240_000 : 60_000

export const NAMESPACE = 'faults'
const MAILBOX = `${NAMESPACE}-mailbox-box`
const TIMER = `${NAMESPACE}-timer-box`

/** What a bed stands on: one server, or a cluster. */
export interface Ground {
  readonly urls: readonly string[]
  /** Removed when the ground ends. */
  readonly dir: string
  /** Copies of every stream. */
  readonly replicas: number
  stop(): Promise<void>
}

export interface Bed extends AsyncDisposable {
  readonly troupe: Troupe
  readonly box: ReturnType<typeof box>
  readonly jsm: JetStreamManager
  readonly dir: string
  readonly write: Write
  /** Starts a worker process; it is killed with the bed. */
  worker(who: string, setup?: Partial<WorkerSetup>): Promise<Child>
  /** Ends all workers and senders with SIGTERM. */
  stopWorkers(): Promise<void>
  sender(who: string, setup: { calls: readonly number[] }): Promise<Child>
  entries(what?: string): Entry[]
  /** All dead letters, oldest first. */
  letters(): Promise<DeadLetter[]>
  /** Messages in a stream now. */
  stored(stream: string): Promise<number>
  /** What waits or runs, by the stream's consumers: a killed nats-server leaves messages in a stream that were acked. */
  unacked(stream: string): Promise<number>
  /** Resolves when the box's mailbox and timer are empty. */
  settled(): Promise<void>
}

export async function bed(options: BoxOptions = {}): Promise<Bed & { readonly server: TestServer }> {
  const server = await startServer()
  const ground = { urls: [server.url], dir: server.dir, replicas: 1, stop: () => server.stop() }
  return { ...(await bedOn(ground, options)), server }
}

export async function bedOn(ground: Ground, options: BoxOptions = {}): Promise<Bed> {
  const { urls, replicas } = ground
  const dir = join(ground.dir, 'journals')
  await mkdir(dir)
  const troupe = await connect({ servers: urls, namespace: NAMESPACE, logLevel: 'silent', nats: { replicas } })
  const jsm = await jetstreamManager(troupe.connection)
  const children: Child[] = []
  const common = { ...options, url: urls, replicas, namespace: NAMESPACE, dir }
  const keep = (child: Child): Child => {
    children.push(child)
    return child
  }
  const stored = async (stream: string): Promise<number> => (await jsm.streams.info(stream)).state.messages
  return {
    troupe,
    box: box(options),
    jsm,
    dir,
    write: openJournal(dir, 'test'),
    worker: async (who, setup = {}) => keep(await startChild('worker', { ...common, who, ...setup })),
    stopWorkers: async () => {
      await Promise.all(children.map((child) => child.stop()))
    },
    sender: async (who, setup) => keep(await startChild('sender', { ...common, who, ...setup })),
    entries: (what) => readJournals(dir).filter((entry) => what === undefined || entry.what === what),
    letters: async () => {
      const letters: DeadLetter[] = []
      for await (const letter of troupe.dead.list()) letters.push(letter)
      return letters
    },
    stored,
    unacked: async (stream) => {
      let count = 0
      for await (const { num_pending, num_ack_pending } of jsm.consumers.list(stream))
        count += num_pending + num_ack_pending
      return count
    },
    settled: () =>
      until('an empty mailbox and timer', async () => (await stored(MAILBOX)) + (await stored(TIMER)) === 0),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(children.map((child) => child.kill9()))
      await troupe.close()
      await ground.stop()
    },
  }
}

/** Asks again and again; an error of the question counts as no, since servers are away in these tests. */
export async function until(
  what: string,
  test: () => boolean | Promise<boolean>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const end = performance.now() + patienceMs
  let last: unknown
  while (performance.now() < end) {
    try {
      if (await test()) return
    } catch (error) {
      last = error
    }
    // Between two looks at what can only be asked for.
    await sleep(25)
  }
  throw new Error(`waited ${patienceMs} ms for ${what}`, { cause: last })
}

export interface Sums {
  readonly sent: number
  /** Ids that were done at least once. */
  readonly handled: number
  /** Runs that were done beyond the first of their id. */
  readonly twice: number
  /** Ids that were never done. */
  readonly lost: number
  /** Runs that were begun. */
  readonly runs: number
}

/** Counts what became of the ids, and prints it. */
export function sum(what: string, ids: Iterable<string>, entries: readonly Entry[]): Sums {
  const wanted = new Set(ids)
  const done = entries.filter((entry) => entry.what === 'done' && wanted.has(entry.id))
  const handled = new Set(done.map(({ id }) => id)).size
  const runs = entries.filter((entry) => entry.what === 'started' && wanted.has(entry.id)).length
  const sums = { sent: wanted.size, handled, twice: done.length - handled, lost: wanted.size - handled, runs }
  console.log(`${what}: sent ${sums.sent}, handled ${handled}, twice ${sums.twice}, lost ${sums.lost}, runs ${runs}`)
  return sums
}

/** `0` to `count - 1` as ids. */
export function ids(count: number, prefix = ''): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}
