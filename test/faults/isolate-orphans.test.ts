/** Child processes never outlive their system, and leave nothing behind, however it ends. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { connect, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startServer, type TestServer } from '../kit/server.ts'
import { NAMESPACE, until } from './bed.ts'
import { startChild, type Child } from './child.ts'
import { frailProcess } from './fixtures/frail.ts'
import { readJournals } from './fixtures/journal.ts'
import { commandOf, descendantsOf, isRunning, isZombie, slowness } from './pids.ts'

describe('a system with child processes', () => {
  let server: TestServer
  let troupe: Troupe
  let dir: string
  beforeAll(async () => {
    server = await startServer()
    troupe = await connect({ servers: server.url, namespace: NAMESPACE, logLevel: 'silent' })
    dir = await mkdtemp(join(tmpdir(), 'troupe-orphans-'))
  })
  afterAll(async () => {
    await troupe.close()
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  })

  const start = (who: string): Promise<Child> =>
    startChild('isolatedWorker', { url: server.url, namespace: NAMESPACE, who, actors: ['frailProcess'] })
  const begun = (id: string): boolean => readJournals(dir).some((entry) => entry.what === 'started' && entry.id === id)
  const idOf = (who: string, what: string): string => `${who}-${what}`

  /** Its members, one of them in a loop that hears nothing, one in a handler that waits. */
  async function occupied(who: string): Promise<{ child: Child; pids: number[] }> {
    const child = await start(who)
    await until('its members', () => members(child.pid).length >= 3)
    await troupe.send(frailProcess.die, { dir, way: 'loop' }, { id: idOf(who, 'loop') })
    await troupe.send(frailProcess.work, { dir, ms: 60_000 }, { id: idOf(who, 'wait') })
    await until('its runs', () => begun(idOf(who, 'loop')) && begun(idOf(who, 'wait')))
    return { child, pids: descendantsOf(child.pid) }
  }

  async function cancelAll(who: string): Promise<void> {
    for (const what of ['loop', 'wait']) await troupe.cancel('frail_process', { id: idOf(who, what) })
  }

  it('that is killed: all of them end within a second, also one that hears nothing', { timeout: 60_000 }, async () => {
    const { child, pids } = await occupied('killed')
    expect(pids.length).toBeGreaterThan(3)
    await child.kill9()
    const from = performance.now()
    await until('their end', () => !pids.some(isRunning), 5_000)
    const took = performance.now() - from
    console.log(`orphans: ${pids.length} processes ended ${Math.round(took)} ms after the kill of their system`)
    expect(took).toBeLessThan(1_000 * (await slowness()))
    await cancelAll('killed')
  })

  it('that stops by itself: none is left, neither running nor as a zombie', { timeout: 60_000 }, async () => {
    const { child, pids } = await occupied('stopped')
    const own = members(child.pid)
    expect(await child.stop()).toBe(0)
    expect(own.filter(isRunning)).toEqual([])
    // The shell that guarded them sees that it has nobody to guard.
    await until('the end of all', () => !pids.some(isRunning), 5_000)
    // Whoever inherits them when their parent is gone asks for them in its own time.
    await until('nothing left of them', () => !pids.some(isZombie), 5_000)
    await cancelAll('stopped')
  })

  it('whose members are killed again and again keeps no zombies', { timeout: 60_000 }, async () => {
    await using child = await start('survivor')
    const killed: number[] = []
    for (let round = 0; round < 3; round++) {
      await until('three members', () => members(child.pid).length >= 3)
      const victims = members(child.pid).slice(0, 2)
      for (const pid of victims) process.kill(pid, 'SIGKILL')
      killed.push(...victims)
      await until('their end', () => !victims.some(isRunning))
    }
    await until('three members', () => members(child.pid).length >= 3)
    expect(killed.filter(isZombie)).toEqual([])
  })
})

/** Its processes that run handlers: without the shell that guards them. */
function members(pid: number): number[] {
  return descendantsOf(pid).filter((each) => isRunning(each) && commandOf(each).includes('inside/main'))
}
