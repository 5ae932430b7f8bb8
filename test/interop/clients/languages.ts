/**
 * Programs of other languages, made ready where the machine has the language: packages in node_modules/.cache, nothing installed globally. Whatever
 * is missing, is too old, or takes too long is told as a reason, and the tests are skipped with it.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Program } from './child.ts'

/** A program, or why there is none. */
export type Ready =
  | { readonly program: Program; readonly reason?: undefined }
  | { readonly program?: undefined; readonly reason: string }

const here = dirname(fileURLToPath(import.meta.url))
const cache = join(process.cwd(), 'node_modules/.cache/troupe-interop')
/** Longest time to fetch and build: beyond it the tests are skipped. */
const PATIENCE_MS = 100_000

export async function pythonClient(): Promise<Ready> {
  const script = join(here, 'python/client.py')
  const packages = join(cache, 'python')
  const env = { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' }
  return readyWith(async () => {
    await tool('python3', ['-c', 'import sys; assert sys.version_info >= (3, 10), sys.version'], 'Python 3.10 or later')
    const program = { command: 'python3', args: [script], env }
    if (await works('python3', ['-c', 'import nats'], env)) return program
    await madeOnce(packages, (folder) =>
      tool(
        'python3',
        [
          '-m',
          'pip',
          'install',
          '--quiet',
          '--retries',
          '1',
          '--timeout',
          '10',
          '--target',
          folder,
          '-r',
          join(here, 'python/requirements.txt'),
        ],
        'the package nats-py',
      ),
    )
    return program
  })
}

export async function goClient(): Promise<Ready> {
  const source = join(here, 'go')
  return readyWith(async () => {
    const version = await tool('go', ['env', 'GOVERSION'], 'Go')
    const binary = join(cache, `go-${version.trim()}-${await digest(source)}`)
    // Another toolchain than the machine's is not fetched.
    const env = { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' }
    await madeOnce(binary, (file) => tool('go', ['build', '-C', source, '-o', file, '.'], 'the package nats.go', env))
    return { command: binary, args: [] }
  })
}

async function readyWith(make: () => Promise<Program>): Promise<Ready> {
  try {
    return { program: await make() }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}

/** Made beside its place and then put there: others may do the same at once. */
async function madeOnce(place: string, make: (temporary: string) => Promise<unknown>): Promise<void> {
  if (existsSync(place)) return
  await mkdir(cache, { recursive: true })
  const temporary = `${place}.${process.pid}`
  try {
    await make(temporary)
    await rename(temporary, place).catch((error: unknown) => {
      if (!existsSync(place)) throw error
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function works(command: string, args: string[], env: Record<string, string>): Promise<boolean> {
  return tool(command, args, '', env).then(
    () => true,
    () => false,
  )
}

/** Runs it to its end and returns what it says; throws with `what` is missing. */
function tool(command: string, args: string[], what: string, env: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: PATIENCE_MS, env: { ...process.env, ...env } }
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const words = error.killed ? `not ready within ${PATIENCE_MS / 1000} s` : (stderr.trim().split('\n').at(-1) ?? '')
      reject(new Error(`${what} is not to be had here: ${words === '' ? error.message : words}`))
    })
  })
}

/** A word for what the sources are: a binary of other sources is another one. */
async function digest(folder: string): Promise<string> {
  const { createHash } = await import('node:crypto')
  const { readFile, readdir } = await import('node:fs/promises')
  const hash = createHash('sha256')
  for (const name of (await readdir(folder)).sort()) hash.update(name).update(await readFile(join(folder, name)))
  return hash.digest('hex').slice(0, 16)
}
