/**
 * A supervisor at work: starts its children in order, carries out what decide.ts decides when one ends, stops them in reverse.
 *
 * Owns: the children's lives and their order. Does not own: what is to be done when one ends (decide.ts), what a child is
 * (child.ts), what a tree may look like (spec.ts).
 *
 * Race rules
 * 1. One thing at a time: ends of children, restarts whose wait is over and requests run one after the other, in the order in
 *    which they came (OTP: the supervisor is one process). Waits are no turns: others go on meanwhile.
 * 2. An end counts for the life that ended, once. A child that is being stopped, or that lives anew, has none to count
 *    (OTP: unlink_flush/2).
 * 3. A second child that ends while a group is restarted waits for its turn: where the restart stopped it, rule 2 drops it;
 *    where it ended after it was started anew, that is a failure of its own.
 * 4. A decision takes over the waits of the children that it concerns: an earlier restart of them is void.
 * 5. Stop while a restart waits: nothing is started. Stop while a child starts: the signal of the start aborts, and what
 *    started all the same is stopped. A failure while all is stopped changes nothing.
 * 6. What is left of a failed life is stopped beside its restart: a run of minutes must not hold up the next life. It gets
 *    the child's time to stop. There are at most two such lives, and a group is started only when all of it has ended.
 * 7. A child that does not stop in its time and some more is given up and told: one that hangs must not hold up the others.
 */
import { random } from '../time/chance.ts'
import type { Clock } from '../time/clock.ts'
import { Ending, type Child, type Exit } from './child.ts'
import { decide, stopOrder, type Decision, type How, type Strategy, type SupervisorPolicy } from './decide.ts'
import { Entry, type Plan } from './entry.ts'
import { GaveUpError, StartError, childNotFound } from './failures.ts'
import { allGone, startLife, stopLife } from './lives.ts'
import type { Report, Told } from './report.ts'
import type { ChildSpec } from './spec.ts'
import type { ChildState, TreeNode } from './tree.ts'

export interface SupervisorHost {
  readonly clock: Clock
  /** Told of everything that happens, in order. Must not throw. */
  report(report: Report): void
}

type Restart = Extract<Decision, { kind: 'restart' }>

export class Supervisor implements Child {
  readonly name: string
  readonly #policy: SupervisorPolicy
  readonly #host: SupervisorHost
  readonly #entries: Entry[]
  readonly #ending = new Ending()
  readonly #over = new AbortController()
  #history: readonly number[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined
  /** Monotonic ms by which all is to have stopped. */
  #stopBy = Infinity

  constructor(name: string, policy: SupervisorPolicy, children: readonly ChildSpec[], host: SupervisorHost) {
    this.name = name
    this.#policy = policy
    this.#host = host
    this.#entries = children.map((spec) => new Entry(spec))
  }

  get strategy(): Strategy {
    return this.#policy.strategy
  }

  /** Resolves when it gave up or shut itself down; all its children have been stopped then. */
  get ended(): Promise<Exit> {
    return this.#ending.ended
  }

  /** Starts the children in order. Where one can't, those that started are stopped in reverse, and it rejects with `StartError`. */
  start(signal?: AbortSignal): Promise<void> {
    const cancel = signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal])
    return this.#inTurn(async () => {
      for (const entry of this.#entries) {
        const error = await this.#startEntry(entry, cancel)
        if (error === undefined) continue
        this.#tell({ kind: 'start-failed', child: entry.id, error, tries: 1 })
        await this.#stopAll()
        throw new StartError(this.name, entry.id, error)
      }
    })
  }

  /** Stops the children in reverse: each has its own time, and all together `withinMs`. Safe to call again: a shorter time is taken over. */
  stop(withinMs: number): Promise<void> {
    this.#stopBy = Math.min(this.#stopBy, this.#host.clock.monotonic() + withinMs)
    // What stops already, for a restart or since this was called before, has no more time than the rest.
    for (const entry of this.#entries) for (const life of entry.stoppingLives()) void life.stop(this.#leftMs)
    return (this.#stopping ??= this.#stop())
  }

  hurry(): void {
    for (const { child, leaving } of this.#entries) for (const life of [child, ...leaving.keys()]) life?.hurry?.()
  }

  /** Stops a child and starts it anew; where it can't start it is tried again, as after a failure. */
  restart(id: string): Promise<void> {
    return this.#request(id, async (entry) => {
      const { plan } = entry
      if (plan !== undefined) return this.#carryOut(plan)
      await this.#stopEntry(entry)
      await this.#startAgain(entry)
    })
  }

  /** Stops a child; it stays so until it is started, or its group is restarted. A temporary one is forgotten. */
  stopChild(id: string): Promise<void> {
    return this.#request(id, async (entry) => {
      this.#leavePlan(entry)
      await this.#stopEntry(entry)
      if (entry.spec.restart === 'temporary') this.#forget([id])
    })
  }

  /** Starts a child that was stopped or has ended. Rejects where it can't start: it stays stopped then (OTP: restart_child/2). */
  startChild(id: string): Promise<void> {
    return this.#request(id, async (entry) => {
      if (entry.plan !== undefined) return this.#carryOut(entry.plan)
      if (entry.state === 'running') return
      const error = await this.#startEntry(entry, this.#over.signal)
      if (error !== undefined) throw error
    })
  }

  /** The supervisor that has this child, below or here. */
  find(id: string): Supervisor | undefined {
    if (this.#entries.some((entry) => entry.id === id)) return this
    for (const { child } of this.#entries) {
      const found = child instanceof Supervisor ? child.find(id) : undefined
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Its children as they are now. */
  tree(): TreeNode[] {
    return this.#entries.map((entry) => ({
      ...entry.describe(this.#host.clock),
      ...(entry.child instanceof Supervisor ? { strategy: entry.child.strategy, children: entry.child.tree() } : {}),
    }))
  }

  /** How a child is now. */
  stateOf(id: string): ChildState {
    return this.#entry(id).state
  }

  // Turns (rule 1).

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  async #request(id: string, work: (entry: Entry) => Promise<void>): Promise<void> {
    this.#entry(id)
    await this.#inTurn(async () => {
      // Its end may have had its turn before.
      if (this.#stopping === undefined) await work(this.#entry(id))
    })
  }

  // Ends of children.

  #onEnded(entry: Entry, child: Child, exit: Exit): void {
    void this.#inTurn(async () => {
      // Rule 2.
      if (entry.child !== child || entry.state !== 'running' || this.#stopping !== undefined) return
      const upMs = entry.endLife(this.#host.clock)
      this.#bury(entry, child)
      if (exit.kind === 'failed') this.#tell({ kind: 'failed', child: entry.id, error: exit.error, upMs })
      else this.#tell({ kind: 'ended', child: entry.id, exit, upMs })
      await this.#decide(entry, exit.kind, upMs, exit.kind === 'normal' ? undefined : exit.error)
    })
  }

  async #decide(entry: Entry, how: How, upMs: number, error: Error | undefined): Promise<void> {
    const members = this.#entries.map((one) => one.member(one === entry ? upMs : 0))
    const now = this.#host.clock.monotonic()
    const decision = decide(this.#policy, members, this.#history, { id: entry.id, how }, now, random())
    if (error !== undefined) entry.error = error
    switch (decision.kind) {
      case 'leave':
        return this.#forget(decision.remove)
      case 'restart':
        return this.#prepare(entry, decision)
      case 'end':
        return this.#end(entry, decision.because, error)
      default:
        return decision satisfies never
    }
  }

  async #prepare(entry: Entry, decision: Restart): Promise<void> {
    const { stop, remove, start, afterMs, failures } = decision
    this.#history = decision.history
    entry.failures = failures
    const { strategy } = this.#policy
    this.#tell({ kind: 'restarting', child: entry.id, strategy, stop, start, afterMs, restarts: this.#history.length })
    for (const id of stop) await this.#stopEntry(this.#entry(id))
    this.#forget(remove)
    if (this.#stopping === undefined) this.#plan(start, afterMs)
  }

  #plan(start: readonly string[], afterMs: number): void {
    const { clock } = this.#host
    const entries = start.map((id) => this.#entry(id))
    for (const entry of entries) this.#leavePlan(entry)
    const due = (): void => void this.#inTurn(async () => this.#carryOut(plan))
    const plan: Plan = { entries: new Set(entries), dueAt: clock.now() + afterMs, timer: clock.setTimer(due, afterMs) }
    for (const entry of entries) entry.await(plan)
  }

  /** Starts a planned group in order; where one can't, that is decided upon like an end. */
  async #carryOut(plan: Plan): Promise<void> {
    plan.timer.cancel()
    // Rules 4 and 5: those that another decision took over are no longer of this plan.
    const entries = [...plan.entries]
    for (const entry of entries) this.#leavePlan(entry)
    if (this.#policy.strategy !== 'one_for_one') await allGone(entries)
    for (const entry of entries) {
      if (this.#stopping !== undefined || !(await this.#startAgain(entry))) return
    }
  }

  async #startAgain(entry: Entry): Promise<boolean> {
    const error = await this.#startEntry(entry, this.#over.signal)
    if (error === undefined) return true
    if (this.#stopping !== undefined) return false
    this.#tell({ kind: 'start-failed', child: entry.id, error, tries: entry.failures + 1 })
    await this.#decide(entry, 'unstarted', 0, error)
    return false
  }

  /** It gives up, or shuts itself down: as it is no longer wanted, or can't be. */
  async #end(entry: Entry, because: 'intensity' | 'significant', error: Error | undefined): Promise<void> {
    const gaveUp = because === 'intensity' ? new GaveUpError(this.name, entry.id, this.#policy, error) : undefined
    if (gaveUp === undefined) this.#tell({ kind: 'shut-down', child: entry.id })
    else this.#tell({ kind: 'gave-up', child: entry.id, error: gaveUp })
    this.#over.abort()
    await this.#stopAll()
    this.#ending.end(gaveUp === undefined ? { kind: 'shutdown' } : { kind: 'shutdown', error: gaveUp })
  }

  // Lives.

  /** Returns the error where it can't start. */
  async #startEntry(entry: Entry, signal: AbortSignal): Promise<Error | undefined> {
    const started = await startLife(entry, signal, this.#host.clock)
    if (started instanceof Error) return started
    void started.ended.then((exit) => this.#onEnded(entry, started, exit))
    this.#tell({ kind: 'started', child: entry.id, life: entry.lives })
    return undefined
  }

  async #stopEntry(entry: Entry): Promise<void> {
    const { child } = entry
    if (child === undefined) return entry.end()
    entry.state = 'stopping'
    await this.#stopLife(entry, child, this.#timeOf(entry))
    entry.end()
    this.#tell({ kind: 'stopped', child: entry.id })
  }

  /** Rule 6. */
  #bury(entry: Entry, child: Child): void {
    const gone = this.#stopLife(entry, child, entry.spec.stopWithinMs).then(() => void entry.leaving.delete(child))
    entry.leaving.set(child, gone)
  }

  /** Rule 7. Resolves in any case. */
  async #stopLife({ id, spec }: Entry, child: Child, withinMs: number): Promise<void> {
    const error = await stopLife(child, withinMs, spec.overdueMs, this.#host.clock)
    if (error !== undefined) this.#tell({ kind: 'stop-failed', child: id, error })
  }

  async #stop(): Promise<void> {
    this.#over.abort()
    await this.#inTurn(() => this.#stopAll())
  }

  get #leftMs(): number {
    return Math.max(0, this.#stopBy - this.#host.clock.monotonic())
  }

  #timeOf({ spec }: Entry): number {
    const leftMs = this.#leftMs
    return spec.isTimeDefault === true && leftMs < Infinity ? leftMs : Math.min(spec.stopWithinMs, leftMs)
  }

  /**
   * All children, last started first. With one_for_one they don't depend on each other: all of them are told at once, still
   * last first, since a machine gives its process one time to stop and not one for each.
   */
  async #stopAll(): Promise<void> {
    for (const entry of this.#entries) this.#leavePlan(entry)
    const last = stopOrder(this.#entries.map((entry) => entry.member(0))).map((id) => this.#entry(id))
    if (this.#policy.strategy === 'one_for_one') await Promise.all(last.map((entry) => this.#stopEntry(entry)))
    else for (const entry of last) await this.#stopEntry(entry)
    await allGone(this.#entries)
  }

  // Entries.

  #entry(id: string): Entry {
    const entry = this.#entries.find((one) => one.id === id)
    if (entry !== undefined) return entry
    throw childNotFound(
      id,
      this.#entries.map((one) => one.id),
    )
  }

  #forget(ids: readonly string[]): void {
    for (const id of ids) this.#entries.splice(this.#entries.indexOf(this.#entry(id)), 1)
  }

  #leavePlan(entry: Entry): void {
    entry.plan?.entries.delete(entry)
    if (entry.plan?.entries.size === 0) entry.plan.timer.cancel()
    entry.leavePlan()
  }

  #tell(report: Told): void {
    this.#host.report({ supervisor: this.name, ...report })
  }
}
