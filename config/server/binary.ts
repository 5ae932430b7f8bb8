/**
 * Finds a nats-server that is new enough, in this order: the setting, an installed platform package, PATH, Troupe's cache, and at last an
 * installation into the cache (install.ts). What was tried and why it did not do is kept for the one error that all of it may end in.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { ConfigError, toError } from '../../runtime/errors.ts'
import { installServer } from './install.ts'
import { cachedBinary, executable, knownSha256, packageName, PINNED, sha256 } from './platform.ts'

/** The oldest nats-server that has everything that Troupe uses. */
export const OLDEST = '2.14.0'

export interface ServerBinary {
  readonly path: string
  readonly version: string
  readonly source: 'setting' | 'package' | 'PATH' | 'cache' | 'installed'
}

export interface FindServerOptions {
  /** Where to look for an installed platform package first: default the working directory. */
  readonly cwd?: string | undefined
  /** `server.binary`: nothing else is tried when it is set. */
  readonly binary?: string | undefined
  /** `server.install`: whether npm may install it into the cache. Default true. */
  readonly install?: boolean | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
}

/**
 * Where nats-server is.
 *
 * @throws ConfigError `NO_SERVER_BINARY`, with what was tried and the commands that help on this platform
 */
export async function findServerBinary(options: FindServerOptions = {}): Promise<ServerBinary> {
  const { cwd = process.cwd(), env = process.env } = options
  if (options.binary !== undefined) return fromSetting(options.binary)
  const tried: string[] = []
  const attempt = async (source: ServerBinary['source'], path: string): Promise<ServerBinary | undefined> => {
    const version = await usableVersion(path).catch(
      (error: unknown) => void tried.push(`${path}: ${toError(error).message}`),
    )
    return typeof version === 'string' ? { path, version, source } : undefined
  }
  for (const [source, path] of candidates(cwd, env)) {
    const found = await attempt(source, path)
    if (found) return found
  }
  if (options.install === false) tried.push('npm: not asked, because server.install is off')
  else {
    const path = await installServer(cwd, env).catch(
      (error: unknown) => void tried.push(`npm: ${toError(error).message}`),
    )
    const found = typeof path === 'string' ? await attempt('installed', path) : undefined
    if (found) return found
  }
  throw notFound(tried)
}

function candidates(cwd: string, env: NodeJS.ProcessEnv): [ServerBinary['source'], string][] {
  const installed = [join(cwd, 'package.json'), import.meta.url].flatMap(packagedBinary)
  const onPath = (env['PATH'] ?? env['Path'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return [
    ...[...new Set(installed)].map((path): [ServerBinary['source'], string] => ['package', path]),
    ...onPath.map((folder): [ServerBinary['source'], string] => ['PATH', join(folder, executable)]),
    ['cache', cachedBinary(env)] satisfies [ServerBinary['source'], string],
  ].filter(([, path]) => existsSync(path))
}

function packagedBinary(from: string): string[] {
  try {
    return [join(dirname(createRequire(from).resolve(packageName)), 'bin', executable)]
  } catch {
    return []
  }
}

async function fromSetting(path: string): Promise<ServerBinary> {
  try {
    return { path, version: await usableVersion(path), source: 'setting' }
  } catch (error) {
    const text = `expected server.binary to be the path of a nats-server of version ${OLDEST} or later, got: ${JSON.stringify(path)} (${toError(error).message})`
    throw new ConfigError('NO_SERVER_BINARY', text, { data: { key: 'server.binary', path }, cause: error })
  }
}

/** Its version, when that is new enough and, for a version with a known checksum, its bytes are the right ones. */
async function usableVersion(path: string): Promise<string> {
  if (!existsSync(path)) throw new Error('there is no such file')
  // Right bytes need not be run to tell their version.
  const pinned = path.includes(packageName) || path.includes(`nats-server-${PINNED}`)
  const sum = pinned && knownSha256 !== undefined ? await sha256(path) : undefined
  if (sum !== undefined && sum === knownSha256) return PINNED
  const version = await askVersion(path)
  if (version === PINNED && sum !== undefined) {
    throw new Error(`its SHA-256 is ${sum}, expected ${knownSha256}: not used, remove it`)
  }
  if (!isAtLeast(version, OLDEST)) throw new Error(`it has version ${version}, older than ${OLDEST}`)
  return version
}

async function askVersion(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 10_000 })
  const version = /nats-server: v(\d+\.\d+\.\d+[\w.+-]*)/.exec(stdout)?.[1]
  if (version === undefined) throw new Error('it does not tell its version as nats-server does')
  return version
}

/** Whether version `a` is `b` or later; a pre-release (`2.14.0-RC.1`) is older than its release. */
export function isAtLeast(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('-')[0]?.split('.').map(Number) ?? [])
  for (const [index, wanted] of (right ?? []).entries()) {
    const difference = (left?.[index] ?? 0) - wanted
    if (difference !== 0) return difference > 0
  }
  return !a.includes('-') || b.includes('-')
}

function notFound(tried: readonly string[]): ConfigError {
  const help = [
    'Any one of these helps:',
    `  npm install --save-dev --force ${packageName}@${PINNED}`,
    ...(process.platform === 'darwin' ? ['  brew install nats-server'] : []),
    ...(process.platform === 'win32' ? ['  winget install NATSAuthors.NATSServer', '  choco install nats-server'] : []),
    `  download nats-server ${OLDEST} or later from https://github.com/nats-io/nats-server/releases, then set server.binary or TROUPE_SERVER_BINARY to its path`,
    '  docker run --rm -p 127.0.0.1:4222:4222 nats:2.14 -js, then set nats.servers or TROUPE_NATS_SERVERS to nats://127.0.0.1:4222',
    '  set nats.servers or TROUPE_NATS_SERVERS to the URL of a NATS server that you have',
  ]
  const seen = tried.length === 0 ? [] : ['Tried:', ...tried.map((line) => `  ${line}`)]
  const text = `expected to find nats-server ${OLDEST} or later for ${process.platform}-${process.arch}, found none.`
  return new ConfigError('NO_SERVER_BINARY', [text, ...seen, ...help].join('\n'), { data: { tried } })
}
