/**
 * The project's own nats-server, for those who use it. It is started by whoever comes first, shared by all processes of the
 * project, and ended after the last of them: guardian.ts says how, and lists the races.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, realpath, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'

import { UnavailableError } from '../../runtime/errors.ts'
import { sleep, systemClock } from '../../runtime/time/clock.ts'
import type { Config } from '../schema.ts'
import { attach, type Attached, type GuardianState } from './attach.ts'
import { isLocal, isTouched, newestClaim } from './claim.ts'
import { failed, lastLines, startGuardian } from './launch.ts'

export interface EmbeddedOptions {
  /** The project's folder: an installed platform package is looked for there. Default: the folder of `server.dir`. */
  readonly cwd?: string
  readonly config: Pick<Config, 'server'>
  readonly env?: NodeJS.ProcessEnv
}

/** A share in the project's server: it runs at least until `release`, or until this process has ended in any way. */
export interface EmbeddedServer extends AsyncDisposable {
  /** `nats://127.0.0.1:…`. The same after a restart of the server, unless its port was taken meanwhile. */
  readonly url: string
  /** Of nats-server. */
  readonly pid: number
  readonly version: string
  /** `server.dir`: data, logs. */
  readonly dir: string
  /** Whether it was running already. */
  readonly shared: boolean
  /** Gives the share back. The server ends a second after the last one. */
  release(): Promise<void>
}

type Ready = Extract<GuardianState, { kind: 'ready' }>

const longestStartMs = 330_000
// A guardian that dies again and again has a reason in its log.
const mostLaunches = 5

/**
 * Joins the project's server, and starts it when nobody has.
 *
 * @throws ConfigError `NO_SERVER_BINARY`
 * @throws UnavailableError `SERVER_FAILED` when it does not start, with what its log says; `SERVER_BUSY` when another machine or a
 * stopped process holds the folder
 */
export async function startEmbeddedServer(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const dir = await prepare(options.config.server.dir)
  const share = new Share({ ...options, config: { server: { ...options.config.server, dir } } })
  await share.join()
  return share
}

class Share implements EmbeddedServer {
  readonly #options: EmbeddedOptions
  #socket: Socket | undefined
  #state: Ready | undefined
  #shared = true
  #over = false

  constructor(options: EmbeddedOptions) {
    this.#options = options
  }

  get dir(): string {
    return this.#options.config.server.dir
  }
  get shared(): boolean {
    return this.#shared
  }
  get url(): string {
    return this.#state?.url ?? ''
  }
  get pid(): number {
    return this.#state?.pid ?? 0
  }
  get version(): string {
    return this.#state?.version ?? ''
  }

  async join(): Promise<void> {
    const joined = await joinServer(this.#options, (state) => this.#hear(state))
    this.#shared = joined.shared
    this.#socket = joined.socket
    if (this.#over) return void joined.socket.destroy()
    // The process may end when it has nothing else to do.
    joined.socket.unref().once('close', () => this.#rejoin())
  }

  /** nats-server was started again (another pid), or will not be. */
  #hear(state: GuardianState): void {
    if (state.kind === 'ready') this.#state = state
    if (state.kind === 'failed') this.#over = true
  }

  /** G6: the guardian was killed. Nobody waits for this: the NATS client reconnects by itself when the server is back. */
  #rejoin(): void {
    if (!this.#over) this.join().catch(() => {})
  }

  async release(): Promise<void> {
    this.#over = true
    const socket = this.#socket
    if (socket === undefined || socket.destroyed) return
    const closed = once(socket, 'close')
    socket.ref().destroy()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

/** Makes the folder, which no version control should see; its path without symbolic links, so that all name it alike. */
async function prepare(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true })
  const ignore = join(dir, '.gitignore')
  if (!existsSync(ignore)) await writeFile(ignore, '*\n')
  return realpath(dir)
}

interface Joined {
  readonly socket: Socket
  readonly shared: boolean
}

async function joinServer(options: EmbeddedOptions, onState: (state: GuardianState) => void): Promise<Joined> {
  const { dir } = options.config.server
  let launches = 0
  for (const giveUpAt = systemClock.monotonic() + longestStartMs; systemClock.monotonic() < giveUpAt; await sleep(20)) {
    const { number, claim } = await settledClaim(dir)
    const attached =
      claim === undefined || claim.released
        ? dead
        : isLocal(claim)
          ? await attach(claim, onState)
          : await elsewhere(dir, number)
    if (attached.kind === 'ready') return { socket: attached.socket, shared: launches === 0 }
    if (attached.kind === 'failed') throw failed(dir, attached.reason)
    if (attached.kind === 'silent') throw busy(dir, `process ${claim?.pid} holds it and does not answer`)
    if (attached.kind === 'dead') {
      if (++launches > mostLaunches) throw failed(dir, await lastLines(join(dir, 'guardian.log')))
      await startGuardian(options, number)
    }
  }
  throw failed(dir, 'it was not ready in time')
}

const dead: Attached = { kind: 'dead' }

/** A claim without content is being written at this moment, or was left so by a crash. */
async function settledClaim(dir: string): ReturnType<typeof newestClaim> {
  let newest = await newestClaim(dir)
  for (let left = 40; newest.number > 0 && newest.claim === undefined && left > 0; left--) {
    await sleep(50)
    newest = await newestClaim(dir)
  }
  return newest
}

async function elsewhere(dir: string, number: number): Promise<Attached> {
  if (await isTouched(dir, number)) throw busy(dir, 'another machine or container runs a server on it')
  return dead
}

function busy(dir: string, why: string): UnavailableError {
  const help =
    'end that one, set server.dir (TROUPE_SERVER_DIR) to another folder, or nats.servers to a server that both can reach'
  return new UnavailableError(
    'SERVER_BUSY',
    `expected ${dir} to be free for this project's nats-server, but ${why}: ${help}`,
    { data: { dir } },
  )
}
