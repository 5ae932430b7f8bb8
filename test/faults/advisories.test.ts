/** JetStream's advisories in a cluster: a new leader. (What is told of a lost majority: flow/advisories.) */
import { connect, defineActor, run, type SystemEvents } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startCluster } from '../kit/cluster.ts'
import { eventually } from '../kit/system.ts'

type Heard = SystemEvents['advisory']

const actor = defineActor('box', { messages: { go: (payload: unknown) => payload } })
const MAILBOX = 'adv-mailbox-box'

describe('in a cluster of three', { timeout: 120_000 }, () => {
  it('a new leader is told, and work goes on', async () => {
    await using cluster = await startCluster()
    const [home] = cluster.members
    if (home === undefined) throw new Error('no member')
    const link = { servers: home.url, namespace: 'adv', nats: { replicas: 3 }, logLevel: 'silent' } as const
    const heard: Heard[] = []
    await using watcher = await connect(link)
    watcher.connection.subscribe('adv.event.system.*.advisory', {
      callback: (_error, msg) => void heard.push(msg.json<Heard>()),
    })
    await watcher.connection.flush()
    await using system = await run({ ...link, actors: [actor], signals: false, shutdown: { within: '0s' } })
    expect(await watcher.ask(actor.go, 1)).toBe(1)
    await cluster.whole()

    heard.length = 0
    const before = await cluster.leaderOf(MAILBOX)
    await watcher.connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${MAILBOX}`)
    const isNewLeader = ({ kind, stream, consumer }: Heard): boolean =>
      kind === 'leader' && stream === MAILBOX && consumer === undefined
    await eventually('a leader is told', () => heard.some(isNewLeader), 30_000)
    const told = heard.find(isNewLeader)
    expect(told).toMatchObject({ actor: 'box', system: system.name })
    expect(told?.text).toMatch(new RegExp(`^stream ${MAILBOX} is led by (?!${before.name})`))
    expect(await watcher.ask(actor.go, 2)).toBe(2)
  })
})
