/** The name of each setting as an environment variable and as a flag, and the nearest right one to a wrong one. */
import { nearest } from '../runtime/errors.ts'
import { leaves, type Leaf } from './schema.ts'

const words = (key: string): string[] =>
  key
    .replaceAll(/([a-z])([A-Z])/g, '$1.$2')
    .toLowerCase()
    .split('.')

/** `nats.connectTimeout` → `TROUPE_NATS_CONNECT_TIMEOUT`. */
export const envName = (key: string): string => `TROUPE_${words(key).join('_').toUpperCase()}`

/** `nats.connectTimeout` → `nats-connect-timeout`, without the dashes in front. */
export const flagName = (key: string): string => words(key).join('-')

/** The setting with this key path. */
export const leafByKey: ReadonlyMap<string, Leaf> = new Map(leaves.map((leaf) => [leaf.key, leaf]))

/** The setting of this environment variable. */
export const leafByEnv: ReadonlyMap<string, Leaf> = new Map(leaves.map((leaf) => [envName(leaf.key), leaf]))

/** The setting of this flag. */
export const leafByFlag: ReadonlyMap<string, Leaf> = new Map(leaves.map((leaf) => [flagName(leaf.key), leaf]))

const last = (key: string): string => key.split('.').at(-1) ?? key

/**
 * The nearest right key to a wrong one: among all key paths, and where none is near, one that ends in what was written,
 * so that `servers` finds `nats.servers`, and `leaseMs` finds `mailbox.lease`.
 */
export function nearestKey(wrong: string): string | undefined {
  const near = nearest(wrong, leafByKey.keys())
  if (near !== undefined) return near
  const word = nearest(
    last(wrong).replace(/Ms$/, ''),
    leaves.map(({ key }) => last(key)),
  )
  return leaves.find(({ key }) => last(key) === word)?.key
}

/** The same of environment variables: one that ends in what was written first, since by its letters `TROUPE_SERVERS` is nearer to `TROUPE_SENDER`. */
export function nearestEnv(wrong: string): string | undefined {
  const known = [...leafByEnv.keys()]
  const ending = wrong.slice('TROUPE'.length)
  return known.find((name) => name.endsWith(ending)) ?? nearest(wrong, known)
}

/** The settings as `parseArgs` of `node:util` wants to know them. */
export function flagOptions(): Record<string, { type: 'string' | 'boolean' }> {
  return Object.fromEntries(
    leaves.map(({ key, setting }) => [flagName(key), { type: setting.kind.isSwitch ? 'boolean' : 'string' }]),
  )
}
