/**
 * What handlers need that is opened and closed: a database pool, a browser, a model in memory.
 *
 *     const db = resource({ open: () => new Pool(), close: (pool) => pool.end() })
 *     defineActor('mailer', { resources: { db }, messages: { welcome: async (payload, ctx) => ctx.resources.db.query(…) } })
 *
 * A resource is opened when the first actor that names it starts in this process (or thread, or child process: where the handlers run),
 * shared by all that name the same one, and closed when the last of them has stopped.
 *
 * Race rules: who comes while it is being opened waits for the same opening, and fails with it; who comes while it is being closed
 * waits for that, since there may be only one (a port, a lock), and opens it anew. An opening that failed is not kept.
 */
import { checkKeys, invalid } from './checks.ts'

export interface ResourceOptions<T> {
  /** Opens it. Where it throws, the actor can't start: that is told, and tried again with a growing wait. */
  open(): T | Promise<T>
  /** Closes it, after the last handler that may use it has ended. */
  close?(value: NoInfer<T>): unknown
}

export interface Resource<T> {
  readonly [RESOURCE]: ResourceOptions<T>
}

/** Resources by the name under which handlers find them. */
export type ResourceMap = Readonly<Record<string, Resource<unknown>>>

/** What handlers find in `ctx.resources`. */
export type ResourcesOf<M> = { readonly [K in keyof M]: M[K] extends Resource<infer T> ? T : never }

const RESOURCE = Symbol.for('troupe.resource')

/** Something that is opened before handlers run and closed after them. Throws `ConfigError` `INVALID_OPTION`. */
export function resource<T>(options: ResourceOptions<T>): Resource<T> {
  if (typeof options !== 'object' || options === null) throw invalid('resource', 'an object with open', options)
  checkKeys(options, ['open', 'close'], 'resource')
  const given: Record<string, unknown> = { close: () => {}, ...options }
  const wrong = ['open', 'close'].find((key) => typeof given[key] !== 'function')
  if (wrong !== undefined) throw invalid(`resource.${wrong}`, 'a function', given[wrong])
  return Object.freeze({ [RESOURCE]: options })
}

export function isResource(value: unknown): value is Resource<unknown> {
  return typeof value === 'object' && value !== null && RESOURCE in value
}

interface Open {
  readonly value: Promise<unknown>
  users: number
}

const open = new Map<Resource<unknown>, Open>()
const closing = new Map<Resource<unknown>, Promise<void>>()

/** Its value, opened if nobody has it. `release` follows, unless this rejects. */
export async function acquire(from: Resource<unknown>): Promise<unknown> {
  while (closing.has(from)) await closing.get(from)
  const known = open.get(from)
  const entry = known ?? { value: Promise.resolve().then(() => from[RESOURCE].open()), users: 0 }
  if (known === undefined) open.set(from, entry)
  entry.users++
  try {
    return await entry.value
  } catch (error) {
    if (open.get(from) === entry) open.delete(from)
    throw error
  }
}

/** Closes it where nobody else has it. Rejects with what `close` throws; it is gone all the same. */
export async function release(from: Resource<unknown>): Promise<void> {
  const entry = open.get(from)
  if (entry === undefined || --entry.users > 0) return
  open.delete(from)
  const closed = entry.value.then(async (value) => void (await from[RESOURCE].close?.(value)))
  const gone = closed.catch(() => {}).then(() => void closing.delete(from))
  closing.set(from, gone)
  await closed
}
