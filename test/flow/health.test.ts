/** Whether systems are well: over HTTP for probes, by `troupe health` for people and scripts. */
import { defineActor, run } from 'troupe'
import { describe, expect, it } from 'vitest'

import { healthOf, type Health } from '#runtime/observe/health.js'

import { makeProject } from '../kit/cli.ts'
import { startServer } from '../kit/server.ts'
import { eventually, gate, testBundle, type Bundle } from '../kit/system.ts'

const actor = defineActor('box', { messages: { go: () => 'ok' } })

async function probe({ system }: Bundle, path: 'healthz' | 'readyz'): Promise<{ status: number; health: Health }> {
  const response = await fetch(`http://127.0.0.1:${system.observing.httpPort}/${path}`)
  return { status: response.status, health: (await response.json()) as Health }
}

describe('probes', () => {
  it('of a system that runs say that it is live and ready, and why', async () => {
    await using t = await testBundle({ actors: [actor], http: { port: 0 }, system: 'sys' })
    const { status, health } = await probe(t, 'readyz')
    expect({ status, ...health }).toMatchObject({ status: 200, system: 'sys', live: true, ready: true })
    expect(health.checks.map(({ name, ok }) => `${name} ${ok}`)).toEqual([
      'connection true',
      'system true',
      'actor box true',
    ])
    expect((await probe(t, 'healthz')).status).toBe(200)
  })

  it('of one whose NATS is away say that it is not ready; ending it would help nobody', async () => {
    await using server = await startServer()
    await using t = await testBundle({ actors: [actor], http: { port: 0 }, server })
    await server.kill9()
    await eventually('it is noticed', async () => (await probe(t, 'readyz')).status === 503)
    expect((await probe(t, 'readyz')).health.checks[0]).toMatchObject({ name: 'connection', ok: false })
    expect((await probe(t, 'healthz')).status).toBe(200)
    await server.restart()
    await eventually('it is well again', async () => (await probe(t, 'readyz')).status === 200)
  })

  it('of one that stops say that it is not ready, until it has ended', async () => {
    const open = gate()
    const slow = defineActor('slow', { messages: { go: () => open.passed } })
    await using t = await testBundle({ actors: [slow], http: { port: 0 } })
    await t.troupe.send(slow.go, undefined)
    await t.events.wait('started')
    const stopped = t.system.stop({ within: '10s' })
    const { status, health } = await probe(t, 'readyz')
    expect([status, health.checks.find(({ name }) => name === 'system')?.detail]).toEqual([503, 'stopping'])
    expect((await probe(t, 'healthz')).status).toBe(200)
    open.open()
    await stopped
  })

  it('of one whose actor can’t start say so while it is tried again', async () => {
    await using t = await testBundle({ actors: [actor], http: { port: 0 } })
    t.system.hosted.get('box')?.fail(new Error('it broke'))
    await eventually('it is noticed', async () => (await probe(t, 'readyz')).health.checks.some(({ ok }) => !ok))
    await eventually('it is started anew', async () => (await probe(t, 'readyz')).status === 200)
  })

  it('are answered while a system starts', async () => {
    const open = gate()
    const server = await startServer()
    const late = defineActor('late', { onStart: () => open.passed, messages: { go: () => 'ok' } })
    let url = ''
    const log = (_message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (typeof fields?.['url'] === 'string') url = fields['url']
    }
    const logger = { debug: log, info: log, warn: log, error: log, child: () => logger }
    const starting = run({ actors: [late], servers: server.url, http: { port: 0 }, logger, signals: false })
    await eventually('the port is open', () => url !== '')
    await eventually('it says that it starts', async () => {
      const health = (await (await fetch(`${url}/readyz`)).json()) as Health
      return !health.ready && health.checks.some(({ detail }) => detail === 'starting')
    })
    open.open()
    const system = await starting
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    await system.stop()
    await server.stop()
  })
})

describe('troupe health', () => {
  it('asks all systems, and its exit code says how they are', { timeout: 60_000 }, async () => {
    await using t = await testBundle()
    await using project = await makeProject({
      env: { TROUPE_NATS_SERVERS: t.server.url, TROUPE_NAMESPACE: t.namespace },
    })
    expect(await project.troupe('health')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('none answers') as string,
    })
    const open = gate()
    const slow = defineActor('slow', { messages: { go: () => open.passed } })
    const one = await t.another([slow], { system: 'one' })
    await t.another([actor], { system: 'two' })
    expect(await project.troupe('health')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/one +ready\ntwo +ready\n/) as string,
    })
    await t.troupe.send(slow.go, undefined)
    await t.events.wait('started')
    const stopped = one.stop({ within: '30s' })
    const { code, stdout } = await project.troupe('health', '--json')
    expect(code).toBe(1)
    expect((JSON.parse(stdout) as Health[]).map(({ system, ready }) => `${system} ${ready}`)).toEqual([
      'one false',
      'two true',
    ])
    expect(await project.troupe('health', '--live')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('system: stopping') as string,
    })
    expect(await project.troupe('health', 'two')).toMatchObject({ code: 0 })
    expect(await project.troupe('health', 'three')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"three"') as string,
    })
    open.open()
    await stopped
  })
})

describe('health', () => {
  it('is not ready while anything that should run does not, and dead when it gave up', () => {
    const parts = { system: 's', isConnected: true, server: 'h:1', phase: 'running', tree: [] } as const
    const node = { kind: 'worker', restart: 'permanent', significant: false, restarts: 0 } as const
    expect(healthOf(parts)).toMatchObject({ live: true, ready: true })
    expect(healthOf({ ...parts, phase: 'ended' })).toMatchObject({ live: false, ready: false })
    const failure = { name: 'Error', message: 'no' }
    const waiting = healthOf({ ...parts, tree: [{ ...node, id: 'a', state: 'waiting', failure }] })
    expect(waiting).toMatchObject({ live: true, ready: false })
    expect(waiting.checks.at(-1)).toEqual({ name: 'actor a', ok: false, detail: 'waiting: Error: no' })
    // Stopped by hand: as its operator wants it.
    expect(healthOf({ ...parts, tree: [{ ...node, id: 'a', state: 'stopped' }] }).ready).toBe(true)
    const below = { ...node, id: 'b', state: 'starting' } as const
    const nested = { ...node, kind: 'supervisor', id: 'media', state: 'running', children: [below] } as const
    expect(
      healthOf({ ...parts, tree: [nested] })
        .checks.map(({ name, ok }) => `${name} ${ok}`)
        .slice(2),
    ).toEqual(['supervisor media true', 'actor b false'])
  })
})
