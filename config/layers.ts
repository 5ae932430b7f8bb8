/**
 * Where values come from. A layer is all that one place says (the file, the environment, the flags, a program's options), by key path,
 * with what is wrong about its keys.
 */
import { describe, nearest } from '../runtime/errors.ts'
import { envName, flagName, leafByEnv, leafByFlag, leafByKey, nearestEnv, nearestKey } from './names.ts'
import { isSetting, leaves, schema, type Node } from './schema.ts'

/** Something wrong, in words, with the key and the place that it came from. */
export interface Problem {
  readonly key: string
  readonly source: string
  readonly text: string
}

/** A value somebody gave, as it was written, and where. */
export interface Given {
  readonly value: unknown
  /** `env TROUPE_NAMESPACE`, `file troupe.config.ts`, `flag --namespace`, `option`, `default`. */
  readonly source: string
  /** Folder that relative paths start from. */
  readonly base: string
}

export interface Layer {
  readonly given: ReadonlyMap<string, Given>
  readonly problems: readonly Problem[]
  readonly warnings: readonly string[]
}

/** The layer of an object of settings: a configuration file's, or a program's options. */
export function objectLayer(input: unknown, source: string, base: string): Layer {
  const given = new Map<string, Given>()
  const problems: Problem[] = []
  const walk = (node: Node, value: unknown, key: string): void => {
    if (value === undefined) return
    if (isSetting(node)) given.set(key, { value, source, base })
    else if (!isPlain(value)) problems.push(noGroup(node, value, key, source))
    else {
      for (const [name, child] of Object.entries(value)) {
        const path = key === '' ? name : `${key}.${name}`
        const next = Object.hasOwn(node, name) ? node[name] : undefined
        if (next) walk(next, child, path)
        else if (child !== undefined) problems.push(unknownKey(path, source))
      }
    }
  }
  walk(schema, input, '')
  return { given, problems, warnings: [] }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function noGroup(node: object, value: unknown, key: string, source: string): Problem {
  const names = Object.keys(node).slice(0, 4).join(', ')
  // A password may have been written one level too high: the value is not shown.
  const got = typeof value === 'object' ? describe(value === null ? null : 'a list') : `a ${typeof value}`
  const what = key === '' ? 'the configuration' : key
  return { key, source, text: `expected ${what} to be an object with settings (${names}, …), got: ${got}` }
}

function unknownKey(key: string, source: string): Problem {
  const near = nearestKey(key)
  const hint = near === undefined ? '' : `, did you mean ${JSON.stringify(near)}?`
  return { key, source, text: `expected a known setting, got: ${JSON.stringify(key)}${hint}` }
}

/** The layer of the environment. An empty variable counts as unset; an unknown one is a warning, for it may be meant for another version. */
export function envLayer(env: NodeJS.ProcessEnv, base: string): Layer {
  const given = new Map<string, Given>()
  for (const { key, setting } of leaves) {
    const text = env[envName(key)]
    if (text === undefined || text === '') continue
    given.set(key, { value: setting.kind.fromText(text), source: `env ${envName(key)}`, base })
  }
  const unknown = Object.keys(env).filter((name) => name.startsWith('TROUPE_') && !isKnownEnv(name))
  return { given, problems: [], warnings: unknown.map(unknownEnv) }
}

/** Names the configuration file, and is no setting itself. */
export const FILE_VARIABLE = 'TROUPE_CONFIG'

function isKnownEnv(name: string): boolean {
  return leafByEnv.has(name) || name === FILE_VARIABLE || name.startsWith('TROUPE_TEST_')
}

function unknownEnv(name: string): string {
  const near = nearestEnv(name)
  return `unknown environment variable ${name}${near === undefined ? '' : `, did you mean ${near}?`}`
}

/** The layer of the flags, by name (`nats-servers`) or by key path (`nats.servers`). */
export function flagLayer(flags: Readonly<Record<string, unknown>>, base: string): Layer {
  const given = new Map<string, Given>()
  const problems: Problem[] = []
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue
    const leaf = leafByFlag.get(name) ?? leafByKey.get(name)
    if (leaf === undefined) problems.push(unknownFlag(name))
    else {
      const read = typeof value === 'string' ? leaf.setting.kind.fromText(value) : value
      given.set(leaf.key, { value: read, source: `flag --${flagName(leaf.key)}`, base })
    }
  }
  return { given, problems, warnings: [] }
}

function unknownFlag(name: string): Problem {
  const near = nearest(name, leafByFlag.keys()) ?? nearestKey(name)
  const hint = near === undefined ? '' : `, did you mean "--${flagName(near)}"?`
  return { key: name, source: `flag --${name}`, text: `expected a known flag, got: "--${name}"${hint}` }
}
