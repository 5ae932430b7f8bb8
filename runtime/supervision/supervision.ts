/** The supervision tree of a system, as programs and operators see it and act on it: by the names of actors and supervisors. */
import { invalid } from '../checks.ts'
import type { Roster } from '../roster.ts'
import type { Strategy } from './decide.ts'
import { childNotFound } from './failures.ts'
import type { Supervisor } from './supervisor.ts'
import { namesOf, type ChildState, type TreeNode } from './tree.ts'

/** How many messages an actor ran at once, and runs now. */
export interface Scaled {
  readonly from: number
  readonly to: number
}

const MOST = 100_000

export class Supervision {
  readonly #root: Supervisor
  readonly #roster: Roster
  readonly #scale: (actor: string, size: number) => Scaled

  constructor(root: Supervisor, roster: Roster, scale: (actor: string, size: number) => Scaled) {
    this.#root = root
    this.#roster = roster
    this.#scale = scale
  }

  /** Of the root. */
  get strategy(): Strategy {
    return this.#root.strategy
  }

  /** The children of the root, as they are now. */
  tree(): TreeNode[] {
    return this.#root.tree().map((node) => this.#withWork(node))
  }

  /** Stops an actor or supervisor, gracefully, and starts it anew. Throws `ActorError` `NO_CHILD`. */
  restart(name: string): Promise<ChildState> {
    return this.#at(name, (above) => above.restart(name))
  }

  /** Stops it, gracefully, until it is started or its group is restarted. Throws `ActorError` `NO_CHILD`. */
  stop(name: string): Promise<ChildState> {
    return this.#at(name, (above) => above.stopChild(name))
  }

  /** Starts what was stopped or has ended. Throws `ActorError` `NO_CHILD`, and what its start throws. */
  start(name: string): Promise<ChildState> {
    return this.#at(name, (above) => above.startChild(name))
  }

  /**
   * Lets an actor run so many messages at once from now on, also after its restarts; of threads and processes there are as many as that
   * needs. One that is autoscaled goes on from there, within its bounds. Throws `ActorError` `NO_CHILD`, `ConfigError` `INVALID_OPTION`.
   */
  scale(actor: string, size: number): Scaled {
    if (!this.#roster.present.has(actor)) throw childNotFound(actor, [...this.#roster.present.keys()])
    if (!Number.isInteger(size) || size < 1 || size > MOST)
      throw invalid('the size', `a whole number from 1 to ${MOST}`, size)
    return this.#scale(actor, size)
  }

  async #at(name: string, act: (above: Supervisor) => Promise<void>): Promise<ChildState> {
    const above = this.#root.find(name)
    if (above === undefined) throw childNotFound(name, namesOf(this.#root.tree()))
    await act(above)
    // A temporary child that was stopped is forgotten.
    return above.find(name) === undefined ? 'stopped' : above.stateOf(name)
  }

  #withWork(node: TreeNode): TreeNode {
    if (node.children !== undefined) return { ...node, children: node.children.map((child) => this.#withWork(child)) }
    const hosted = node.state === 'running' ? this.#roster.of(node.id) : undefined
    if (hosted === undefined) return node
    const { concurrency, running, buffered } = hosted.worker
    const work = { concurrency, running: running.length, buffered }
    return { ...node, work, ...(hosted.members.length === 0 ? {} : { members: hosted.members }) }
  }
}
