/** Starts a guardian: finds nats-server for it, and gives it a session and a log of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { UnavailableError } from '../../runtime/errors.ts'
import { sleep } from '../../runtime/time/clock.ts'
import { findServerBinary } from './binary.ts'
import { newestClaim } from './claim.ts'
import type { EmbeddedOptions } from './embedded.ts'
import type { GuardianOrder } from './guardian.ts'

/** Starts a guardian, and returns when there is a newer claim, its own or another's. */
export async function startGuardian(options: EmbeddedOptions, number: number): Promise<void> {
  const { dir, binary, install, port } = options.config.server
  const { env = process.env, cwd = dirname(dir) } = options
  const found = await findServerBinary({ cwd, binary, install, env })
  const log = join(dir, 'guardian.log')
  const child = await spawnGuardian({ dir, binary: found.path, port }, log, env)
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  const code = await Promise.race([exited, newerClaim(dir, number, exited)])
  if (code !== 0) throw failed(dir, await lastLines(log))
}

/** Resolves with 0 when there is a newer claim, and stops looking when the guardian has ended. */
async function newerClaim(dir: string, number: number, exited: Promise<unknown>): Promise<number> {
  const over = new AbortController()
  void exited.then(() => over.abort())
  while (!over.signal.aborted && (await newestClaim(dir)).number <= number) await sleep(10)
  return 0
}

async function spawnGuardian(order: GuardianOrder, log: string, env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('guardian.js', import.meta.url))
  const output = await open(log, 'a')
  // G5: a session of its own. What NODE_OPTIONS asks for (a debugger, loaders) is meant for the user's program.
  const { NODE_OPTIONS: _options, ...rest } = env
  const child = spawn(process.execPath, [script, JSON.stringify(order)], {
    cwd: order.dir,
    env: rest,
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
    windowsHide: true,
  })
  await once(child, 'spawn')
  child.unref()
  await output.close()
  return child
}

/** What guardians complained of last. */
export async function lastLines(log: string): Promise<string> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n')
  return lines.slice(-5).join(' / ')
}

/** The error of a server that does not start. */
export function failed(dir: string, reason: string): UnavailableError {
  const text = `expected the project's nats-server in ${dir} to start, got: ${reason}`
  return new UnavailableError('SERVER_FAILED', text, { data: { dir } })
}
