/** The supervision tree of a system, as programs and operators see it and act on it: by the names of actors and supervisors. */
import type { Roster } from '../roster.ts'
import type { Strategy } from './decide.ts'
import { childNotFound } from './failures.ts'
import type { Supervisor } from './supervisor.ts'
import { namesOf, type ChildState, type TreeNode } from './tree.ts'

export class Supervision {
  readonly #root: Supervisor
  readonly #roster: Roster

  constructor(root: Supervisor, roster: Roster) {
    this.#root = root
    this.#roster = roster
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

  async #at(name: string, act: (above: Supervisor) => Promise<void>): Promise<ChildState> {
    const above = this.#root.find(name)
    if (above === undefined) throw childNotFound(name, namesOf(this.#root.tree()))
    await act(above)
    // A temporary child that was stopped is forgotten.
    return above.find(name) === undefined ? 'stopped' : above.stateOf(name)
  }

  #withWork(node: TreeNode): TreeNode {
    if (node.children !== undefined) return { ...node, children: node.children.map((child) => this.#withWork(child)) }
    const worker = node.state === 'running' ? this.#roster.of(node.id)?.worker : undefined
    if (worker === undefined) return node
    const { settings, running, buffered } = worker
    return { ...node, work: { concurrency: settings.concurrency, running: running.length, buffered } }
  }
}
