import { readFileSync } from 'node:fs'
import { cpus, totalmem, type, release } from 'node:os'

/** What a number was measured on. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
}

export function machine(): Machine {
  const cores = cpus()
  return {
    cpu: cores[0]?.model ?? 'unknown',
    cores: cores.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
  }
}

/** Versions of what takes part. */
export function versions(server: string): Readonly<Record<string, string>> {
  const names = ['@nats-io/nats-core', '@nats-io/transport-node', '@nats-io/jetstream']
  const clients = names.map((name) => [name, versionOf(name)])
  return {
    troupe: versionOf(''),
    node: process.versions.node,
    'nats-server': server,
    ...Object.fromEntries(clients),
  }
}

const root = new URL('../../', import.meta.url)

// Read from the lock file: packages need not export their package.json.
function versionOf(name: string): string {
  const lock = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')) as Lock
  return lock.packages[name === '' ? '' : `node_modules/${name}`]?.version ?? 'unknown'
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>
}
