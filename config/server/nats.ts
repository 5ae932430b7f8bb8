/** Runs the nats-server of a folder: its configuration, its port, its start until it is ready, and the end of one that was left behind. */
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { sleep } from '../../runtime/time/clock.ts'
import { whenReady } from './ready.ts'
import { signal, spawnWatched, type Watched } from './watched.ts'

export interface RunningNats {
  readonly port: number
  readonly version: string
  readonly child: Watched
}

const longestStartMs = 300_000
const paths = (dir: string) => {
  const data = join(dir, 'nats')
  return { data, conf: join(data, 'server.conf'), log: join(data, 'server.log'), pid: join(data, 'server.pid') }
}

/** Starts nats-server on `port`; 0 is a free one. Throws what its log says when it does not start. */
export async function startNats(dir: string, binary: string, port: number): Promise<RunningNats> {
  await mkdir(paths(dir).data, { recursive: true })
  if (port !== 0) return launch(dir, binary, port)
  // Between choosing a free port and listening on it, another process may take it.
  for (let left = 3; ; left--) {
    try {
      return await launch(dir, binary, await freePort())
    } catch (error) {
      if (left === 0 || !String(error).includes('address already in use')) throw error
    }
  }
}

async function launch(dir: string, binary: string, port: number): Promise<RunningNats> {
  const { conf, data, log, pid } = paths(dir)
  const name = `troupe-${port}-${process.pid}`
  const logStart = await size(log)
  await writeFile(conf, confText(data, log, port, name))
  const child = await spawnWatched(binary, ['-c', conf], data)
  await writeFile(pid, String(child.pid))
  const over = new AbortController()
  void child.exited.then(() => over.abort())
  const info = await whenReady(port, name, AbortSignal.any([over.signal, AbortSignal.timeout(longestStartMs)]))
  if (info) return { port, version: info.version, child }
  await child.end()
  throw new Error(`nats-server did not start: ${await complaint(log, logStart)} (see ${log})`)
}

function confText(data: string, log: string, port: number, name: string): string {
  return [
    '# Written by Troupe at each start: changes are lost.',
    `listen: "127.0.0.1:${port}"`,
    `server_name: "${name}"`,
    `jetstream { store_dir: ${JSON.stringify(data)}, sync_interval: "1s" }`,
    `log_file: ${JSON.stringify(log)}`,
    'logfile_size_limit: 10MB',
    'logfile_max_num: 3',
    '',
  ].join('\n')
}

async function size(path: string): Promise<number> {
  const text = await readFile(path).catch(() => undefined)
  return text?.length ?? 0
}

/** What its log says since it started: the errors, else the last line. */
async function complaint(log: string, from: number): Promise<string> {
  const text = await readFile(log).then(
    (bytes) => bytes.subarray(from).toString(),
    () => '',
  )
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const errors = lines.filter((line) => /\[(ERR|FTL)\]/.test(line))
  return (errors.length > 0 ? errors.slice(0, 3).join(' / ') : lines.at(-1)) ?? 'it wrote nothing to its log'
}

/**
 * Ends a nats-server that an earlier guardian left behind: two on one store would destroy it. Only a process that runs with this
 * very configuration file is ended; any other that has the pid by now is left alone.
 */
export async function endOrphan(dir: string): Promise<void> {
  const { conf, pid: file } = paths(dir)
  const pid = Number(await readFile(file, 'utf8').catch(() => '0'))
  for (let waitedMs = 0; await runsWith(pid, conf); waitedMs += 50) {
    signal(pid, waitedMs > 15_000 ? 'SIGKILL' : 'SIGTERM')
    await sleep(50)
  }
  await rm(file, { force: true })
}

async function runsWith(pid: number, conf: string): Promise<boolean> {
  if (!(pid > 0) || !signal(pid, 0)) return false
  if (existsSync('/proc/self/cmdline')) {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(conf)
  }
  if (process.platform === 'win32') return await hasLog(conf)
  const { execFile } = await import('node:child_process')
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'command=', '-p', String(pid)], (_error, stdout) => resolve(stdout.includes(conf)))
  })
}

/** Windows shows no command lines, but keeps a file that a process writes from being opened for itself alone. */
async function hasLog(conf: string): Promise<boolean> {
  const log = join(conf, '..', 'server.log')
  const handle = await open(log, 'r+').catch(() => undefined)
  await handle?.close()
  return handle === undefined && existsSync(log)
}

/** A port on loopback that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
