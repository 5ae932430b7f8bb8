/** Options of systems, as people write them. */
import { invalid } from './checks.ts'
import type { MessageEvents } from './events.ts'
import type { Middleware } from './flow/middleware.ts'
import type { Logger } from './log.ts'
import type { Until } from './onceAndOut.ts'
import type { ChildInput, SupervisorOptions } from './supervision/definition.ts'
import { treeSpec, type SupervisorSpec } from './supervision/treeSpec.ts'
import type { System } from './system.ts'
import type { Clock } from './time/clock.ts'
import type { Duration } from './time/duration.ts'
import { overridesOf, type ConnectOptions } from './troupe.ts'

/** How a system runs its actors, besides what the configuration says. */
export interface HostOptions {
  /** Wrapped around every handler, the first outermost. */
  middleware?: readonly Middleware[]
  /** Called when it is connected, before the first actor is started. Where it throws, the system does not start. */
  onStart?: (system: System) => unknown
  /** Called when all actors have stopped and their resources are closed, while it is still connected. */
  onStop?: (system: System) => unknown
  /** Values that stand for what actors would open under these names in their `resources`: for tests, and for what a program has already. */
  resources?: Readonly<Record<string, unknown>>
  /** SIGTERM and SIGINT drain, a second one aborts. Default true. */
  signals?: boolean
  /** When the system ends by itself. Default never. */
  until?: Until
  /** Between a run's signal and giving it up. Default 5 s. */
  grace?: Duration
  /** Where log lines go. Default: stderr, by `logLevel` and `logFormat`. */
  logger?: Logger
  /** The time that handlers see. Default: the machine's. */
  clock?: Clock
  /** Called for every event of a message in this process, whatever is published. */
  onEvent?: <K extends keyof MessageEvents>(event: K, data: MessageEvents[K]) => void
  /**
   * Called when the system could not go on and has stopped: its supervisors gave up, or the keeper of leases ended. Default: the process
   * ends with code 1, so that what runs it starts it anew.
   */
  onGiveUp?: (error: Error) => void
}

export interface RunOptions extends Omit<ConnectOptions, 'actors'>, HostOptions {
  /** What to run: actors, and supervisors with theirs. Each is restarted for itself (`one_for_one`, with its defaults). */
  actors: readonly ChildInput[]
}

export interface SystemOptions extends Omit<ConnectOptions, 'actors'>, HostOptions {
  /** The root of the supervision tree. When it gives up, the process ends with code 1. */
  supervise: SupervisorOptions
}

/** The tree that they ask for. Throws `ConfigError` `INVALID_OPTION`, `NOT_AN_ACTOR`. */
export function treeOf(options: Pick<RunOptions, 'actors'> | Pick<SystemOptions, 'supervise'>): SupervisorSpec {
  const { actors, supervise }: Partial<RunOptions & SystemOptions> = options
  if (actors !== undefined && supervise !== undefined)
    throw invalid('supervise', 'absent where actors are given: list them as its children', 'both')
  return treeSpec(supervise ?? { children: actors ?? [] })
}

/** What of them belongs to the configuration. */
export function configOf(options: RunOptions | SystemOptions): ReturnType<typeof overridesOf> {
  const own = new Set<string>(OWN)
  return overridesOf(Object.fromEntries(Object.entries(options).filter(([key]) => !own.has(key))))
}

const OWN: readonly (keyof RunOptions | keyof SystemOptions)[] = [
  'actors',
  'supervise',
  'middleware',
  'signals',
  'until',
  'grace',
  'logger',
  'clock',
  'onEvent',
  'onStart',
  'onStop',
  'resources',
  'onGiveUp',
]
