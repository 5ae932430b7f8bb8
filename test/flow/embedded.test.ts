import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { describe, expect, it } from 'vitest'

import { resolveConfig, startEmbeddedServer, type EmbeddedServer } from '#config/index.js'
import { newestClaim, type Claim } from '#config/server/claim.js'
import { readInfo } from '#config/server/ready.js'
import { signal } from '#config/server/watched.js'

interface User {
  readonly process: ChildProcess
  readonly url: string
  readonly pid: number
  readonly shared: boolean
}

interface Shown {
  readonly pid: number
  readonly guardian: number
  readonly port: number
}

/** A project in a folder of its own. At its end every user is killed, and the server has ended. */
class Project implements AsyncDisposable {
  readonly users: ChildProcess[] = []
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
  }

  path(...names: string[]): string {
    return join(this.dir, '.troupe', ...names)
  }

  /** Uses the server in this process. */
  use(): Promise<EmbeddedServer> {
    return startEmbeddedServer({ config: resolveConfig({}, { cwd: this.dir }) })
  }

  /** Uses the server in a process of its own, until it is killed. */
  async spawnUser(): Promise<User> {
    const code = `
      import { resolveConfig, startEmbeddedServer } from ${JSON.stringify(join(process.cwd(), 'dist/config/index.js'))}
      const server = await startEmbeddedServer({ config: resolveConfig() })
      console.log(JSON.stringify({ url: server.url, pid: server.pid, shared: server.shared }))
      process.stdin.resume().on('end', () => process.exit())`
    const args = ['--input-type=module', '-e', code]
    const child = spawn(process.execPath, args, { cwd: this.dir, stdio: ['pipe', 'pipe', 'inherit'] })
    this.users.push(child)
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    return { process: child, ...(JSON.parse(line) as Omit<User, 'process'>) }
  }

  async shown(): Promise<Shown> {
    return JSON.parse(await readFile(this.path('server.json'), 'utf8')) as Shown
  }

  async end(user: User): Promise<void> {
    const ended = once(user.process, 'exit')
    user.process.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const user of this.users) user.kill('SIGKILL')
    await until(() => !existsSync(this.path('server.json')))
    await rm(this.dir, { recursive: true, force: true })
  }
}

async function project(): Promise<Project> {
  return new Project(await mkdtemp(join(tmpdir(), 'troupe-embedded-')))
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 15_000, interval: 20 }).toBe(true)
}

async function group(pid: number | undefined): Promise<string | undefined> {
  return (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[2]
}

/** The shell that a nats-server runs under, and what else that runs. */
async function watchersOf(pid: number): Promise<number[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const shell = Number(stat.split(') ')[1]?.split(' ')[1])
  const children = (await readFile(`/proc/${shell}/task/${shell}/children`, 'utf8')).trim().split(' ').map(Number)
  return [...children.filter((child) => child !== pid), shell]
}

/** What a guardian says when somebody connects. */
function stateOf(claim: Claim | undefined): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectSocket(claim?.port ?? 0, '127.0.0.1', () => socket.write(`${claim?.token}\n`))
    socket.on('error', () => resolve('gone'))
    socket.on('data', (line) => {
      socket.destroy()
      resolve((JSON.parse(line.toString()) as { kind: string }).kind)
    })
  })
}

/** A process whose parent was killed may stay as a zombie where nobody reaps: it runs no more. */
function alive(pid: number): boolean {
  if (!signal(pid, 0)) return false
  const stat = `/proc/${pid}/stat`
  return !existsSync(stat) || !/\) Z /.test(readFileSync(stat, 'utf8'))
}

const ended = (pid: number): Promise<void> => until(() => !alive(pid))

describe("the project's own nats-server", () => {
  it('is real, on loopback, with JetStream, in a folder that version control ignores', async () => {
    await using project_ = await project()
    await using server = await project_.use()
    const { port } = await project_.shown()
    expect(server).toMatchObject({ url: `nats://127.0.0.1:${port}`, shared: false })
    expect(await readInfo(port)).toMatchObject({ jetstream: true, version: server.version })
    expect(await readFile(project_.path('.gitignore'), 'utf8')).toBe('*\n')
    expect(await readFile(project_.path('nats', 'server.conf'), 'utf8')).toContain('sync_interval: "1s"')
  })

  it('is one, however many processes start it at the same moment', async () => {
    await using project_ = await project()
    const users = await Promise.all(Array.from({ length: 4 }, () => project_.spawnUser()))
    expect(new Set(users.map((user) => `${user.url} ${user.pid}`)).size).toBe(1)
    expect(await readdir(project_.path('guardian'))).toHaveLength(1)
  })

  it('survives the process that started it, and ends after the last, though both are killed', async () => {
    await using project_ = await project()
    const first = await project_.spawnUser()
    const second = await project_.spawnUser()
    expect([first.shared, second.shared]).toEqual([false, true])
    await project_.end(first)
    const third = await project_.spawnUser()
    expect(third.pid).toBe(first.pid)
    await Promise.all([project_.end(second), project_.end(third)])
    await ended(first.pid)
    await until(() => !existsSync(project_.path('server.json')))
  })

  it('keeps its data and its port for the next time', async () => {
    await using project_ = await project()
    const first = await project_.use()
    const connection = await connect({ servers: first.url })
    const { streams } = await jetstreamManager(connection)
    await streams.add({ name: 'kept', subjects: ['kept'] })
    await connection.close()
    await first.release()
    await ended(first.pid)

    await using second = await project_.use()
    expect(second).toMatchObject({ shared: false, url: first.url })
    const again = await connect({ servers: second.url })
    expect((await (await jetstreamManager(again)).streams.info('kept')).config.subjects).toEqual(['kept'])
    await again.close()
  })

  it('comes when it is called while the last one is being stopped', async () => {
    await using project_ = await project()
    const first = await project_.use()
    const { guardian } = await project_.shown()
    const { claim } = await newestClaim(first.dir)
    // A nats-server that takes long to stop: stopped by SIGSTOP, it can't.
    signal(first.pid, 'SIGSTOP')
    await first.release()
    signal(guardian, 'SIGTERM')
    await until(async () => (await stateOf(claim)) === 'stopping')
    let joined = false
    const joining = project_.use().finally(() => (joined = true))
    await until(async () => (await stateOf(claim)) === 'stopping')
    expect(joined).toBe(false)
    signal(first.pid, 'SIGCONT')
    await using next = await joining
    expect(next).toMatchObject({ shared: false, url: first.url })
    expect(next.pid).not.toBe(first.pid)
    expect(alive(first.pid)).toBe(false)
  })

  it('is started again when it is killed, on the same port', async () => {
    await using project_ = await project()
    await using server = await project_.use()
    const { url, pid } = server
    signal(pid, 'SIGKILL')
    await until(() => server.pid !== pid)
    expect(server.url).toBe(url)
    expect(await readInfo(Number(new URL(url).port))).toBeDefined()
  })

  it('comes back when its guardian is killed, and never runs twice on the same data', async () => {
    await using project_ = await project()
    await using server = await project_.use()
    const { url, pid } = server
    signal((await project_.shown()).guardian, 'SIGKILL')
    await until(() => server.pid !== pid)
    expect(alive(pid)).toBe(false)
    expect(server.url).toBe(url)
  })

  it('ends within seconds when everybody and the guardian are killed at once', async () => {
    await using project_ = await project()
    const user = await project_.spawnUser()
    const { guardian, pid } = await project_.shown()
    signal(guardian, 'SIGKILL')
    await project_.end(user)
    await ended(pid)
    // What was left behind says "running" still: the next user must not believe it.
    expect(existsSync(project_.path('server.json'))).toBe(true)
    await using server = await project_.use()
    expect(server).toMatchObject({ shared: false })
    expect(server.pid).not.toBe(pid)
  })

  it.runIf(process.platform === 'linux')(
    'ends a server that was left behind before it starts one on its data',
    async () => {
      await using project_ = await project()
      const user = await project_.spawnUser()
      const { guardian, pid } = await project_.shown()
      for (const watcher of await watchersOf(pid)) signal(watcher, 'SIGKILL')
      signal(guardian, 'SIGKILL')
      await project_.end(user)
      await ended(guardian)
      expect(alive(pid)).toBe(true)
      await using server = await project_.use()
      expect(server).toMatchObject({ shared: false, url: user.url })
      expect(alive(pid)).toBe(false)
    },
  )

  it('does not believe a claim whose process and port are somebody else now', async () => {
    await using project_ = await project()
    await mkdir(project_.path('guardian'), { recursive: true })
    await using other = await (await project()).use()
    const port = Number(new URL(other.url).port)
    const { hostname } = await import('node:os')
    const stale = { pid: process.pid, host: hostname(), port, token: 'gone' }
    await writeFile(project_.path('guardian', '7.json'), JSON.stringify(stale))
    await writeFile(project_.path('server.json'), JSON.stringify({ pid: process.pid, port, url: other.url }))
    await using server = await project_.use()
    expect(server.url).not.toBe(other.url)
    expect(await readdir(project_.path('guardian'))).toEqual(['8.json'])
    await server.release()
    await rm(join(other.dir, '..'), { recursive: true, force: true })
  })

  it.runIf(process.platform === 'linux')('does not hear the Ctrl-C of the terminal', async () => {
    await using project_ = await project()
    const user = await project_.spawnUser()
    const { guardian } = await project_.shown()
    const own = await group(user.process.pid)
    expect([await group(guardian), await group(user.pid)]).not.toContain(own)
  })

  it('says why when it can not start', async () => {
    await using project_ = await project()
    const config = resolveConfig({ server: { binary: process.execPath } }, { cwd: project_.dir })
    await expect(startEmbeddedServer({ config })).rejects.toMatchObject({ code: 'NO_SERVER_BINARY' })
    await using other = await project_.use()
    const taken = resolveConfig(
      { server: { port: Number(new URL(other.url).port), dir: 'second' } },
      { cwd: project_.dir },
    )
    await expect(startEmbeddedServer({ config: taken })).rejects.toMatchObject({
      code: 'SERVER_FAILED',
      message: expect.stringContaining('address already in use') as string,
    })
  })
})
