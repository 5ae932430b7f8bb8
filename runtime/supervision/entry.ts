/** A supervisor's record of one child: its present life, if it has one, and what is remembered of the earlier ones. */
import { toFailure } from '../errors.ts'
import type { Clock, Timer } from '../time/clock.ts'
import type { Child } from './child.ts'
import type { Member } from './decide.ts'
import type { ChildSpec } from './spec.ts'
import type { ChildState, TreeNode } from './tree.ts'

/** Children that are started together when a wait is over. */
export interface Plan {
  readonly entries: Set<Entry>
  /** Epoch ms. */
  readonly dueAt: number
  readonly timer: Timer
}

export class Entry {
  readonly spec: ChildSpec
  state: ChildState = 'stopped'
  /** Its present life. */
  child: Child | undefined
  plan: Plan | undefined
  /** Failed lives whose last runs still end. */
  readonly leaving = new Map<Child, Promise<void>>()
  /** Failures in a row without calm between them. */
  failures = 0
  /** How often it was begun. */
  lives = 0
  /** Why it failed last. */
  error: Error | undefined
  #upSince = { at: 0, monotonic: 0 }

  constructor(spec: ChildSpec) {
    this.spec = spec
  }

  get id(): string {
    return this.spec.id
  }

  beginLife(): Child {
    this.state = 'starting'
    this.lives++
    this.child = this.spec.make()
    return this.child
  }

  live(clock: Clock): void {
    this.state = 'running'
    this.#upSince = { at: clock.now(), monotonic: clock.monotonic() }
  }

  /** It ended by itself. Returns how long it ran: ms. */
  endLife(clock: Clock): number {
    this.end()
    return clock.monotonic() - this.#upSince.monotonic
  }

  end(): void {
    this.child = undefined
    this.state = 'stopped'
  }

  /** Lives that were told to stop. */
  stoppingLives(): Child[] {
    const own = this.state === 'stopping' && this.child !== undefined ? [this.child] : []
    return [...own, ...this.leaving.keys()]
  }

  await(plan: Plan): void {
    this.plan = plan
    this.state = 'waiting'
  }

  leavePlan(): void {
    if (this.plan === undefined) return
    this.plan = undefined
    this.state = 'stopped'
  }

  member(upMs: number): Member {
    const { id, restart, significant } = this.spec
    const state = this.state === 'waiting' ? 'waiting' : this.child === undefined ? 'stopped' : 'running'
    return { id, restart, significant, state, upMs, failures: this.failures }
  }

  describe(clock: Clock): TreeNode {
    const { id, kind, restart, significant } = this.spec
    const node = { id, kind, state: this.state, restart, significant, restarts: Math.max(0, this.lives - 1) }
    return {
      ...node,
      ...(this.state === 'running' ? { upMs: Math.round(clock.monotonic() - this.#upSince.monotonic) } : {}),
      ...(this.plan === undefined ? {} : { dueInMs: Math.max(0, Math.round(this.plan.dueAt - clock.now())) }),
      ...(this.error === undefined ? {} : { failure: toFailure(this.error) }),
    }
  }
}
