/** JetStream's advisories about our streams, followed and shown. A new leader in a real cluster: faults/advisories. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { dead, defineActor, type Logger, type SystemEvents } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startServer } from '../kit/server.ts'
import { eventually, testBundle, type Bundle } from '../kit/system.ts'

const actor = defineActor('box', {
  messages: { go: (payload: unknown) => payload, dies: () => dead('as it must') },
})

type Heard = SystemEvents['advisory']

async function listen({ troupe, namespace }: Bundle): Promise<Heard[]> {
  const heard: Heard[] = []
  troupe.connection.subscribe(`${namespace}.event.system.*.advisory`, {
    callback: (_error, msg) => void heard.push(msg.json<Heard>()),
  })
  await troupe.connection.flush()
  return heard
}

interface Line {
  readonly level: keyof Logger
  readonly message: string
}

function recorder(lines: Line[]): Logger {
  const write =
    (level: Line['level']) =>
    (message: string): void =>
      void lines.push({ level, message })
  const log: Logger = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  }
  return log
}

describe('advisories', () => {
  it('of a consumer that was deleted are told and logged, only those about actors that run here', async () => {
    const lines: Line[] = []
    await using t = await testBundle({ actors: [actor], logger: recorder(lines) })
    await using other = await testBundle({ actors: [actor] })
    const heard = await listen(t)
    const jsm = await jetstreamManager(t.troupe.connection)
    await jsm.consumers.delete(`${other.namespace}-mailbox-box`, 'low')
    await jsm.streams.add({ name: `${t.namespace}-mailbox-strange`, subjects: [`${t.namespace}.strange`] })
    await jsm.streams.delete(`${t.namespace}-mailbox-strange`)
    await jsm.consumers.delete(`${t.namespace}-mailbox-box`, 'low')
    await eventually('it is told', () => heard.length > 0)
    expect(heard).toHaveLength(1)
    expect(heard[0]).toMatchObject({
      kind: 'deleted',
      stream: `${t.namespace}-mailbox-box`,
      consumer: 'low',
      actor: 'box',
      text: `consumer low of stream ${t.namespace}-mailbox-box was deleted`,
      system: t.system.name,
    })
    expect(lines).toContainEqual({ level: 'warn', message: `JetStream: ${heard[0]?.text}` })
  })

  it('of a message that the server gave up on are told', async () => {
    await using t = await testBundle({ actors: [actor] })
    const heard = await listen(t)
    await t.troupe.send(actor.dies, undefined)
    await t.events.wait('dead')
    const stream = `${t.namespace}-dead`
    const jsm = await jetstreamManager(t.troupe.connection)
    const strict = { durable_name: 'strict', ack_policy: 'explicit', max_deliver: 1, ack_wait: 100e6 } as const
    await jsm.consumers.add(stream, strict)
    // Taken and not acked, and asked for again, since the server looks only when somebody asks.
    const consumer = await jetstream(t.troupe.connection).consumers.get(stream, 'strict')
    await consumer.next()
    await consumer.next({ expires: 1_000 })
    await eventually('it is told', () => heard.length > 0)
    expect(heard[0]).toMatchObject({ kind: 'max-deliveries', stream, consumer: 'strict' })
    expect(heard[0]?.text).toContain('gave up on message 1 after 1 deliveries')
  })

  it('of a lost majority are told: as nats-server 2.14 words them', async () => {
    await using t = await testBundle({ actors: [actor] })
    const heard = await listen(t)
    const stream = `${t.namespace}-mailbox-box`
    const common = { id: 'x', timestamp: '2026-11-25T09:09:57.9Z', stream, account: '$G', replicas: [] }
    const stalled = { ...common, type: 'io.nats.jetstream.advisory.v1.stream_quorum_lost' }
    const { connection } = t.troupe
    connection.publish(`$JS.EVENT.ADVISORY.STREAM.QUORUM_LOST.${stream}`, JSON.stringify(stalled))
    const queue = { ...common, type: 'io.nats.jetstream.advisory.v1.consumer_quorum_lost', consumer: 'high' }
    connection.publish(`$JS.EVENT.ADVISORY.CONSUMER.QUORUM_LOST.${stream}.high`, JSON.stringify(queue))
    // Not from the server, and no reason to stumble.
    for (const body of ['no JSON', 'null', '{"stream":7}'])
      connection.publish(`$JS.EVENT.ADVISORY.STREAM.QUORUM_LOST.${stream}`, body)
    await eventually('both are told', () => heard.length === 2)
    expect(heard.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([
      `quorum-lost: stream ${stream} has no majority of its servers: it stands still until they are back`,
      `quorum-lost: consumer high of stream ${stream} has no majority of its servers: it stands still until they are back`,
    ])
    expect(await t.troupe.ask(actor.go, 1)).toBe(1)
  })

  it('are left out where this user may not hear them, with one line for those who debug', async () => {
    const conf = `authorization { users: [
      { user: all, password: a }
      { user: deaf, password: d, permissions: { subscribe: { deny: ["$JS.EVENT.>"] } } }
    ] }`
    await using server = await startServer({ conf })
    const lines: Line[] = []
    const login = server.url.replace('//', '//all:a@')
    await using t = await testBundle({ server: { ...server, url: login } })
    await t.another([actor], { servers: server.url.replace('//', '//deaf:d@'), logger: recorder(lines) })
    expect(await t.troupe.ask(actor.go, 1)).toBe(1)
    expect(lines.filter(({ message }) => message.includes('$JS.EVENT'))).toEqual([
      { level: 'debug', message: expect.stringContaining('no advisories') as string },
    ])
    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
    // The subscription really was refused: what another hears, this system does not.
    const nc = await connect({ servers: server.url, user: 'all', pass: 'a' })
    const heard = await listen(t)
    await (await jetstreamManager(nc)).consumers.delete(`${t.namespace}-mailbox-box`, 'low')
    await eventually('the worker has noticed by itself', () => lines.some(({ message }) => message === 'trouble'))
    expect(heard).toEqual([])
    await nc.close()
  })
})
