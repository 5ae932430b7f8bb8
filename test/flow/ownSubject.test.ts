/** Reading one subject of a stream with rights on that subject alone: the leader's word, and nothing stored. */
import { jetstreamManager } from '@nats-io/jetstream'
import { connect as dial, headers } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { openBroker, type Broker, type BrokerSettings } from '#runtime/broker/broker.js'
import { readOwn } from '#runtime/broker/ownSubject.js'

import { startServer, type TestServer } from '../kit/server.ts'

const CONF = `
  authorization { users = [
    { user: all, password: a }
    { user: one, password: o, permissions: {
      publish: ["things.mine", "$JS.API.DIRECT.GET.things.things.mine"]
      subscribe: "_INBOX.one.>" } }
  ] }`

let server: TestServer
let broker: Broker
beforeAll(async () => {
  server = await startServer({ conf: CONF })
  broker = await openBroker(settings('one', 'o', '_INBOX.one'))
  const nc = await dial({ servers: server.url, user: 'all', pass: 'a' })
  const jsm = await jetstreamManager(nc)
  await jsm.streams.add({ name: 'things', subjects: ['things.>'], allow_direct: true })
  await nc.close()
})
afterAll(async () => {
  await broker.close()
  await server.stop()
})

function settings(user: string, password: string, inboxPrefix: string): BrokerSettings {
  const nats = {
    servers: [server.url],
    user,
    password,
    inboxPrefix,
    connectTimeoutMs: 5_000,
    requestTimeoutMs: 5_000,
    pingIntervalMs: 10_000,
    silentAfterMs: 5_000,
  }
  return { nats, namespace: 'things' } as never
}

async function asAll<T>(act: (nc: Awaited<ReturnType<typeof dial>>) => Promise<T>): Promise<T> {
  const nc = await dial({ servers: server.url, user: 'all', pass: 'a' })
  try {
    return await act(nc)
  } finally {
    await nc.close()
  }
}
const lastSequence = (): Promise<number> =>
  asAll(async (nc) => (await (await jetstreamManager(nc)).streams.info('things')).state.last_seq)

describe('the last message of a subject', () => {
  it('is undefined where there is none, and the question stores nothing', async () => {
    const before = await lastSequence()
    expect(await readOwn(broker, 'things', 'things.mine')).toBeUndefined()
    expect(await lastSequence()).toBe(before)
  })

  it('comes with its sequence, headers and body, and is the last one', async () => {
    await asAll(async (nc) => {
      for (const word of ['first', 'second']) {
        const own = headers()
        own.set('Nats-Sequence', 'forged')
        own.set('Word', word)
        await nc.request('things.mine', word, { headers: own, timeout: 5_000 })
      }
    })
    const found = await readOwn(broker, 'things', 'things.mine')
    expect(found).toMatchObject({ sequence: await lastSequence(), subject: 'things.mine', stream: 'things' })
    expect(Buffer.from(found?.data ?? []).toString()).toBe('second')
    expect(found?.headers.get('Word')).toBe('second')
    expect(await lastSequence()).toBe(found?.sequence)
  })

  it('of another subject, or of a stream that does not exist, is refused or said to be away', async () => {
    await expect(readOwn(broker, 'things', 'things.yours')).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(readOwn(broker, 'nothings', 'things.mine')).rejects.toMatchObject({
      code: expect.stringMatching(/FORBIDDEN|OUTCOME_UNKNOWN|JETSTREAM_AWAY/) as string,
    })
  })
})
