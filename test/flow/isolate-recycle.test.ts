/** Threads and processes that are replaced: one at a time, and never with a gap. */
import { describe, expect, it } from 'vitest'

import { drawn } from '#runtime/cli/control/tree.js'

import { eventually, testBundle, type Bundle } from '../kit/system.ts'
import * as recycled from './fixtures/recycled.ts'

interface Watch {
  /** Fewest that were ready at any event, and most that were there at all. */
  least: number
  most: number
  readonly ended: string[]
}

/** Looks at each event of a message, and counts the ends. */
async function watched(t: Bundle, actor: string): Promise<Watch> {
  const members = () => t.system.hosted.get(actor)?.members ?? []
  const ready = (): number => members().filter(({ state }) => state === 'ready').length
  await eventually('all are ready', () => ready() >= 2, 30_000)
  const watch: Watch = { least: ready(), most: members().length, ended: [] }
  const look = (): void => {
    watch.least = Math.min(watch.least, ready())
    watch.most = Math.max(watch.most, members().length)
  }
  t.events.onEach(look)
  t.troupe.connection.subscribe(`${t.namespace}.event.system.*.member-ended`, {
    callback: (_error, msg) => void watch.ended.push(msg.json<{ why: string }>().why),
  })
  await t.troupe.connection.flush()
  return watch
}

describe.each(['process', 'thread'] as const)('a %s', (kind) => {
  it(
    'is replaced after its messages: one at a time, its successor ready first, and no message notices',
    { timeout: 60_000 },
    async () => {
      const actor = kind === 'process' ? recycled.countedProcess : recycled.countedThread
      await using t = await testBundle({ actors: [actor], events: 'all' })
      const watch = await watched(t, actor.where.actor)
      const runs = new Map<string, number>()
      // Without a pause, so that the replaced ones have messages until they end.
      while (watch.ended.length < 3) {
        const places = await Promise.all(Array.from({ length: 20 }, () => t.troupe.ask(actor.where, {})))
        for (const place of places) runs.set(place, (runs.get(place) ?? 0) + 1)
      }
      expect(runs.size).toBeGreaterThanOrEqual(4)
      expect(Math.max(...runs.values())).toBeGreaterThanOrEqual(10)
      expect(new Set(watch.ended)).toEqual(new Set(['recycled']))
      expect(watch.least).toBeGreaterThanOrEqual(2)
      // Two that work, a successor, and the one that ends.
      expect(watch.most).toBeLessThanOrEqual(4)
      for (const event of ['released', 'crashed', 'retry', 'killed'] as const) expect(t.events.of(event)).toEqual([])
    },
  )

  it('is seen in the tree, and its successor where it was killed', { timeout: 60_000 }, async () => {
    const actor = kind === 'process' ? recycled.countedProcess : recycled.countedThread
    await using t = await testBundle({ actors: [actor] })
    await watched(t, actor.where.actor)
    const members = () => t.system.supervision.tree().flatMap((node) => node.members ?? [])
    await t.troupe.ask(actor.where, {})
    expect(members().reduce((sum, { messages }) => sum + messages, 0)).toBe(1)
    const tree = {
      system: 's',
      pid: 1,
      upMs: 1,
      strategy: 'one_for_one' as const,
      children: t.system.supervision.tree(),
    }
    const [first] = members()
    const shown = kind === 'thread' ? 'thread' : `pid ${first?.pid}`
    expect(drawn(tree)).toMatch(new RegExp(`${first?.name.split('/').at(-1)} +(ready|starting) .*${shown}, ran`))
    if (kind === 'thread') return
    const dead = members().find(({ state }) => state === 'ready')
    process.kill(dead?.pid ?? 0, 'SIGKILL')
    const ready = () => members().filter(({ state, pid }) => state === 'ready' && pid !== dead?.pid)
    await eventually('another has its place', () => ready().length >= 2, 30_000)
  })

  it('is replaced when it holds too much after a message', { timeout: 60_000 }, async () => {
    const actor = kind === 'process' ? recycled.weighedProcess : recycled.weighedThread
    await using t = await testBundle({ actors: [actor] })
    const watch = await watched(t, actor.where.actor)
    await t.troupe.ask(actor.grow, { megabytes: 20 })
    expect(watch.ended).toEqual([])
    await t.troupe.ask(actor.grow, { megabytes: 220 })
    await eventually('it was replaced', () => watch.ended.includes('recycled'), 30_000)
    expect(await t.troupe.ask(actor.where, {})).toBeTypeOf('string')
    expect(watch.least).toBeGreaterThanOrEqual(2)
  })

  it('is replaced at its age, though it has nothing to do', { timeout: 60_000 }, async () => {
    const actor = kind === 'process' ? recycled.agedProcess : recycled.agedThread
    await using t = await testBundle({ actors: [actor] })
    const watch = await watched(t, actor.where.actor)
    await eventually('two were replaced', () => watch.ended.length >= 2, 30_000)
    expect(new Set(watch.ended)).toEqual(new Set(['recycled']))
    expect(await t.troupe.ask(actor.where, {})).toBeTypeOf('string')
  })
})

it('a thread is replaced by one that was started for live calls, where there is one', { timeout: 60_000 }, async () => {
  const { where } = recycled.countedThread
  await using t = await testBundle({ actors: [recycled.countedThread] })
  const watch = await watched(t, where.actor)
  const ready = () => (t.system.hosted.get(where.actor)?.members ?? []).filter(({ state }) => state === 'ready')
  const two = [1, 2]
  await Promise.all([...two.map(() => t.troupe.ask(where, {})), ...two.map(() => t.troupe.call(where, {}))])
  await eventually('there are more than the mailbox needs', () => ready().length === 4, 30_000)
  // One after the other, so that one and the same has them.
  for (let message = 0; message < 12; message++) await t.troupe.ask(where, {})
  await eventually('it was replaced', () => watch.ended.includes('recycled'))
  expect(ready().length).toBe(3)
})
