/** What `troupe doctor` says of a cluster that has lost servers: the streams that nobody leads, and the copies that are away. */
import { defineActor, run } from 'troupe'
import { describe, expect, it } from 'vitest'

import { openBroker, type BrokerSettings } from '#runtime/broker/broker.js'
import type { Finding } from '#runtime/view/finding.js'
import { checkReplicas } from '#runtime/view/natsChecks.js'

import { startCluster, type Cluster, type Member } from '../kit/cluster.ts'
import { eventually } from '../kit/system.ts'

const actor = defineActor('box', { messages: { go: (payload: unknown) => payload } })
const MAILBOX = 'doc-mailbox-box'

/** The actor's streams, made by a worker, with so many copies. */
async function made({ urls }: Cluster, namespace: string, replicas: number): Promise<void> {
  const at = { servers: urls[0] ?? '', namespace, nats: { replicas }, logLevel: 'silent' } as const
  await using system = await run({ ...at, actors: [actor], signals: false, shutdown: { within: '0s' } })
  expect(system.name).toBeDefined()
}

async function examined(cluster: Cluster, namespace: string, besides: Member): Promise<Finding[]> {
  const servers = cluster.members.filter((member) => member !== besides).map(({ url }) => url)
  const nats = {
    servers,
    connectTimeoutMs: 5_000,
    requestTimeoutMs: 1_000,
    pingIntervalMs: 10_000,
    silentAfterMs: 5_000,
  }
  const broker = await openBroker({ nats, namespace, replicas: 1 } as unknown as BrokerSettings)
  try {
    return await checkReplicas({ link: { broker } as never, specs: [] })
  } finally {
    await broker.close()
  }
}

describe('in a cluster that has lost a server, the doctor', { timeout: 120_000 }, () => {
  it('names the streams whose only copy was there, and the copies that are away of those that had more', async () => {
    await using cluster = await startCluster()
    await made(cluster, 'doc', 1)
    await made(cluster, 'kept', 3)
    await cluster.whole()
    const lost = await cluster.leaderOf(MAILBOX)
    expect(await examined(cluster, 'doc', lost)).toMatchObject([{ level: 'ok', check: 'replicas' }])
    await lost.server.kill9()
    // Until the others know that it is away, it is only slow.
    const isMissed = async (): Promise<boolean> =>
      (await examined(cluster, 'doc', lost)).some(
        ({ level, text }) => level === 'error' && text.startsWith(`stream ${MAILBOX} is not to be reached`),
      )
    await eventually('the mailbox is missed', isMissed, 30_000)
    const isBehind = async (): Promise<boolean> =>
      (await examined(cluster, 'kept', lost)).some(
        ({ text }) => text === `stream kept-mailbox-box: replica ${lost.name} is behind or away`,
      )
    await eventually('its copy of the other one is missed', isBehind, 30_000)
  })
})
