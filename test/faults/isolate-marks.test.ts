/** A system that is killed while it counts the crash of one of its child processes: before the mark, and between mark and nak. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'
import { NAMESPACE, until } from './bed.ts'
import { startChild, type Child } from './child.ts'
import { shortProcess } from './fixtures/frail.ts'
import { readJournals } from './fixtures/journal.ts'
import { startProxy, type Published } from './proxy.ts'

describe('a system that is killed while it counts a crash', () => {
  let server: TestServer
  let troupe: Troupe
  let jsm: JetStreamManager
  let dir: string
  beforeAll(async () => {
    server = await startServer()
    troupe = await connect({ servers: server.url, namespace: NAMESPACE, logLevel: 'silent' })
    jsm = await jetstreamManager(troupe.connection)
    dir = await mkdtemp(join(tmpdir(), 'troupe-marks-'))
  })
  afterAll(async () => {
    await troupe.close()
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  })

  const start = (who: string, url: string): Promise<Child> =>
    startChild('isolatedWorker', { url, namespace: NAMESPACE, who, actors: ['shortProcess'] })
  const runs = (id: string): number =>
    readJournals(dir).filter((entry) => entry.what === 'started' && entry.id === id).length

  /** Marks of crashes that are stored. */
  async function marks(): Promise<string[]> {
    const info = await jsm.streams.info(`${NAMESPACE}-marks`, { subjects_filter: '>' })
    const subjects = Object.keys(info.state.subjects ?? {})
    const found = await Promise.all(
      subjects.map((last_by_subj) => jsm.streams.getMessage(`${NAMESPACE}-marks`, { last_by_subj })),
    )
    return found.flatMap((message) => (message === null ? [] : [message.string()]))
  }

  /** The first crash, of which the proxy swallows one step; then the system is killed, and another goes on. */
  async function crashed(id: string, swallowed: (message: Published) => boolean, isThere: () => Promise<boolean>) {
    await using proxy = await startProxy(server.port)
    const first = await start(`${id}-first`, proxy.url)
    proxy.swallow(swallowed)
    await troupe.send(shortProcess.die, { dir, way: 'exit' }, { id })
    await until('the step that never reached the server', async () => proxy.swallowed > 0 && (await isThere()))
    expect(runs(id)).toBe(1)
    await first.kill9()
    await using second = await start(`${id}-second`, server.url)
    await until('its death', async () => {
      for await (const letter of troupe.dead.list({ id })) return letter.reason === 'poison'
      return false
    })
    // After the letter, and before its system is killed: an empty mark says nothing, and goes by itself.
    await until('no marks', async () => (await marks()).every((mark) => mark === ''))
    expect(second.pid).toBeGreaterThan(0)
  }

  it('between the mark and the nak: the crash is counted, and once', { timeout: 120_000 }, async () => {
    const id = 'after-mark'
    const isNak = ({ subject, text }: Published): boolean => subject.startsWith('$JS.ACK') && text.includes('-NAK')
    await crashed(id, isNak, async () => (await marks()).some((mark) => mark.includes('"seen":1')))
    expect(runs(id)).toBe(3)
    const letter = await troupe.dead.show(id)
    expect(letter.crashes).toHaveLength(3)
  })

  it('before the mark: that crash is not known, and the message runs once more', { timeout: 120_000 }, async () => {
    const id = 'before-mark'
    await crashed(
      id,
      ({ subject }) => subject.includes('.mark.'),
      async () => true,
    )
    expect(runs(id)).toBe(4)
  })
})
