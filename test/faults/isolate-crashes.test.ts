/** Threads and processes that die of what they run: the right message is blamed, the others finish, and it takes no lease. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { eventually, testBundle, type Bundle } from '../kit/system.ts'
import { ids } from './bed.ts'
import { frailProcess, frailThread, sharedProcess, sharedThread, type Way } from './fixtures/frail.ts'
import { readJournals, type Entry } from './fixtures/journal.ts'
import { slowness } from './pids.ts'

let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'troupe-isolate-'))))
afterAll(() => rm(dir, { recursive: true, force: true }))

/** By time: each process has a journal of its own. */
function runsOf(id: string, what = 'started'): Entry[] {
  const entries = readJournals(dir).filter((entry) => entry.what === what && entry.id === id)
  return entries.toSorted((a, b) => a.at - b.at)
}

async function allReady(t: Bundle, actor: string, count: number): Promise<void> {
  const ready = (): number => t.system.hosted.get(actor)?.members.filter(({ state }) => state === 'ready').length ?? 0
  await eventually(`${count} members are ready`, () => ready() >= count, 30_000)
}

const THROWN = { cause: 'uncaught', code: 1, error: expect.stringContaining('nobody catches') as unknown }
const OF_BOTH: [Way, object][] = [
  ['exit', { cause: 'exit', code: 0 }],
  ['uncaught', THROWN],
  ['heap', { cause: 'memory' }],
]
/** What would end the whole process is for processes only. */
const OF_PROCESSES: [Way, object][] = [
  ['abort', { cause: 'signal', signal: 'SIGABRT' }],
  ['kill', { cause: 'signal', signal: 'SIGKILL' }],
  ['buffers', { cause: 'memory', memoryBytes: expect.any(Number) as unknown }],
]

describe.each([
  ['process', { actor: frailProcess, ways: [...OF_BOTH, ...OF_PROCESSES] }],
  ['thread', { actor: frailThread, ways: OF_BOTH }],
] as const)('a %s that dies', (kind, { actor, ways }) => {
  let t: Bundle
  beforeAll(async () => void (t = await testBundle({ actors: [actor] })))
  afterAll(() => t[Symbol.asyncDispose]())

  it.each(ways)(
    'by %s: its message is poison after three runs, those beside it run once (P3)',
    { timeout: 60_000 },
    async (way, report) => {
      await allReady(t, actor.work.actor, 3)
      const bad = `${kind}-${way}-bad`
      const beside = ids(20, `${kind}-${way}-`)
      const work = beside.map(() => ({ dir, ms: 40 }))
      await Promise.all([
        t.troupe.sendMany(actor.work, work, { id: (_, index) => beside[index] ?? '' }),
        t.troupe.send(actor.die, { dir, way }, { id: bad }),
      ])
      const death = await t.events.wait('dead', { where: ({ id }) => id === bad, timeoutMs: 50_000 })
      await eventually('those beside it are done', () => beside.every((id) => runsOf(id, 'done').length > 0), 20_000)

      expect(death.reason).toBe('poison')
      expect(runsOf(bad)).toHaveLength(3)
      expect(beside.map((id) => [id, runsOf(id).length])).toEqual(beside.map((id) => [id, 1]))
      const crashes = t.events.of('crashed').filter(({ id }) => id === bad)
      expect(crashes.map(({ crashes: count }) => count)).toEqual([1, 2])
      const letter = await t.troupe.dead.show(bad, { actor: actor.die.actor })
      expect(letter.crashes).toHaveLength(3)
      for (const crash of letter.crashes) expect(crash).toMatchObject({ kind, ...report })
      expect(letter.failure.code).toBe('POISON')
      if (way === 'uncaught') expect(letter.crashes[0]?.stderr).toContain('the last that it said')
      // At once, and not after the lease of 20 s: each run begins within a second of the crash before it.
      const waits = crashes.map(
        ({ report: { at } }, index) => (runsOf(bad)[index + 1]?.at ?? Infinity) - Date.parse(at),
      )
      console.log(`${kind} ${way}: run again after ${waits.join(' and ')} ms`)
      expect(Math.max(...waits)).toBeLessThan(1_000 * (await slowness()))
    },
  )
})

describe.each([
  ['process', sharedProcess],
  ['thread', sharedThread],
] as const)('one %s that runs several messages at once', (kind, actor) => {
  it(
    'dies of an exception: the message whose code threw it is blamed, the others go back uncounted',
    { timeout: 60_000 },
    async () => {
      await using t = await testBundle({ actors: [actor] })
      const beside = ids(3, `shared-${kind}-`)
      for (const id of beside) await t.troupe.send(actor.work, { dir, ms: 1_500 }, { id })
      const bad = `shared-${kind}-bad`
      await t.troupe.send(actor.die, { dir, way: 'uncaught' }, { id: bad })
      const death = await t.events.wait('dead', { where: ({ id }) => id === bad, timeoutMs: 50_000 })
      expect(death.reason).toBe('poison')
      await t.events.wait('done', { count: 3, timeoutMs: 30_000, where: ({ id }) => beside.includes(id) })
      expect(runsOf(bad)).toHaveLength(3)
      expect(t.events.of('crashed').map(({ id }) => id)).toEqual([bad, bad])
      expect(t.events.of('released').some(({ id }) => beside.includes(id))).toBe(true)
    },
  )

  it(
    'dies of nobody knows what: all that ran are counted, but the last run is alone, and only the guilty one is poison',
    { timeout: 60_000 },
    async () => {
      await using t = await testBundle({ actors: [actor] })
      const beside = ids(3, `unknown-${kind}-`)
      for (const id of beside) await t.troupe.send(actor.work, { dir, ms: 300 }, { id })
      const bad = `unknown-${kind}-bad`
      await t.troupe.send(actor.die, { dir, way: 'exit' }, { id: bad })
      const death = await t.events.wait('dead', { timeoutMs: 50_000 })
      expect([death.id, death.reason]).toEqual([bad, 'poison'])
      await t.events.wait('done', { count: 3, timeoutMs: 30_000, where: ({ id }) => beside.includes(id) })
      expect(runsOf(bad)).toHaveLength(3)
      expect(t.events.of('dead')).toHaveLength(1)
    },
  )

  it('dies of what an ended message left behind: nobody is blamed', { timeout: 60_000 }, async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.die, { dir, way: 'leftover' }, { id: `left-${kind}` })
    await t.events.wait('done', { where: ({ id }) => id === `left-${kind}`, timeoutMs: 30_000 })
    await t.troupe.send(actor.work, { dir, ms: 400 }, { id: `after-${kind}` })
    await t.events.wait('released', { where: ({ id }) => id === `after-${kind}`, timeoutMs: 30_000 })
    await t.events.wait('done', { where: ({ id }) => id === `after-${kind}`, timeoutMs: 30_000 })
    expect(t.events.of('crashed')).toEqual([])
  })
})

describe('the only process of a system', () => {
  it('takes all places with it: what was fetched for them goes to others at once, and waits for no start', async () => {
    await using t = await testBundle({ actors: [sharedProcess] })
    const { actor } = sharedProcess.work
    await allReady(t, actor, 1)
    const sent = ids(1_000, 'alone-')
    const all = t.troupe.sendMany(
      sharedProcess.work,
      sent.map(() => ({ dir, ms: 1 })),
      { id: (_, index) => sent[index] ?? '' },
    )
    const worker = t.system.workers.get(actor)
    // Some 50 ms of work: as much as it may, which is little on a machine that is slow.
    await eventually('it holds some', () => (worker?.buffered ?? 0) > 4, 20_000)
    const members = () => t.system.hosted.get(actor)?.members ?? []
    process.kill(members()[0]?.pid ?? 0, 'SIGKILL')
    await eventually('it is gone', () => !members().some(({ state }) => state === 'ready'))
    expect(worker?.held).toEqual([])
    await all
    await t.events.wait('done', { count: sent.length, timeoutMs: 25_000 })
    const done = new Set(readJournals(dir).flatMap(({ what, id }) => (what === 'done' ? [id] : [])))
    expect(sent.filter((id) => !done.has(id))).toEqual([])
  })
})
