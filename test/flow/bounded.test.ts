import { BrokerError, defineActor, UnavailableError } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, rejection, testBundle } from '../kit/system.ts'

type Bundle = Awaited<ReturnType<typeof testBundle>>

async function configOf(t: Bundle, actor: string): Promise<Record<string, unknown>> {
  const info = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-mailbox-${actor}`)
  return info.json<{ config: Record<string, unknown> }>().config
}

const put = { put: (payload: unknown) => payload }

describe('a bounded mailbox', () => {
  it('refuses what is beyond its bound with a typed error, and takes more when there is room', async () => {
    const actor = defineActor('small', { mailbox: { maxMessages: 3 }, messages: put })
    await using t = await testBundle()
    const fates = await t.troupe.sendMany(actor.put, [1, 2, 3, 4, 5])
    expect(fates.map((fate) => fate.sent !== undefined)).toEqual([true, true, true, false, false])
    expect(fates[4]?.error).toBeInstanceOf(UnavailableError)
    expect(fates[4]?.error).toMatchObject({ code: 'MAILBOX_FULL', data: { actor: 'small' } })
    expect(fates[4]?.error?.message).toContain('raise its bound')
    await t.another([actor])
    await t.events.wait('done', { count: 3 })
    await eventually('there is room', async () => (await t.troupe.sendMany(actor.put, [6]))[0]?.sent !== undefined)
    await t.events.wait('done', { count: 4 })
  })

  it('can be bounded in bytes', async () => {
    const actor = defineActor('thin', { mailbox: { maxBytes: 2_000 }, messages: put })
    await using t = await testBundle()
    await t.troupe.send(actor.put, 'x'.repeat(1_000))
    expect(await rejection(t.troupe.send(actor.put, 'x'.repeat(1_000)))).toMatchObject({ code: 'MAILBOX_FULL' })
  })

  it('that is full loses no delayed message and no retry: they come when there is room', async () => {
    const actor = defineActor('tight', { mailbox: { maxMessages: 2 }, messages: put })
    await using t = await testBundle()
    const late = await t.troupe.send(actor.put, 'late', { delay: '300ms', keep: '1m' })
    await t.troupe.send(actor.put, 'first')
    await t.another([actor])
    expect(await late.result({ timeout: '15s' })).toBe('late')
  })
})

describe('who creates a mailbox', () => {
  it('the sender first or the worker first: it is the same', async () => {
    const options = { mailbox: { maxMessages: 50, dedupeWindow: '30s' }, messages: put } as const
    const [bySender, byWorker] = [defineActor('one', options), defineActor('two', options)]
    await using t = await testBundle()
    await t.troupe.send(bySender.put, 1)
    const system = await t.another([byWorker])
    const same = (config: Record<string, unknown>, name: string): object => ({
      ...config,
      name: config['name'] === `${t.namespace}-mailbox-${name}`,
      description: undefined,
      metadata: { ...(config['metadata'] as object), troupe_actor: undefined },
      subjects: (config['subjects'] as string[]).map((subject) => subject.replace(`.${name}.`, '.')),
    })
    expect(same(await configOf(t, 'one'), 'one')).toEqual(same(await configOf(t, 'two'), 'two'))
    expect(await configOf(t, 'one')).toMatchObject({
      retention: 'workqueue',
      discard: 'new',
      max_msgs: 50,
      duplicate_window: 30e9,
      storage: 'file',
    })
    await system.stop()
    await t.another([bySender, byWorker])
    await t.events.wait('done')
  })

  it('nobody without the definition', async () => {
    await using t = await testBundle()
    await t.another([defineActor('there', { messages: put })])
    const { actorRef } = await import('troupe')
    expect(await rejection(t.troupe.send(actorRef('absent')['put'] as never, 1 as never))).toMatchObject({
      code: 'UNKNOWN_ACTOR',
    })
  })
})

describe('settings that differ from what exists', () => {
  it('are reported with both values, and never narrowed', async () => {
    const wide = defineActor('box', { mailbox: { maxMessages: 100 }, messages: put })
    const narrow = defineActor('box', { mailbox: { maxMessages: 10 }, messages: put })
    await using t = await testBundle()
    await t.troupe.send(wide.put, 1)
    const error = await rejection(t.another([narrow]))
    expect(error).toBeInstanceOf(BrokerError)
    expect(error).toMatchObject({
      code: 'DIFFERENT_SETTINGS',
      data: { differences: [{ key: 'max_msgs', want: 10, have: 100 }] },
    })
    expect(error.message).toContain('max_msgs is 100, expected 10')
    expect((await configOf(t, 'box'))['max_msgs']).toBe(100)
  })

  it('are applied where nothing is lost: a bound that grows, a lane more, a longer window', async () => {
    const before = defineActor('box', {
      lanes: ['normal'],
      mailbox: { maxMessages: 10, dedupeWindow: '10s' },
      messages: put,
    })
    const after = defineActor('box', { mailbox: { maxMessages: 20, dedupeWindow: '1m' }, messages: put })
    await using t = await testBundle()
    await t.troupe.send(before.put, 1)
    await t.another([after])
    expect(await configOf(t, 'box')).toMatchObject({ max_msgs: 20, duplicate_window: 60e9 })
    await t.troupe.send(after.put, 2, { lane: 'high' })
    await t.events.wait('done', { count: 2 })
  })

  it('a lane less is reported: its messages would be lost', async () => {
    const before = defineActor('box', { messages: put })
    const after = defineActor('box', { lanes: ['normal'], messages: put })
    await using t = await testBundle()
    await t.troupe.send(before.put, 1, { lane: 'low' })
    expect(await rejection(t.another([after]))).toMatchObject({ code: 'DIFFERENT_SETTINGS' })
  })
})

describe('with nats.manage off', () => {
  it('a worker says what is missing, and creates nothing', async () => {
    const actor = defineActor('managed', { messages: put })
    await using t = await testBundle()
    const error = await rejection(t.another([actor], { nats: { manage: false } }))
    expect(error).toBeInstanceOf(BrokerError)
    expect(error).toMatchObject({ code: 'MISSING_ASSET' })
    expect(error.message).toContain('troupe deploy')
    const names = await t.troupe.connection.request(
      '$JS.API.STREAM.NAMES',
      JSON.stringify({ subject: `${t.namespace}.>` }),
    )
    expect(names.json()).toMatchObject({ total: 0 })
  })

  it('a worker runs on what an operator made, and reports what differs', async () => {
    const actor = defineActor('managed', { mailbox: { maxMessages: 10 }, messages: put })
    await using t = await testBundle({ actors: [actor] })
    await t.system.stop()
    await t.another([actor], { nats: { manage: false } })
    await t.troupe.send(actor.put, 1)
    await t.events.wait('done')
    const wider = defineActor('managed', { mailbox: { maxMessages: 20 }, messages: put })
    expect(await rejection(t.another([wider], { nats: { manage: false } }))).toMatchObject({
      code: 'DIFFERENT_SETTINGS',
    })
    expect((await configOf(t, 'managed'))['max_msgs']).toBe(10)
  })
})
