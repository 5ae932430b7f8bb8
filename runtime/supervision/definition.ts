/** Supervision trees as people write them: `supervisor(name, { … })`, `child(actor, { … })`. What they must be is in treeSpec.ts. */
import type { AnyActor } from '../actor.ts'
import { checkName } from '../broker/subjects.ts'
import { checkKeys, invalid } from '../checks.ts'
import type { Duration } from '../time/duration.ts'
import type { AutoShutdown, Restart, Strategy } from './decide.ts'

/** How a supervisor looks after its children. The semantics are those of Erlang/OTP's `supervisor`. */
export interface SupervisorOptions {
  /**
   * Whom the failure of a child concerns. `one_for_one` (default): the child alone. `one_for_all`: all children are stopped and
   * started again. `rest_for_one`: those that were started after it are stopped, and started again with it.
   */
  readonly strategy?: Strategy
  /** Most restarts within `within`; with one more the supervisor stops all and gives up. Default 20; 0: none. */
  readonly restarts?: number
  /** Default 60 s. */
  readonly within?: Duration
  /** Wait before a restart. Default from 200 ms, doubled with each failure in a row, to 30 s. `false`: none, as in OTP. */
  readonly backoff?: BackoffOptions | false
  /** Whether the supervisor ends when significant children have ended. Default `never`. */
  readonly autoShutdown?: AutoShutdown
  /** Actors, supervisors, and either of them with options by `child(…)`, in the order of their start. */
  readonly children: readonly ChildInput[]
}

export interface BackoffOptions {
  /** The first wait. Default 200 ms. */
  readonly base?: Duration
  /** Each further wait is this many times the one before. Default 2. */
  readonly factor?: number
  /** The longest wait. Default 30 s, or `base` where that is longer. */
  readonly max?: Duration
  /** Share by which chance shortens or lengthens a wait: 0 to 1. Default 0.2. */
  readonly jitter?: number
  /** A child that ran for so long has calmed down: its next failure waits `base` again. Default as `max`. */
  readonly resetAfter?: Duration
}

export interface ChildOptions {
  /** `permanent` (default): always restarted. `transient`: unless it ended as it should. `temporary`: never. */
  readonly restart?: Restart
  /** Time that its running handlers get when it is stopped. Default `shutdown.within`; of a supervisor: that of its children. */
  readonly stopWithin?: Duration
  /** Its end may end its supervisor, by `autoShutdown`; not for permanent children. Default false. */
  readonly significant?: boolean
}

export interface SupervisorDefinition {
  readonly [SUPERVISOR]: true
  readonly name: string
  readonly options: SupervisorOptions
}

export interface ChildDefinition {
  readonly [CHILD]: true
  readonly what: AnyActor | SupervisorDefinition
  readonly options: ChildOptions
}

export type ChildInput = AnyActor | SupervisorDefinition | ChildDefinition

const SUPERVISOR = Symbol.for('troupe.supervisor')
const CHILD = Symbol.for('troupe.child')

/** A supervisor as a child of another one. Its options are checked when the tree is put together (`createSystem`, `run`). */
export function supervisor(name: string, options: SupervisorOptions): SupervisorDefinition {
  checkName(name, 'supervisor')
  if (typeof options !== 'object' || options === null) throw invalid(name, 'options with children', options)
  return Object.freeze({ [SUPERVISOR]: true as const, name, options })
}

/** An actor or a supervisor with options as a child. Throws `ConfigError` `INVALID_OPTION`. */
export function child(what: AnyActor | SupervisorDefinition, options: ChildOptions): ChildDefinition {
  if (typeof options !== 'object' || options === null)
    throw invalid('child', 'an actor or supervisor, and options', options)
  checkKeys(options, ['restart', 'stopWithin', 'significant'], 'child')
  return Object.freeze({ [CHILD]: true as const, what, options })
}

export function isSupervisor(value: unknown): value is SupervisorDefinition {
  return typeof value === 'object' && value !== null && SUPERVISOR in value
}

export function isChild(value: unknown): value is ChildDefinition {
  return typeof value === 'object' && value !== null && CHILD in value
}

/** All actors in it, also those of supervisors below. */
export function actorsIn(input: ChildInput): AnyActor[] {
  if (isChild(input)) return actorsIn(input.what)
  return isSupervisor(input) ? input.options.children.flatMap(actorsIn) : [input]
}
