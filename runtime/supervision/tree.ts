/** A supervision tree as it is told: over NATS, by `troupe tree`, to programs. */
import type { Failure } from '../errors.ts'
import type { MemberInfo } from '../isolation/pool.ts'
import type { Restart, Strategy } from './decide.ts'

/** `waiting`: it failed, and is started again when its wait is over. `stopped`: it was stopped by hand, or ended as it should. */
export type ChildState = 'starting' | 'running' | 'stopping' | 'waiting' | 'stopped'

export interface TreeNode {
  /** Name of the actor or supervisor. */
  readonly id: string
  readonly kind: 'worker' | 'supervisor'
  readonly state: ChildState
  readonly restart: Restart
  readonly significant: boolean
  /** How often it was started again, whatever the reason. */
  readonly restarts: number
  /** Since when it runs: ms. */
  readonly upMs?: number
  /** Until it is started again: ms. */
  readonly dueInMs?: number
  /** Why it failed last. */
  readonly failure?: Failure
  /** Of a worker that runs: messages that it may run at once, that run, and that were fetched and not begun. */
  readonly work?: { readonly concurrency: number; readonly running: number; readonly buffered: number }
  /** Of an isolated actor that runs: its threads or processes. */
  readonly members?: readonly MemberInfo[]
  /** Of a supervisor that runs. */
  readonly strategy?: Strategy
  readonly children?: readonly TreeNode[]
}

/** A system's answer to the control verb `tree`. */
export interface SystemTree {
  readonly system: string
  readonly pid: number
  /** Since when the process runs: ms. */
  readonly upMs: number
  /** Of the root. */
  readonly strategy: Strategy
  readonly children: readonly TreeNode[]
}

/** A system's answer to `restart`, `stop` and `start`. */
export interface ChildAnswer {
  readonly name: string
  readonly state: ChildState
}

/** The names in a tree. */
export function namesOf(nodes: readonly TreeNode[]): string[] {
  return nodes.flatMap(({ id, children = [] }) => [id, ...namesOf(children)])
}
