/** Pausing: by `troupe pause` and by `nats consumer pause`, which speak the same API, and everything in Troupe says so. */
import { jetstreamManager } from '@nats-io/jetstream'
import { ActorError, ConfigError, defineActor, type SystemEvents, type Troupe } from 'troupe'
import { describe, expect, it } from 'vitest'

import type { MailboxStats } from '#runtime/observe/card.js'

import { makeProject } from '../kit/cli.ts'
import { eventually, testBundle, type Bundle } from '../kit/system.ts'

const actor = defineActor('box', { concurrency: 2, messages: { go: (payload: unknown) => payload } })

/** System events as they are heard on NATS. */
async function listen({ troupe, namespace }: Bundle): Promise<{ event: string; data: SystemEvents['paused'] }[]> {
  const heard: { event: string; data: SystemEvents['paused'] }[] = []
  troupe.connection.subscribe(`${namespace}.event.system.>`, {
    callback: (_error, msg) => {
      const event = msg.subject.slice(msg.subject.lastIndexOf('.') + 1)
      if (event === 'paused' || event === 'resumed') heard.push({ event, data: msg.json() })
    },
  })
  await troupe.connection.flush()
  return heard
}

async function statsOf({ troupe, namespace }: Bundle): Promise<MailboxStats | undefined> {
  const reply = await troupe.connection.request(`$SRV.STATS.${namespace}-box`)
  return reply.json<{ endpoints: { data: MailboxStats }[] }>().endpoints[0]?.data
}

const sent = (troupe: Troupe): Promise<unknown> => troupe.ask(actor.go, 'x', { timeout: '400ms' })

describe('a paused actor', () => {
  it('takes nothing, says so everywhere, and goes on when it is resumed', async () => {
    await using t = await testBundle({ actors: [actor] })
    const heard = await listen(t)
    const paused = await t.troupe.pause(actor)
    expect(paused).toEqual(['high', 'normal', 'low'].map((lane) => ({ lane, until: undefined })))
    await eventually('it is told of each lane', () => heard.length === 3)
    expect(heard.map(({ event, data }) => `${event} ${data.actor} ${data.lane}`).toSorted()).toEqual([
      'paused box high',
      'paused box low',
      'paused box normal',
    ])
    expect([...t.system.observing.pauses.of('box').keys()].toSorted()).toEqual(['high', 'low', 'normal'])
    await eventually('its stats say so', async () => Object.keys((await statsOf(t))?.paused ?? {}).length === 3)

    await expect(sent(t.troupe)).rejects.toMatchObject({ code: 'TIMEOUT' })
    expect(t.events.seen).toEqual([])
    expect(await t.troupe.resume('box')).toEqual(['high', 'normal', 'low'])
    await t.events.wait('done')
    await eventually('that is told too', () => heard.filter(({ event }) => event === 'resumed').length === 3)
    expect(t.system.observing.pauses.of('box').size).toBe(0)
  })

  it('by lane: the others go on', async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.pause('box', { lane: 'normal' })
    await t.troupe.sendMany(
      actor.go,
      Array.from({ length: 20 }, () => 'normal'),
    )
    for (let n = 0; n < 20; n++)
      expect(await t.troupe.ask(actor.go, n, { lane: n % 2 === 0 ? 'high' : 'low', timeout: '2s' })).toBe(n)
    expect(t.events.of('done')).toHaveLength(20)
    await t.troupe.resume('box', { lane: 'normal' })
    await t.events.wait('done', { count: 40 })
  })

  it('goes on by itself when its time is over', async () => {
    await using t = await testBundle({ actors: [actor] })
    const heard = await listen(t)
    const [first] = await t.troupe.pause('box', { for: '600ms' })
    const until = first?.until?.getTime() ?? 0
    await t.troupe.send(actor.go, 'x')
    await t.events.wait('done')
    expect(Date.now()).toBeGreaterThanOrEqual(until - 20)
    await eventually('the end is told', () => heard.filter(({ event }) => event === 'resumed').length === 3)
  })

  it('stays paused when workers stop and start, and the new one says so', async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.pause('box')
    await t.system.stop()
    const heard = await listen(t)
    await t.another([actor])
    await eventually('it is told', () => heard.length === 3)
    await expect(sent(t.troupe)).rejects.toMatchObject({ code: 'TIMEOUT' })
    const jsm = await jetstreamManager(t.troupe.connection)
    expect((await jsm.consumers.info(`${t.namespace}-mailbox-box`, 'normal')).paused).toBe(true)
    await t.troupe.resume('box')
    await t.events.wait('done')
  })

  it('may be paused and resumed by NATS tooling', async () => {
    await using t = await testBundle({ actors: [actor] })
    const heard = await listen(t)
    const jsm = await jetstreamManager(t.troupe.connection)
    const until = new Date(Date.now() + 3_600_000)
    await jsm.consumers.pause(`${t.namespace}-mailbox-box`, 'normal', until)
    await eventually('it is told', () => heard.length === 1)
    expect(heard[0]?.data).toMatchObject({ actor: 'box', lane: 'normal', until: until.toISOString() })
    await expect(sent(t.troupe)).rejects.toMatchObject({ code: 'TIMEOUT' })
    await jsm.consumers.resume(`${t.namespace}-mailbox-box`, 'normal')
    await t.events.wait('done')
  })

  it('with a cluster-wide limit has one queue to pause', async () => {
    const limited = defineActor('limited', { limit: 1, messages: { go: () => 'ok' } })
    await using t = await testBundle({ actors: [limited] })
    expect(await t.troupe.pause(limited)).toEqual([{ lane: 'all', until: undefined }])
    await expect(t.troupe.pause(limited, { lane: 'normal' })).rejects.toThrow(/leave the lane out/)
  })
})

describe('a pause that can’t be', () => {
  it('is a typed error that says what to do', async () => {
    await using t = await testBundle({ actors: [actor] })
    const refused = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)
    expect(await refused(t.troupe.pause('bxo'))).toMatchObject({ code: 'UNKNOWN_ACTOR', message: /did you mean "box"/ })
    expect(await refused(t.troupe.pause('box', { lane: 'hihg' as never }))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('did you mean "high"?') as string,
    })
    expect(await refused(t.troupe.pause('box', { for: '1h', until: new Date() }))).toBeInstanceOf(ConfigError)
    expect(await refused(t.troupe.pause('box', { until: new Date(0) }))).toBeInstanceOf(ConfigError)
    expect(await refused(t.troupe.pause('a.>'))).toMatchObject({ code: 'INVALID_NAME' })
    const unborn = defineActor('unborn', { messages: { go: () => 'ok' } })
    await t.troupe.send(unborn.go, undefined)
    expect(await refused(t.troupe.pause(unborn))).toMatchObject({ code: 'NO_LANES' })
    expect(await refused(t.troupe.pause(unborn))).toBeInstanceOf(ActorError)
  })
})

describe('troupe pause and resume', () => {
  it('do the same from the command line', async () => {
    await using t = await testBundle({ actors: [actor] })
    const env = { TROUPE_NATS_SERVERS: t.server.url, TROUPE_NAMESPACE: t.namespace }
    await using project = await makeProject({ env })
    expect(await project.troupe('pause', 'box', '--lane', 'low', '--for', '1h')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^paused box \(low\) until 20/) as string,
    })
    const json = await project.troupe('pause', 'box', '--json')
    expect(JSON.parse(json.stdout)).toEqual({
      actor: 'box',
      paused: [{ lane: 'high' }, { lane: 'normal' }, { lane: 'low' }],
    })
    expect(await project.troupe('resume', 'box')).toMatchObject({ code: 0, stdout: 'resumed box: high, normal, low\n' })
    expect(await project.troupe('pause', 'box', '--for', 'soon')).toMatchObject({ code: 2 })
    expect(await t.troupe.ask(actor.go, 1)).toBe(1)
  })
})
