/** Handlers that don't end when told, in loops that hear nothing: their thread or process is ended, and the message settled. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { eventually, rejection, testBundle, type Bundle } from '../kit/system.ts'
import { frailProcess, frailThread, sharedProcess, sharedThread, shortProcess, shortThread } from './fixtures/frail.ts'
import { readJournals, type Entry } from './fixtures/journal.ts'
import { slowness } from './pids.ts'
import { startProxy } from './proxy.ts'

let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'troupe-limits-'))))
afterAll(() => rm(dir, { recursive: true, force: true }))

const GRACE_MS = 500

function runsOf(id: string): Entry[] {
  const entries = readJournals(dir).filter((entry) => entry.what === 'started' && entry.id === id)
  return entries.toSorted((a, b) => a.at - b.at)
}

/** Each member writes a journal of its own, called by pid and thread. */
const pidOf = ({ who }: Entry): number => Number(who.split('-')[0])

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe.each([
  ['process', frailProcess],
  ['thread', frailThread],
] as const)('in a %s, a loop without end', (kind, actor) => {
  const name = actor.work.actor
  let t: Bundle
  beforeAll(async () => void (t = await testBundle({ actors: [actor] })))
  afterAll(() => t[Symbol.asyncDispose]())

  it(
    'is ended at its time limit and grace, and the message has timed out by its retry rule',
    { timeout: 60_000 },
    async () => {
      const id = `limit-${kind}`
      await t.troupe.send(actor.hang, { dir }, { id })
      const death = await t.events.wait('dead', { where: (data) => data.id === id })
      expect(death).toMatchObject({ reason: 'failed', attempt: 2, failure: { code: 'TIME_LIMIT' } })
      expect(runsOf(id)).toHaveLength(2)
      const killed = t.events.of('killed')
      expect(killed.map(({ attempt, reason }) => [attempt, reason.includes('time limit of 300 ms')])).toEqual([
        [1, true],
        [2, true],
      ])
      // It counts an attempt, not a crash, and nothing is left that still runs.
      expect(t.events.of('crashed')).toEqual([])
      expect(t.events.of('abandoned')).toEqual([])
      const took = Date.parse(killed[0]?.at ?? '') - (runsOf(id)[0]?.at ?? 0)
      expect(took).toBeGreaterThanOrEqual(300 + GRACE_MS - 200)
      expect(took).toBeLessThan(300 + GRACE_MS + 1_000 * (await slowness()))
      // Others take its place.
      expect(await t.troupe.ask(actor.work, { dir, ms: 1 })).toBeTypeOf('number')
      await eventually(
        'all places are filled again',
        () => {
          const members = t.system.hosted.get(name)?.members ?? []
          return members.filter(({ state }) => state === 'ready').length >= 3
        },
        20_000,
      )
    },
  )

  it('is ended when its message is cancelled', { timeout: 60_000 }, async () => {
    const id = `cancel-${kind}`
    const sent = await t.troupe.send(actor.die, { dir, way: 'loop' }, { id })
    await eventually('it loops', () => runsOf(id).length === 1, 20_000)
    expect(await sent.cancel({ reason: 'enough' })).toEqual({ was: 'running' })
    expect((await t.events.wait('cancelled')).reason).toBe('enough')
    expect((await t.events.wait('killed', { where: (data) => data.id === id })).reason).toBe('enough')
    expect(await t.troupe.ask(actor.work, { dir, ms: 1 })).toBeTypeOf('number')
    expect(runsOf(id)).toHaveLength(1)
  })

  it('is ended where it was called live, and its caller is told at the time limit', { timeout: 60_000 }, async () => {
    const error = await rejection(t.troupe.call(actor.hang, { dir }))
    expect(error).toMatchObject({ failure: { code: 'TIME_LIMIT' } })
    await t.events.wait('killed', { where: ({ id, message }) => message === 'hang' && id !== `limit-${kind}` })
    expect(await t.troupe.call(actor.work, { dir, ms: 1 })).toBeTypeOf('number')
  })

  it('is ended when its system stops, and its message goes back uncounted', { timeout: 60_000 }, async () => {
    const id = `stop-${kind}`
    await t.troupe.send(actor.die, { dir, way: 'loop' }, { id })
    await eventually('it loops', () => runsOf(id).length === 1, 20_000)
    const from = performance.now()
    await t.system.stop({ within: '200ms' })
    expect(performance.now() - from).toBeLessThan(200 + GRACE_MS + 2_500 * (await slowness()))
    await t.events.wait('released', { where: (data) => data.id === id })
    await t.another([actor])
    await eventually('it is run again', () => runsOf(id).length === 2, 20_000)
    expect(t.events.of('crashed')).toEqual([])
    await t.troupe.cancel(name, { id })
    await t.events.wait('cancelled', { where: (data) => data.id === id })
  })

  it('is ended when its lease is lost, before another worker begins', { timeout: 60_000 }, async () => {
    await using own = await testBundle()
    await using proxy = await startProxy(own.server.port)
    const short = kind === 'process' ? shortProcess : shortThread
    const id = `lease-${kind}`
    await own.another([short], { system: 'cut', servers: proxy.url, grace: '1m' })
    await own.troupe.send(short.die, { dir, way: 'loop' }, { id })
    await eventually('it loops', () => runsOf(id).length === 1, 20_000)
    proxy.cut()
    const other = await own.another([short], { system: 'other' })
    await eventually('another runs it', () => runsOf(id).length === 2, 30_000)
    const [first] = runsOf(id)
    if (kind === 'process') expect(isAlive(first === undefined ? 0 : pidOf(first))).toBe(false)
    const killed = own.events.of('killed').find(({ worker }) => worker.startsWith('cut/'))
    expect(Date.parse(killed?.at ?? '')).toBeLessThanOrEqual(runsOf(id)[1]?.at ?? 0)
    await other.stop({ within: 0 })
    proxy.heal()
  })
})

it.each([
  ['process', sharedProcess],
  ['thread', sharedThread],
] as const)(
  'a %s that runs several messages and is ended for one gives the others back uncounted',
  { timeout: 60_000 },
  async (kind, shared) => {
    await using t = await testBundle({ actors: [shared] })
    await t.troupe.send(shared.work, { dir, ms: 2_500 }, { id: `beside-${kind}` })
    await eventually('it runs', () => runsOf(`beside-${kind}`).length === 1, 30_000)
    await t.troupe.send(shared.hang, { dir }, { id: `hang-${kind}`, retry: { attempts: 1 } })
    await t.events.wait('dead', { where: ({ id }) => id === `hang-${kind}`, timeoutMs: 30_000 })
    await t.events.wait('released', { where: ({ id }) => id === `beside-${kind}` })
    await t.events.wait('done', { where: ({ id }) => id === `beside-${kind}`, timeoutMs: 30_000 })
    expect(t.events.of('crashed')).toEqual([])
  },
)
