/** The ready configurations of nats-server, started as files, as their first lines say; flags give only what differs on one machine. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { connect, run } from 'troupe'
import { describe, expect, it } from 'vitest'

import { findServerBinary } from '#config/server/binary.js'
import { whenReady } from '#config/server/ready.js'
import { spawnWatched } from '#config/server/watched.js'

import { loginOf, PARTIES, passwordsOf } from '../kit/accounts.ts'
import { clerk } from '../kit/clerk.ts'
import { freePort } from '../kit/server.ts'

interface Started extends AsyncDisposable {
  readonly url: string
}

/** `nats-server -c FILE` with these variables in its environment. */
async function start(file: string, name: string, variables: Record<string, string>, flags: string[]): Promise<Started> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-files-'))
  const port = await freePort()
  const all = { ...passwordsOf(PARTIES), NATS_STORE_DIR: join(dir, 'data'), ...variables }
  const env = Object.entries(all).map(([key, value]) => `${key}=${value}`)
  const { path } = await findServerBinary()
  const own = ['-a', '127.0.0.1', '-p', String(port), '-l', join(dir, 'server.log'), ...flags]
  const child = await spawnWatched('env', [...env, path, '-c', resolve('config/nats', file), ...own], dir, dir)
  const stop = async (): Promise<void> => {
    await child.end()
    await rm(dir, { recursive: true, force: true })
  }
  const ready = await whenReady(port, name, AbortSignal.timeout(15_000))
  if (ready !== undefined) return { url: `nats://127.0.0.1:${port}`, [Symbol.asyncDispose]: stop }
  await stop()
  throw new Error(`expected nats-server to start with ${file}`)
}

const nats = (user: string, replicas = 1) => ({
  ...loginOf(user),
  manage: user === 'ops',
  replicas,
  requestTimeout: '10s',
})

/** An operator makes what is needed, a worker runs, a sender asks: also a delayed message, which takes the timer. */
async function sendAndRun(servers: readonly string[], replicas = 1): Promise<void> {
  const { actor } = clerk('mailer')
  const common = { servers: [...servers], logLevel: 'silent', signals: false } as const
  await (await run({ ...common, actors: [actor], nats: nats('ops', replicas) })).stop()
  await using worker = await run({ ...common, actors: [actor], nats: nats('mailing', replicas), sender: 'mailing' })
  await using shop = await connect({ servers: [...servers], logLevel: 'silent', sender: 'shop', nats: nats('shop') })
  expect(await shop.ask(actor.file, { what: 'a' }, { timeout: '10s' })).toBe('a')
  expect(await shop.ask(actor.file, { what: 'b' }, { delay: '1s', timeout: '10s' })).toBe('b')
  await using ops = await connect({ servers: [...servers], logLevel: 'silent', nats: nats('ops') })
  const info = (await ops.connection.request('$JS.API.STREAM.INFO.troupe-mailbox-mailer')).json<{
    config: { num_replicas: number }
  }>()
  expect(info.config.num_replicas).toBe(replicas)
  await worker.stop({ within: 0 })
}

describe('the ready configurations, as files', () => {
  it('server.conf: one server', { timeout: 30_000 }, async () => {
    await using server = await start('server.conf', 'one', {}, ['-n', 'one'])
    await sendAndRun([server.url])
  })

  it('cluster.conf: the same file for each of three', { timeout: 60_000 }, async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort()])
    const route = (port: number): string => `nats-route://route:secretroute@127.0.0.1:${port}`
    const servers = await Promise.all(
      ports.map((port, index) => {
        const others = ports.filter((other) => other !== port).map((other) => `"${route(other)}"`)
        const variables = {
          NATS_SERVER_NAME: `n${index}`,
          NATS_ROUTES: `[${others.join(', ')}]`,
          NATS_PASSWORD_ROUTE: 'secretroute',
        }
        return start('cluster.conf', `n${index}`, variables, ['--cluster', `nats://127.0.0.1:${port}`])
      }),
    )
    try {
      const urls = servers.map(({ url }) => url)
      await sendAndRun(urls, 3)
    } finally {
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    }
  })
})
