/**
 * A private nats-server for one test: real, on a free port, in a folder of its own. It can't outlive the test's process (config/server/watched.ts),
 * and it is ready when `startServer` resolves.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { findServerBinary } from '#config/server/binary.js'
import { freePort } from '#config/server/nats.js'
import { whenReady } from '#config/server/ready.js'
import { spawnWatched, type Watched } from '#config/server/watched.js'

export interface TestServerOptions {
  /** More text of nats-server's configuration: `max_payload: 1KB`, `authorization {…}`. */
  readonly conf?: string
  /** False: without JetStream. */
  readonly jetstream?: boolean
  /** A folder to keep the data in; not removed by `stop`. Default: one of its own, removed. */
  readonly dataDir?: string
  readonly port?: number
  /** Another nats-server than the one that Troupe finds. */
  readonly binary?: string
}

export interface TestServer extends AsyncDisposable {
  /** By which it is known in a cluster. */
  readonly name: string
  readonly url: string
  readonly port: number
  /** Of the nats-server that runs now. */
  readonly pid: number
  readonly dir: string
  /** `kill -9`, until it has ended. Data and port stay for `restart`. */
  kill9(): Promise<void>
  /** Starts it again on the same port and data, whether it was killed or still runs. */
  restart(): Promise<void>
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

export { freePort }

/** Starts a nats-server and waits until it is ready. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const binary = options.binary ?? (await findServerBinary()).path
  const dir = await mkdtemp(join(tmpdir(), 'troupe-test-'))
  const port = options.port ?? (await freePort())
  await writeFile(join(dir, 'server.conf'), confText(options, dir, port))
  let running = await launch(binary, dir, port)

  async function kill9(): Promise<void> {
    await running.kill()
  }
  async function restart(): Promise<void> {
    await running.end()
    running = await launch(binary, dir, port)
  }
  async function stop(): Promise<void> {
    await running.end()
    await rm(dir, { recursive: true, force: true })
  }
  const url = `nats://127.0.0.1:${port}`
  return {
    name: nameOf(dir),
    url,
    port,
    dir,
    get pid() {
      return running.pid
    },
    kill9,
    restart,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function confText({ conf = '', jetstream = true, dataDir }: TestServerOptions, dir: string, port: number): string {
  const store = JSON.stringify(dataDir ?? join(dir, 'data'))
  return [
    `listen: "127.0.0.1:${port}"`,
    `server_name: ${JSON.stringify(nameOf(dir))}`,
    `log_file: ${JSON.stringify(join(dir, 'server.log'))}`,
    ...(jetstream ? [`jetstream { store_dir: ${store}, sync_interval: "1s" }`] : []),
    conf,
    '',
  ].join('\n')
}

// The folder's name is nobody else's.
const nameOf = (dir: string): string => basename(dir)

async function launch(binary: string, dir: string, port: number): Promise<Watched> {
  const child = await spawnWatched(binary, ['-c', 'server.conf'], dir, dir)
  const over = new AbortController()
  void child.exited.then(() => over.abort())
  const timeUp = AbortSignal.timeout(20_000)
  if (await whenReady(port, nameOf(dir), AbortSignal.any([over.signal, timeUp]))) return child
  await child.end()
  throw new Error(`nats-server did not start: see ${join(dir, 'server.log')}`)
}
