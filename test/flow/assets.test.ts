/** What `nats stream ls`, `nats stream info` and `nats consumer info` say of what Troupe keeps, by the same API. */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { defineActor, type Troupe } from 'troupe'
import { describe, expect, it } from 'vitest'

import { testBundle, type Bundle } from '../kit/system.ts'

const actor = defineActor('mailer', { messages: { go: (payload: unknown) => payload } })
const limited = defineActor('limited', { limit: 3, messages: { go: (payload: unknown) => payload } })

const manager = (troupe: Troupe): Promise<JetStreamManager> => jetstreamManager(troupe.connection)

/** As a version of Troupe left them that wrote no metadata, and other texts. */
async function stripAll({ troupe, namespace }: Bundle): Promise<void> {
  const jsm = await manager(troupe)
  for await (const { config } of jsm.streams.list()) {
    if (!config.name.startsWith(`${namespace}-`)) continue
    const salt = config.metadata?.['troupe_salt']
    const metadata = salt === undefined ? {} : { troupe_salt: salt }
    await jsm.streams.update(config.name, { ...config, description: 'old', metadata })
  }
  for (const name of ['high', 'normal', 'low', 'later'])
    await jsm.consumers.update(`${namespace}-mailbox-mailer`, name, { description: 'old', metadata: {} })
}

async function saltOf({ troupe, namespace }: Bundle): Promise<string | undefined> {
  const { config } = await (await manager(troupe)).streams.info(`${namespace}-timer-mailer`)
  return config.metadata?.['troupe_salt']
}

async function expectDescribed({ troupe, namespace }: Bundle): Promise<void> {
  const jsm = await manager(troupe)
  const mailbox = await jsm.streams.info(`${namespace}-mailbox-mailer`)
  expect(mailbox.config).toMatchObject({
    description: 'Troupe: the mailbox of actor mailer',
    metadata: { troupe_kind: 'mailbox', troupe_actor: 'mailer' },
  })
  expect((await jsm.streams.info(`${namespace}-timer-mailer`)).config).toMatchObject({
    description: 'Troupe: delayed messages and retries of actor mailer',
    metadata: { troupe_kind: 'timer', troupe_actor: 'mailer' },
  })
  expect((await jsm.streams.info(`${namespace}-dead`)).config).toMatchObject({
    description: 'Troupe: dead letters',
    metadata: { troupe_kind: 'dead' },
  })
  const lane = await jsm.consumers.info(`${namespace}-mailbox-mailer`, 'high')
  expect(lane.config).toMatchObject({
    description: 'Troupe: lane high of actor mailer',
    metadata: { troupe_kind: 'lane', troupe_actor: 'mailer', troupe_lane: 'high' },
  })
  expect((await jsm.consumers.info(`${namespace}-mailbox-mailer`, 'later')).config.description).toMatch(/delayed/)
}

describe('streams and consumers', () => {
  it('say what they are', async () => {
    await using t = await testBundle({ actors: [actor, limited] })
    await expectDescribed(t)
    const { config } = await (await manager(t.troupe)).consumers.info(`${t.namespace}-mailbox-limited`, 'all')
    expect(config.description).toBe('Troupe: all lanes of actor limited, 3 messages at once in all workers')
  })

  it('of an older version learn it when a worker starts, and keep what only that deployment has', async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.system.stop()
    await stripAll(t)
    const salt = await saltOf(t)
    await t.another([actor])
    await expectDescribed(t)
    expect(salt).toMatch(/./)
    expect(await saltOf(t)).toBe(salt)
  })

  it('of an older version are good enough for workers that may not change them', async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.system.stop()
    await stripAll(t)
    await t.another([actor], { nats: { manage: false } })
    expect(await t.troupe.ask(actor.go, 'works')).toBe('works')
    const { config } = await (await manager(t.troupe)).streams.info(`${t.namespace}-mailbox-mailer`)
    expect(config.description).toBe('old')
  })
})
