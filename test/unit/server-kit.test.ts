import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { readInfo } from '#config/server/ready.js'
import { signal } from '#config/server/watched.js'

import { startServer } from '../kit/server.ts'

describe("the tests' own nats-server", () => {
  it('is ready when started, with JetStream, and leaves nothing behind', async () => {
    const server = await startServer()
    expect(await readInfo(server.port)).toMatchObject({ jetstream: true })
    await server.stop()
    await server.stop()
    expect(signal(server.pid, 0)).toBe(false)
    expect(existsSync(server.dir)).toBe(false)
  })

  it('comes back on its port after kill -9, as another process', async () => {
    await using server = await startServer({ conf: 'max_payload: 1KB' })
    const before = server.pid
    await server.kill9()
    expect(await readInfo(server.port)).toBeUndefined()
    await server.restart()
    expect(server.pid).not.toBe(before)
    expect(await readInfo(server.port)).toMatchObject({ max_payload: 1024 })
  })

  it('can do without JetStream', async () => {
    await using server = await startServer({ jetstream: false })
    expect((await readInfo(server.port))?.jetstream).toBeUndefined()
  })

  it('does not outlive a process that is killed, and neither does its folder', async () => {
    const left = await mkdtemp(join(tmpdir(), 'troupe-left-'))
    const code = `
      import { spawnWatched } from ${JSON.stringify(join(process.cwd(), 'dist/config/server/watched.js'))}
      const child = await spawnWatched('sleep', ['1000'], '.', ${JSON.stringify(left)})
      console.log(child.pid)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(chunk.toString())
    expect(signal(pid, 0)).toBe(true)
    parent.kill('SIGKILL')
    await expect.poll(() => signal(pid, 0), { timeout: 5000 }).toBe(false)
    await expect.poll(() => existsSync(left), { timeout: 5000 }).toBe(false)
  })
})
