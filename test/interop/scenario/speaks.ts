/** Runs the scenario and the vectors with one client. */
import { afterAll, beforeAll, describe, it } from 'vitest'

import { startServer, type TestServer } from '../../kit/server.ts'
import type { Client } from './client.ts'
import { startProbe, type Probe } from './probe.ts'
import { STEPS } from './steps.ts'
import { runCase, vectors } from './vectors.ts'

export interface Opening {
  readonly server: TestServer
  readonly namespace: string
}

/** A language that the machine has not, or not with its packages: said, since a reporter need not show the names of what is skipped. */
export function isAbsent(language: string, reason: string): void {
  console.log(`${language} is skipped: ${reason}`)
  it.skip(`${language}: ${reason}`, () => {})
}

/** `conf` is more text of nats-server's configuration. */
export function speaks(name: string, open: (opening: Opening) => Promise<Client>, conf = ''): void {
  describe(name, () => {
    let server: TestServer
    let probe: Probe
    let client: Client

    beforeAll(async () => {
      server = await startServer({ conf })
      probe = await startProbe(server.url)
      client = await open({ server, namespace: probe.namespace })
    })
    afterAll(async () => {
      await client?.close()
      await probe?.[Symbol.asyncDispose]()
      await server?.stop()
    })

    for (const step of STEPS) it(step.does, () => step.run({ client, probe }))
    for (const one of vectors('messages.json')) it(`vector: ${one.name}`, () => runCase(one, client, probe.namespace))
  })
}
