/** A system that can't get back to NATS gives up where it was told to, and says why (P9). */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { createSystem, defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'
import { until } from './bed.ts'

const actor = defineActor('box', { messages: { go: () => {} } })

/** The error with which a system gives up after what is done to its server. */
async function givenUp(fault: (server: TestServer) => Promise<void>): Promise<Error | undefined> {
  await using server = await startServer()
  const given: Error[] = []
  await using plan = createSystem({
    nats: { servers: [server.url], giveUpAfter: '1s' },
    logLevel: 'silent',
    signals: false,
    supervise: { children: [actor] },
    shutdown: { within: '1s' },
    onGiveUp: (error) => given.push(error),
  })
  await plan.start()
  await fault(server)
  await until('the system to give up', () => given.length > 0)
  return given[0]
}

describe('a system gives up', { timeout: 60_000 }, () => {
  it('when NATS is away for longer than nats.giveUpAfter', async () => {
    const error = await givenUp((server) => server.kill9())
    expect(error).toMatchObject({ code: 'DISCONNECTED', data: { isRefused: false } })
    expect(error?.message).toMatch(
      /^expected a connection to NATS, but NATS could not be reached for \ds \(nats\.giveUpAfter\)$/,
    )
  })

  it('and knows it when NATS is there and takes its credentials no more', async () => {
    const error = await givenUp(async (server) => {
      const conf = join(server.dir, 'server.conf')
      await writeFile(conf, `${await readFile(conf, 'utf8')}\nauthorization { user: ada, password: secret }\n`)
      await server.restart()
    })
    expect(error).toMatchObject({ code: 'DISCONNECTED', data: { isRefused: true } })
    expect(error?.message).toContain('NATS refuses our credentials')
  })
})
