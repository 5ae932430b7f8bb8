/** P7: somebody else listens on a mailbox's subject and answers before the server does. */
import { connect as dial, type NatsConnection } from '@nats-io/transport-node'
import { connect, defineActor, run } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'

let server: TestServer
beforeAll(async () => void (server = await startServer()))
afterAll(() => server.stop())

const COUNT = 50
const FORGED: readonly (readonly [string, string])[] = [
  ['text', 'thank you'],
  ['nothing', ''],
  ['null', 'null'],
  ['a number', '42'],
  ['a list', '[]'],
  ['an object', '{}'],
  ['the ack of another stream', '{"stream":"elsewhere","seq":1}'],
  ['a repeat of another stream', '{"stream":"elsewhere","seq":1,"duplicate":true}'],
  ['an ack without a place', '{"stream":"STREAM"}'],
  ['an ack with a place that is none', '{"stream":"STREAM","seq":"7"}'],
]

let spaces = 0

/** Answers each message of the namespace at once. */
async function forger(namespace: string, answer: string): Promise<{ nc: NatsConnection; count: () => number }> {
  const nc = await dial({ servers: server.url })
  let count = 0
  nc.subscribe(`${namespace}.do.>`, {
    callback: (_error, msg) => {
      count++
      msg.respond(answer.replace('STREAM', `${namespace}-mailbox-note`))
    },
  })
  await nc.flush()
  return { nc, count: () => count }
}

describe('P7: forged publish acks', () => {
  // The mailbox does not exist yet, so the forger surely answers the first message first; the server's ack comes when the sender has made it.
  it.each(FORGED)(
    '%s: the sender waits for the server, and every message is stored once and handled',
    async (_what, answer) => {
      const namespace = `forged${++spaces}`
      const seen: unknown[] = []
      const note = defineActor('note', { messages: { any: async (payload: unknown) => void seen.push(payload) } })
      const { nc, count } = await forger(namespace, answer)
      await using troupe = await connect({
        servers: server.url,
        namespace,
        nats: { requestTimeout: '300ms' },
      })
      const fates = await troupe.sendMany(
        note.any,
        Array.from({ length: COUNT }, (_, index) => index),
      )
      expect(fates.map(({ error }) => error)).toEqual(Array.from({ length: COUNT }))
      await expect.poll(count, { timeout: 5_000 }).toBeGreaterThan(COUNT)
      await using system = await run({
        actors: [note],
        servers: server.url,
        namespace,
        signals: false,
        logLevel: 'silent',
      })
      await expect.poll(() => seen.length, { timeout: 5_000 }).toBe(COUNT)
      expect(system.workers.get('note')?.counts.started).toBe(COUNT)
      await nc.close()
    },
  )
})
