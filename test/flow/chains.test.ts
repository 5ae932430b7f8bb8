/** Schedules that run after a message ended. */
import { headers as newHeaders } from '@nats-io/transport-node'
import type { PutResult } from 'troupe'
import { describe, expect, it } from 'vitest'

import { clerk, NEVER, runsOf, statesOf } from '../kit/clerk.ts'
import { eventually, testBundle, type Bundle } from '../kit/system.ts'

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

describe('a link that is lost', () => {
  const after = { actor: 'source', message: 'file' } as const
  const key = ({ namespace }: Bundle): string => `$KV.${namespace}-schedules-source.after.target.chained`

  /** As `nats kv del` does it: the workers of the source hear it at once. */
  async function loseLink(t: Bundle): Promise<void> {
    const headers = newHeaders()
    headers.set('KV-Operation', 'DEL')
    const reply = await t.troupe.connection.request(key(t), '', { headers, timeout: 5_000 })
    expect(reply.json()).toMatchObject({ stream: `KV_${t.namespace}-schedules-source` })
  }

  async function hasLink(t: Bundle): Promise<boolean> {
    const stream = `KV_${t.namespace}-schedules-source`
    const place = JSON.stringify({ last_by_subj: key(t) })
    const reply = await t.troupe.connection.request(`$JS.API.STREAM.MSG.GET.${stream}`, place)
    const { message } = reply.json<{ message?: { data?: string } }>()
    return message?.data !== undefined
  }

  it('ends the chain; a timer that begins makes it again, and runs follow', async () => {
    const source = clerk('source')
    const target = clerk('target')
    await using t = await testBundle({ actors: [source.actor], timer: { check: '1h' } })
    const send = target.actor.file.with({ what: 'after' })
    await t.troupe.schedules.put('chained', { after, overlap: 'allow', send })
    await loseLink(t)
    await t.troupe.ask(source.actor.file, { what: 'unheard' }, { id: 'unheard' })
    await t.another([target.actor], { timer: { check: '1h' } })
    await eventually('it stands again', () => hasLink(t))
    await t.troupe.ask(source.actor.file, { what: 'heard' }, { id: 'heard' })
    await eventually('it ran', () => target.seen.length > 0)
    expect((await runsOf(t, 'chained')).map(({ cause }) => cause?.id)).toEqual(['heard'])
  })

  it('is made again by who puts the schedule again, and runs follow', async () => {
    const source = clerk('source')
    const target = clerk('target')
    await using t = await testBundle({ actors: [source.actor, target.actor], timer: { check: '1h' } })
    const send = target.actor.file.with({ what: 'after' })
    const put = (): Promise<PutResult> => t.troupe.schedules.put('chained', { after, overlap: 'allow', send })
    expect(await put()).toMatchObject({ was: 'created' })
    await loseLink(t)
    await t.troupe.ask(source.actor.file, { what: 'unheard' }, { id: 'unheard' })
    expect(await put()).toMatchObject({ was: 'same' })
    await t.troupe.ask(source.actor.file, { what: 'heard' }, { id: 'heard' })
    await eventually('it ran', () => target.seen.length > 0)
    expect((await runsOf(t, 'chained')).map(({ cause }) => cause?.id)).toEqual(['heard'])
  })

  it.each([
    ['has no times', { after }],
    ['has times, and so its tick', { after, every: '1s' }],
    ['has times that are far away', { after, ...NEVER }],
  ])('is made again by the check of a timer, where the schedule %s', async (_, rule) => {
    const source = clerk('source')
    const target = clerk('target')
    await using t = await testBundle({ actors: [source.actor, target.actor], timer: { check: '200ms' } })
    await t.troupe.schedules.put('chained', { ...rule, send: target.actor.file.with({ what: 'after' }) })
    for (let time = 1; time <= 2; time++) {
      await loseLink(t)
      await eventually(`it stands again, ${time}`, () => hasLink(t))
    }
  })
})
