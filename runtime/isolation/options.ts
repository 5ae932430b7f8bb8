/** Where an actor's handlers run, as people write it, checked and with its defaults. */
import { checkKeys, count, invalid, oneOf, positive } from '../checks.ts'
import { parseSize, type Size } from '../size.ts'
import type { Duration } from '../time/duration.ts'
import { fileUrl } from './callSite.ts'

/**
 * Where handlers run. `inline`: on this process's event loop; code that hangs can't be ended. `thread`: in threads of this
 * process, each with a heap of its own. `process`: in child processes, which nothing of a handler's can outlive.
 */
export type IsolationKind = 'inline' | 'thread' | 'process'

export interface IsolateOptions {
  kind: IsolationKind
  /** Threads or processes. Default: `concurrency`, so that each runs one message at a time, and blame, memory and kill are exact. */
  workers?: number
  /** More of them that are ready for when one dies. Default: 1 where starting one took over 300 ms, else 0. */
  spares?: number
  /** Node's own flags for them. Default: those of this process that say how modules are loaded (`--import`, `--conditions`, …). */
  execArgv?: readonly string[]
  /** Give each a NATS connection of its own, for `ctx.connection`. Default false: sending needs none. */
  connection?: boolean
}

/** When a thread or process is replaced, one at a time, its successor being ready first. */
export interface RecycleOptions {
  /** After so many messages. */
  afterMessages?: number
  /** When it holds more memory than this after a message. */
  aboveMemory?: Size
  /** At that age. */
  atAge?: Duration
  /** Share of `afterMessages` and `atAge` by which chance shortens them, so that they don't all come at once: 0 to 1. Default 0.1. */
  jitter?: number
}

/** The options of an actor that concern isolation. */
export interface IsolationOptions {
  /** Where handlers run. Default `inline`. */
  isolate?: IsolationKind | IsolateOptions
  /** Most memory of one thread (its heap) or one process (all of it). Above it ends, and the message counts a crash. Default: no limit. */
  memoryLimit?: Size
  /** When threads or processes are replaced. Default: never. */
  recycle?: RecycleOptions
  /** URL or path of the module that exports this actor, which threads and processes load. Default: where `defineActor` is called. */
  module?: string | URL
}

export interface RecycleRule {
  readonly afterMessages: number | undefined
  readonly aboveBytes: number | undefined
  readonly atAgeMs: number | undefined
  readonly jitter: number
}

/** An isolated actor's options, checked. */
export interface Isolation {
  readonly kind: Exclude<IsolationKind, 'inline'>
  /** URL of the module that exports the actor. */
  readonly module: string
  readonly workers: number | undefined
  readonly spares: number | undefined
  readonly execArgv: readonly string[] | undefined
  readonly connection: boolean
  readonly memoryLimitBytes: number | undefined
  readonly recycle: RecycleRule | undefined
}

export const ISOLATION_KEYS = ['isolate', 'memoryLimit', 'recycle', 'module'] as const
const KINDS: readonly IsolationKind[] = ['inline', 'thread', 'process']
const ISOLATE_KEYS = ['kind', 'workers', 'spares', 'execArgv', 'connection']
const RECYCLE_KEYS = ['afterMessages', 'aboveMemory', 'atAge', 'jitter']

/**
 * Reads the options of actor `name`; undefined for `inline`. `caller` finds the module where none is named.
 *
 * @throws ConfigError `INVALID_OPTION`
 */
export function resolveIsolation(
  name: string,
  { isolate = 'inline', memoryLimit, recycle, module }: IsolationOptions,
  caller: () => string | undefined,
): Isolation | undefined {
  const path = `${name}.isolate`
  const given = typeof isolate === 'string' ? { kind: isolate } : record<IsolateOptions>(isolate, path, ISOLATE_KEYS)
  const kind = oneOf(given.kind, KINDS, path)
  if (kind === 'inline') return inline(path, { memoryLimit, recycle })
  const { workers, spares, execArgv, connection = false } = given
  if (typeof connection !== 'boolean') throw invalid(`${path}.connection`, 'true or false', connection)
  return {
    kind,
    module: moduleUrl(`${name}.module`, module, caller),
    workers: count(workers, `${path}.workers`),
    spares: count(spares, `${path}.spares`, 0),
    execArgv: flags(execArgv, `${path}.execArgv`),
    connection,
    memoryLimitBytes: memoryLimit === undefined ? undefined : parseSize(memoryLimit, `${name}.memoryLimit`),
    recycle: recycleRule(recycle, `${name}.recycle`),
  }
}

/** What only threads and processes can hold is refused: a limit that is not kept is worse than none. */
function inline(path: string, only: { readonly memoryLimit: unknown; readonly recycle: unknown }): undefined {
  const key = Object.entries(only).find(([, value]) => value !== undefined)?.[0]
  if (key === undefined) return undefined
  throw invalid(path, `thread or process where ${key} is given, since inline code can't be ended`, 'inline')
}

function moduleUrl(path: string, module: unknown, caller: () => string | undefined): string {
  const given = module instanceof URL ? module.href : module
  const url = given === undefined ? caller() : typeof given === 'string' ? fileUrl(given) : undefined
  if (url !== undefined) return url
  const what = 'the URL or absolute path of the module that exports the actor, as in module: import.meta.url'
  throw invalid(path, what, given)
}

function recycleRule(recycle: RecycleOptions | undefined, path: string): RecycleRule | undefined {
  if (recycle === undefined) return undefined
  const given = record<RecycleOptions>(recycle, path, RECYCLE_KEYS)
  const { afterMessages, aboveMemory, atAge, jitter = 0.1 } = given
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) {
    throw invalid(`${path}.jitter`, 'a number from 0 to 1', jitter)
  }
  return {
    afterMessages: count(afterMessages, `${path}.afterMessages`),
    aboveBytes: aboveMemory === undefined ? undefined : parseSize(aboveMemory, `${path}.aboveMemory`),
    atAgeMs: positive(atAge, `${path}.atAge`),
    jitter,
  }
}

function record<T extends object>(value: T, path: string, keys: readonly string[]): T {
  if (typeof value !== 'object' || value === null) throw invalid(path, `an object with ${keys.join(', ')}`, value)
  checkKeys(value, keys, path)
  return value
}

function flags(value: unknown, path: string): readonly string[] | undefined {
  if (value === undefined || (Array.isArray(value) && value.every((flag) => typeof flag === 'string'))) return value
  throw invalid(path, "a list of Node's flags, such as ['--expose-gc']", value)
}
