/** Overlap: what becomes of a run while the one before it is not finished. */
import { describe, expect, it } from 'vitest'

import { accounts, clerk, NEVER, runsOf, statesOf } from '../kit/clerk.ts'
import { eventually, testBundle } from '../kit/system.ts'

describe('overlap follows the real end of the run before', () => {
  it('skip: skipped while it runs, sent when it has ended', async () => {
    const { actor, seen, release } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('slow', { every: '1s', overlap: 'skip', send: actor.hold.with({}) })
    await eventually('a skipped one', async () => (await statesOf(t, 'slow')).includes('skipped'))
    expect(seen).toHaveLength(1)
    release()
    await eventually('the next run', () => seen.length === 2)
    const runs = await runsOf(t, 'slow')
    expect(runs.find(({ state }) => state === 'skipped')?.reason).toMatch(/overlap skip: the run of .* is not finished/)
  })

  it('bufferOne: one waits and goes at once when it has ended, also when a worker was restarted in between', async () => {
    const first = clerk()
    await using t = await testBundle()
    const system = await t.another([first.actor])
    await t.troupe.schedules.put('slow', { ...NEVER, overlap: 'bufferOne', send: first.actor.hold.with({}) })
    await t.troupe.schedules.trigger('slow')
    await eventually('it runs', () => first.seen.length === 1)
    await t.troupe.schedules.trigger('slow')
    await accounts(t, 'slow', 'sent', 'waiting')
    await system.stop({ within: 0 })
    const second = clerk()
    await t.another([second.actor])
    await eventually('it runs again', () => second.seen.length === 1)
    await t.troupe.schedules.trigger('slow')
    await accounts(t, 'slow', 'sent', 'waiting', 'skipped')
    second.release()
    await eventually('the one that waited', () => second.seen.length === 2)
    second.release()
    await accounts(t, 'slow', 'done', 'done', 'skipped')
  })

  it('bufferAll: all wait, and go one after the other in order', async () => {
    const { actor, seen, release } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('slow', { ...NEVER, overlap: 'bufferAll', send: actor.hold.with({}) })
    for (let count = 0; count < 4; count++) await t.troupe.schedules.trigger('slow')
    await accounts(t, 'slow', 'sent', 'waiting', 'waiting', 'waiting')
    for (let count = 1; count <= 4; count++) {
      await eventually(`run ${count}`, () => seen.length === count)
      release()
    }
    await accounts(t, 'slow', 'done', 'done', 'done', 'done')
    const planned = seen.map((run) => run.planned)
    expect(planned).toEqual(planned.toSorted((a, b) => a - b))
  })

  it('cancelOther: the run is cancelled, and the newest goes when it has ended', async () => {
    const { actor, seen, release } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('slow', { ...NEVER, overlap: 'cancelOther', send: actor.hold.with({}) })
    await t.troupe.schedules.trigger('slow')
    await eventually('it runs', () => seen.length === 1)
    await t.troupe.schedules.trigger('slow')
    await eventually('the newest runs', () => seen.length === 2)
    await accounts(t, 'slow', 'cancelled', 'sent')
    release()
    release()
    await accounts(t, 'slow', 'cancelled', 'done')
  })

  it('a run that is lost counts as ended after its limit, and what waits goes', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor], timer: { check: '500ms' } })
    await t.troupe.schedules.put('slow', {
      ...NEVER,
      overlap: 'bufferOne',
      lostAfter: '2s',
      send: actor.file.with({ what: 'x' }),
    })
    await t.troupe.pause('clerk')
    await t.troupe.schedules.trigger('slow')
    await accounts(t, 'slow', 'sent')
    // Somebody empties the mailbox: no outcome will ever come.
    const { jetstreamManager } = await import('@nats-io/jetstream')
    await (await jetstreamManager(t.troupe.connection)).streams.purge(`${t.namespace}-mailbox-clerk`)
    await t.troupe.schedules.trigger('slow')
    await t.troupe.resume('clerk')
    await accounts(t, 'slow', 'lost', 'done')
    expect(seen).toHaveLength(1)
  })

  it('pauseOnFailure: a dead letter pauses it, with the reason', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('bad', { every: '1s', pauseOnFailure: true, send: actor.fail.with({}) })
    await eventually('it pauses', async () => (await t.troupe.schedules.get('bad')).state === 'paused')
    const { paused } = await t.troupe.schedules.get('bad')
    expect(paused).toMatchObject({ onFailure: true, note: expect.stringContaining('dead letter') as unknown })
    expect(seen).toHaveLength(1)
    await t.troupe.schedules.resume('bad')
    await eventually('it runs again', () => seen.length === 2)
  })
})
