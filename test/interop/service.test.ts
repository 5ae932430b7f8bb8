/** An actor as any NATS client finds it: a micro service (ADR-32), by the legacy package's own discovery. */
import { connect } from 'nats'
import { defineActor, run } from 'troupe'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'

let server: TestServer
beforeAll(async () => void (server = await startServer()))
afterAll(() => server.stop())

const greeter = defineActor('greeter', {
  description: 'Says hello',
  messages: { hello: async () => 'hello', bye: async () => 'bye' },
})

async function first<T>(all: Promise<AsyncIterable<T>>): Promise<T> {
  for await (const one of await all) return one
  throw new Error('nobody answered')
}

it('an actor answers PING, INFO and STATS like any micro service', async () => {
  await using system = await run({
    actors: [greeter],
    servers: server.url,
    namespace: 'found',
    signals: false,
    logLevel: 'silent',
  })
  const nc = await connect({ servers: server.url })
  expect(new TextDecoder().decode((await nc.request('found.call.greeter.hello', '')).data)).toBe('"hello"')
  const client = nc.services.client()
  const service = { name: 'found-greeter' }
  expect(await first(client.ping(service.name))).toMatchObject({ ...service, type: 'io.nats.micro.v1.ping_response' })
  const info = await first(client.info(service.name))
  expect(info).toMatchObject({ ...service, description: 'Says hello' })
  expect(info.metadata).toMatchObject({ system: system.name, actor: 'greeter', messages: 'hello, bye' })
  const endpoints = info.endpoints.map(({ name, subject }) => `${name} ${subject}`)
  expect(endpoints.sort()).toEqual(['bye found.call.greeter.bye', 'hello found.call.greeter.hello'])
  const { endpoints: stats } = await first(client.stats(service.name))
  expect(stats?.find(({ name }) => name === 'hello')).toMatchObject({ num_requests: 1 })
  await nc.close()
})
