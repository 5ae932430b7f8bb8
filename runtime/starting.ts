/** From options to a system that runs: `run`, `createSystem`. What it is made of, and in which order it starts, is in system.ts. */
import { loadConfig, type Config } from '../config/index.ts'
import { applicationOf } from './application.ts'
import { toError } from './errors.ts'
import { checkMayRun } from './isolation/inside/forbidden.ts'
import { declarationsOf } from './schedules/declaring.ts'
import { rootCause } from './supervision/failures.ts'
import { actorsOf } from './supervision/treeSpec.ts'
import { System } from './system.ts'
import { configOf, treeOf, type HostOptions, type RunOptions, type SystemOptions } from './systemOptions.ts'
import type { Duration } from './time/duration.ts'
import { linkTo, type ConnectOptions } from './troupe.ts'

/** A system that was planned and not started yet. */
export interface PlannedSystem extends AsyncDisposable {
  /** Starts it, once; resolves when its workers pull. Throws `ConfigError`, `UnavailableError`, `BrokerError`, and what a worker's start throws. */
  start(): Promise<System>
  /** Stops it, also while it starts. See `System.stop`. */
  stop(options?: { within?: Duration }): Promise<void>
}

/** Plans a system from its supervision tree. Throws `ConfigError` (`INVALID_OPTION`, `NOT_AN_ACTOR`) at once where the tree is none. */
export function createSystem(options: SystemOptions): PlannedSystem {
  treeOf(options)
  let started: Promise<System> | undefined
  const start = (): Promise<System> => (started ??= run(options))
  const stop: PlannedSystem['stop'] = async (how) => (await started?.catch(() => undefined))?.stop(how)
  return { start, stop, [Symbol.asyncDispose]: stop }
}

/** Starts a system and resolves when its workers pull. Throws what `PlannedSystem.start` throws. */
export async function run(options: RunOptions | SystemOptions): Promise<System> {
  treeOf(options)
  const { config, root } = await loadConfig({ overrides: configOf(options) })
  return startSystem(config, root, options)
}

type StartOptions = HostOptions &
  Pick<ConnectOptions, 'sending'> &
  (Pick<RunOptions, 'actors'> | Pick<SystemOptions, 'supervise'>)

/** The same from a configuration that was loaded already; `open` for who needs to hold the link too. */
export async function startSystem(config: Config, root: string, options: StartOptions, open = linkTo): Promise<System> {
  checkMayRun()
  const tree = treeOf(options)
  const declarations = await declarationsOf(actorsOf(tree), config.schedules)
  const link = await open(config, root, options.sending)
  const application = await applicationOf(root)
  const version = config.version ?? application.version
  const system = new System(link, tree, options, { ...application, version })
  try {
    await system.start()
    await system.declare(declarations)
  } catch (error) {
    await system.stop({ within: 0 }).catch(() => {})
    throw rootCause(toError(error))
  }
  return system
}
