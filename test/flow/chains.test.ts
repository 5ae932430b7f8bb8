/** Schedules that run after a message ended. */
import { describe, expect, it } from 'vitest'

import { clerk, runsOf, statesOf } from '../kit/clerk.ts'
import { eventually, testBundle } from '../kit/system.ts'

describe('chains', () => {
  it('run after a message of another actor ended so, whoever sent it, with its cause', async () => {
    const source = clerk('source')
    const target = clerk('target')
    await using t = await testBundle({ actors: [source.actor, target.actor] })
    const after = { actor: 'source', message: 'file' } as const
    await t.troupe.schedules.put('done', { after, overlap: 'allow', send: target.actor.file.with({ what: 'after' }) })
    await t.troupe.schedules.put('dead', {
      after: { actor: 'source', message: 'fail', status: 'dead' },
      overlap: 'allow',
      send: target.actor.file.with({ what: 'mourn' }),
    })
    await t.troupe.send(source.actor.file, { what: 'a' }, { id: 'cause-1' })
    await t.troupe.send(source.actor.fail, {}, { id: 'cause-2' })
    await eventually('both', () => target.seen.length === 2)
    expect(target.seen.map(({ schedule, by }) => `${schedule} ${by}`).toSorted()).toEqual(['dead after', 'done after'])
    const [run] = await runsOf(t, 'done')
    expect(run?.cause).toMatchObject({ actor: 'source', message: 'file', id: 'cause-1', status: 'done' })
  })

  it('run once for each of hundreds, and a removed one no more', async () => {
    const source = clerk('source')
    const target = clerk('target')
    await using t = await testBundle({ actors: [source.actor, target.actor] })
    await t.troupe.schedules.put('each', {
      after: { actor: 'source', message: 'file', status: 'any' },
      overlap: 'allow',
      send: target.actor.file.with({ what: 'x' }),
    })
    await t.troupe.sendMany(
      source.actor.file,
      Array.from({ length: 300 }, (_, index) => ({ what: String(index) })),
    )
    await eventually('all', () => target.seen.length >= 300, 20_000)
    await eventually('all accounted for', async () => {
      const { counts } = await t.troupe.schedules.get('each')
      return counts.sent === 300
    })
    expect(target.seen).toHaveLength(300)
    await t.troupe.schedules.remove('each')
    await t.troupe.ask(source.actor.file, { what: 'last' })
    await t.troupe.ask(target.actor.file, { what: 'flush' })
    expect(target.seen).toHaveLength(301)
  })

  it('run after a message of the same actor, and with a time rule only when both are there', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('both', {
      every: '1s',
      after: { actor: 'clerk', message: 'chain' },
      send: actor.file.with({ what: 'both' }),
    })
    await eventually('a planned time without its cause', async () => (await statesOf(t, 'both')).includes('skipped'))
    expect(seen).toEqual([])
    await t.troupe.send(actor.chain, {})
    await eventually('it runs', () => seen.some((run) => run.schedule === 'both'))
    const states = await statesOf(t, 'both')
    expect(states.filter((state) => state !== 'skipped')).toHaveLength(1)
  })

  it('a message that is cancelled while it is parked, or expires, is a cause too', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('any', {
      after: { actor: 'clerk', message: 'hold', status: 'any' },
      overlap: 'allow',
      send: actor.file.with({ what: 'x' }),
    })
    const parked = await t.troupe.send(actor.hold, {}, { delay: '1h' })
    await eventually('cancelled', async () => (await parked.cancel()).was === 'parked')
    await eventually('once', () => seen.length === 1)
    await t.troupe.send(actor.hold, {}, { expires: 1 })
    await eventually('twice', () => seen.length === 2)
  })
})
