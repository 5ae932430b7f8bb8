import { createRequire } from 'node:module'
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
  const clients = names.map((name) => [name, versionOf(`${name}/package.json`)])
  return {
    troupe: versionOf('troupe/package.json'),
    node: process.versions.node,
    'nats-server': server,
    ...Object.fromEntries(clients),
  }
}

const require = createRequire(import.meta.url)

function versionOf(packageFile: string): string {
  return (require(packageFile) as { readonly version: string }).version
}
