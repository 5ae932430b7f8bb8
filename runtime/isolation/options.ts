/** Where an actor's handlers run, as people write it, checked and with its defaults. */
import { ConfigError, describe, didYouMean } from '../errors.ts'
import { parseSize, type Size } from '../size.ts'
import { parseDuration, type Duration } from '../time/duration.ts'
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
const KINDS: readonly unknown[] = ['inline', 'thread', 'process']
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
  const given = typeof isolate === 'string' ? { kind: isolate } : record(isolate, `${name}.isolate`, ISOLATE_KEYS)
  const { kind, workers, spares, execArgv, connection = false } = given as IsolateOptions
  if (!KINDS.includes(kind)) throw invalid(`${name}.isolate`, 'inline, thread or process', kind)
  if (kind === 'inline') return inline(name, { memoryLimit, recycle })
  if (typeof connection !== 'boolean') throw invalid(`${name}.isolate.connection`, 'true or false', connection)
  return {
    kind,
    module: moduleUrl(name, module, caller),
    workers: count(workers, `${name}.isolate.workers`, 1),
    spares: count(spares, `${name}.isolate.spares`, 0),
    execArgv: flags(execArgv, `${name}.isolate.execArgv`),
    connection,
    memoryLimitBytes: memoryLimit === undefined ? undefined : parseSize(memoryLimit, `${name}.memoryLimit`),
    recycle: recycleRule(recycle, `${name}.recycle`),
  }
}

/** What only threads and processes can hold is refused: a limit that is not kept is worse than none. */
function inline(name: string, only: { readonly memoryLimit: unknown; readonly recycle: unknown }): undefined {
  const key = Object.entries(only).find(([, value]) => value !== undefined)?.[0]
  if (key === undefined) return undefined
  throw invalid(
    `${name}.isolate`,
    `thread or process where ${key} is given, since inline code can't be ended`,
    'inline',
  )
}

function moduleUrl(name: string, module: unknown, caller: () => string | undefined): string {
  const given = module instanceof URL ? module.href : module
  const url = given === undefined ? caller() : typeof given === 'string' ? fileUrl(given) : undefined
  if (url !== undefined) return url
  const what = 'the URL or absolute path of the module that exports the actor, as in module: import.meta.url'
  throw invalid(`${name}.module`, what, given)
}

function recycleRule(recycle: unknown, name: string): RecycleRule | undefined {
  if (recycle === undefined) return undefined
  const { afterMessages, aboveMemory, atAge, jitter = 0.1 } = record(recycle, name, RECYCLE_KEYS) as RecycleOptions
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) {
    throw invalid(`${name}.jitter`, 'a number from 0 to 1', jitter)
  }
  return {
    afterMessages: count(afterMessages, `${name}.afterMessages`, 1),
    aboveBytes: aboveMemory === undefined ? undefined : parseSize(aboveMemory, `${name}.aboveMemory`),
    atAgeMs: atAge === undefined ? undefined : parseDuration(atAge, `${name}.atAge`),
    jitter,
  }
}

function record(value: unknown, name: string, keys: readonly string[]): object {
  if (typeof value !== 'object' || value === null) throw invalid(name, `an object with ${keys.join(', ')}`, value)
  const wrong = Object.keys(value).find((key) => !keys.includes(key))
  if (wrong !== undefined) throw invalid(name, `made of ${keys.join(', ')}`, wrong, didYouMean(wrong, keys))
  return value
}

function count(value: unknown, name: string, from: number): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= from) return value
  throw invalid(name, `a whole number from ${from}`, value)
}

function flags(value: unknown, name: string): readonly string[] | undefined {
  if (value === undefined || (Array.isArray(value) && value.every((flag) => typeof flag === 'string'))) return value
  throw invalid(name, "a list of Node's flags, such as ['--expose-gc']", value)
}

function invalid(name: string, expected: string, got: unknown, hint = ''): ConfigError {
  return new ConfigError('INVALID_OPTION', `expected ${name} to be ${expected}, got: ${describe(got)}${hint}`, {
    data: { name },
  })
}
