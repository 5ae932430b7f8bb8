/** Whose actors they are: name and version of the project, and the version of Troupe. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Application {
  readonly name: string
  readonly version: string
}

/** As the project's package.json says; without one it is nameless, and its version 0.0.0. */
export async function applicationOf(root: string): Promise<Application> {
  const text = await readFile(join(root, 'package.json'), 'utf8').catch(() => '{}')
  const { name, version } = readPackage(text)
  return {
    name: typeof name === 'string' ? name : 'unnamed',
    version: typeof version === 'string' ? version : '0.0.0',
  }
}

/** Troupe's own version: `0.1.0`. */
export function troupeVersion(): string {
  return (troupe ??= (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version)
}

let troupe: string | undefined

/** Somebody may be writing it: a file that is no JSON says nothing. */
function readPackage(text: string): { name?: unknown; version?: unknown } {
  try {
    return (JSON.parse(text) as { name?: unknown; version?: unknown } | null) ?? {}
  } catch {
    return {}
  }
}
