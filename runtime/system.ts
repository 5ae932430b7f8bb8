/**
 * A system: everything that one process hosts. This file wires it, and nothing else does.
 *
 * Starting, in order, since each step stands on the one before: connection (or own server) → shared assets → the server's
 * clock → the keeper of leases → cancels, read to their end → the supervision tree: actors (worker, timer, live endpoints) in their
 * order → control.
 * Stopping is the reverse, so that nothing loses what it needs: actors take no more, and drain, in the tree's order →
 * control → cancels → keeper → connection → own server. (Control last of all that is told: a stop can still be hurried.)
 */
import { SupervisorActor } from '../actors/supervisor/supervisor.ts'
import { Timer } from '../actors/timer/timer.ts'
import type { ActorSpec } from './actor.ts'
import type { Application } from './application.ts'
import { Control } from './broker/control.ts'
import { Keeper } from './broker/keeper.ts'
import { Pulse } from './broker/pulse.ts'
import { Cancelling } from './cancelling.ts'
import { UnavailableError } from './errors.ts'
import type { MessageEvents, SystemEvent, SystemEvents } from './events.ts'
import { composeMiddleware } from './flow/middleware.ts'
import { runInScope } from './flow/scope.ts'
import type { ActorWorker } from './flow/worker.ts'
import { afterGivingUp, watchHope } from './hopeless.ts'
import type { HostedActor, HostedTimer } from './hosted.ts'
import { Hosting } from './hosting.ts'
import { createLogger, type Logger } from './log.ts'
import { Mishaps } from './mishaps.ts'
import type { HealthParts } from './observe/health.ts'
import { Observing } from './observe/observing.ts'
import { Budget, endRule, whenDone, type EndRule } from './onceAndOut.ts'
import { beatSettings, watchProcess } from './processWatch.ts'
import { Roster } from './roster.ts'
import { declareAtStart, type Declaration } from './schedules/declaring.ts'
import { handleSignals } from './signals.ts'
import { buildSupervisor } from './supervision/build.ts'
import type { Exit } from './supervision/child.ts'
import { Supervision, type Scaled } from './supervision/supervision.ts'
import type { Supervisor } from './supervision/supervisor.ts'
import { actorsOf, type SupervisorSpec } from './supervision/treeSpec.ts'
import type { HostOptions } from './systemOptions.ts'
import { systemClock } from './time/clock.ts'
import { parseDuration, type Duration } from './time/duration.ts'
import { Troupe, type Link } from './troupe.ts'
import { StatusAnswers } from './view/systems.ts'

const GRACE_MS = 5_000

export class System {
  readonly name: string
  readonly log: Logger
  /** Sends messages from this process, over the same connection. */
  readonly troupe: Troupe
  /** Verbs that this system answers on `<namespace>.control.<system>.…`. */
  readonly control: Control
  /** What runs here and how it is: its tree, and restarts by hand. */
  readonly supervision: Supervision
  readonly #link: Link
  readonly #specs: readonly ActorSpec[]
  readonly #options: HostOptions
  readonly #graceMs: number
  readonly #end: EndRule
  readonly #budget: Budget
  readonly #roster = new Roster()
  readonly #root: Supervisor
  readonly #supervisor: SupervisorActor
  readonly #mishaps: Mishaps
  /** The time of the event loop's last beat. */
  readonly #beats = new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT)
  #hosting: Hosting | undefined
  /** What this system counts and tells of itself. */
  readonly observing: Observing
  readonly #cancelling: Cancelling
  readonly #answers: StatusAnswers
  readonly #cleanups: (() => void | Promise<void>)[] = []
  #stopping: Promise<void> | undefined
  #phase: HealthParts['phase'] = 'starting'
  readonly #stopped: Promise<void>
  #markStopped: () => void = () => {}

  constructor(link: Link, tree: SupervisorSpec, options: HostOptions, application: Application) {
    const { config, broker } = link
    this.name = config.system
    this.log =
      options.logger ?? createLogger({ level: config.logLevel, format: config.logFormat, secrets: link.secrets })
    this.troupe = new Troupe({ ...link, close: () => this.stop() })
    this.control = new Control(broker, this.name)
    this.#link = link
    this.#specs = actorsOf(tree)
    this.#options = options
    this.#graceMs = options.grace === undefined ? GRACE_MS : parseDuration(options.grace, 'grace')
    this.#end = endRule(options.until ?? {})
    this.#budget = new Budget(this.#end.messages)
    const host = { log: this.log, roster: this.#roster, tell: this.tell.bind(this), stopping: () => this.stopping }
    this.observing = new Observing({
      ...host,
      link,
      control: this.control,
      system: this.name,
      application,
      specs: this.#specs,
      phase: () => this.#phase,
      tree: () => this.supervision.tree(),
    })
    this.#answers = new StatusAnswers({
      system: this.name,
      application,
      observing: this.observing,
      control: this.control,
      workers: () => this.workers,
      stopping: host.stopping,
    })
    this.#mishaps = new Mishaps({ ...host, connection: broker.connection })
    this.#supervisor = new SupervisorActor(host)
    if (options.onEvent !== undefined) link.senderHost.sentEvents.listener = (event) => this.#onEvent('sent', event)
    this.#root = buildSupervisor(tree, {
      clock: systemClock,
      report: (report) => this.#supervisor.report(report),
      worker: (spec) => this.#life(spec),
      stopWithinMs: config.shutdown.withinMs,
      graceMs: this.#graceMs,
    })
    const scale = (actor: string, size: number): Scaled =>
      this.#hosting?.scale(actor, size, 'by hand') ?? { from: size, to: size }
    this.supervision = new Supervision(this.#root, this.#roster, scale)
    const cancelling = { ...host, broker, keepMs: config.retention.cancelsMs }
    this.#cancelling = new Cancelling(
      cancelling,
      Array.from(this.#specs, ({ name }) => name),
    )
    this.#stopped = new Promise((resolve) => (this.#markStopped = resolve))
  }

  /** What runs here, by actor. */
  get hosted(): ReadonlyMap<string, HostedActor> {
    return this.#roster.present
  }
  get #names(): string[] {
    return this.#specs.map(({ name }) => name)
  }
  get stopping(): boolean {
    return this.#stopping !== undefined
  }
  /** Workers by actor: for reports and tests. */
  get workers(): ReadonlyMap<string, ActorWorker> {
    return new Map([...this.hosted].map(([name, { worker }]) => [name, worker]))
  }
  get timers(): ReadonlyMap<string, HostedTimer> {
    return new Map([...this.hosted].map(([name, { timer }]) => [name, timer]))
  }
  /** Resolves when the system has stopped, whoever stopped it. */
  get stopped(): Promise<void> {
    return this.#stopped
  }

  async start(): Promise<void> {
    const { broker, clock, config } = this.#link
    this.#watchProcess()
    this.#cleanups.push(() => this.observing.close())
    await this.observing.open()
    await broker.assets.shared()
    await clock.start()
    const beats = beatSettings(config, this.#beats, this.#options.logger !== undefined)
    const starting = Keeper.start(broker.connection.settings, beats, (error) => this.#onKeeperLost(error))
    this.#cleanups.push(async () => (await starting.catch(() => undefined))?.stop())
    const keeper = await starting
    // A stop that came meanwhile has ended what there was by then, and nothing that is begun from here on.
    if (this.stopping) throw new UnavailableError('STOPPED', 'the system was stopped before it had started')
    const pulse = new Pulse(broker.connection)
    this.#cleanups.push(
      () => pulse.stop(),
      () => this.#cancelling.stop(),
      () => this.control.stop(),
      () => this.observing.stop(),
      () => this.#answers.stop(),
    )
    await this.#cancelling.start()
    this.#hosting = this.#hostingWith(keeper, pulse)
    this.#supervisor.serve(this.control, this)
    await this.#options.onStart?.(this)
    await this.#root.start()
    void this.#root.ended.then((exit) => this.#onRootEnded(exit))
    this.#cleanups.push(
      ...this.#mishaps.watchConnection(),
      watchHope(broker.connection, config.nats.giveUpAfterMs, (error) => void this.#giveUp(error)),
    )
    await this.observing.start()
    this.#answers.start()
    await this.control.start()
    if (!this.stopping) this.#phase = 'running'
    this.tell('started', { actors: this.#names, pid: process.pid })
    this.log.info('started', {
      system: this.name,
      server: broker.connection.server,
      namespace: config.namespace,
      actors: this.#names,
    })
    if (this.#options.until !== undefined) void this.#endWhenDone()
  }

  /** Puts the schedules that are declared in code. */
  async declare(declarations: readonly Declaration[]): Promise<void> {
    const host = {
      broker: this.#link.broker,
      schedules: this.troupe.schedules,
      log: this.log,
      tell: (event: 'schedule', data: Omit<SystemEvents['schedule'], keyof SystemEvent>) => this.tell(event, data),
    }
    await declareAtStart(host, this.#names, declarations)
  }

  async #endWhenDone(): Promise<void> {
    const host = { broker: this.#link.broker, budget: this.#budget, workers: () => this.workers, stopped: this.stopped }
    const reason = await whenDone(host, this.#end)
    if (reason === undefined) return
    this.log.info('ending, as asked', { reason })
    await this.stop()
  }

  /**
   * Stops gracefully; `within` (default `shutdown.within`, 30 s) is the time that running handlers get. Safe to call again: a shorter time
   * that is given is taken over.
   */
  stop(options: { within?: Duration } = {}): Promise<void> {
    const withinMs =
      options.within === undefined ? this.#link.config.shutdown.withinMs : parseDuration(options.within, 'within')
    if (this.#stopping !== undefined && options.within !== undefined) this.#shorten(withinMs)
    return (this.#stopping ??= this.#stop(withinMs))
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  tell<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void {
    if (this.#link.config.events === 'off') return
    const { publisher, subjects } = this.#link.broker
    const body = { system: this.name, at: new Date(systemClock.now()).toISOString(), ...data }
    publisher.tell(subjects.systemEvent(this.name, event), Buffer.from(this.#link.secrets.toJson(body) ?? ''))
  }

  #shorten(withinMs: number): void {
    if (withinMs === 0) this.#root.hurry()
    else void this.#root.stop(withinMs)
  }

  /** What fails to stop is told, and holds up nothing of the rest. */
  async #stop(withinMs: number): Promise<void> {
    this.#phase = this.#phase === 'ended' ? 'ended' : 'stopping'
    this.log.info('stopping', { system: this.name, withinMs })
    this.tell('stopping', {})
    await this.#root.stop(withinMs)
    await this.#mishaps.survive('onStop of the system failed', () => this.#options.onStop?.(this))
    this.tell('stopped', {})
    const closing = [...this.#cleanups.toReversed(), () => this.#link.close()]
    for (const cleanup of closing) await this.#mishaps.survive('a part of the system failed to stop', cleanup)
    this.log.info('stopped', { system: this.name })
    this.#markStopped()
  }

  #life(spec: ActorSpec): HostedActor {
    if (this.#hosting === undefined) throw new TypeError('an actor was started before its system')
    return this.#hosting.host(spec)
  }

  #hostingWith(keeper: Keeper, pulse: Pulse): Hosting {
    const { middleware = [], clock = systemClock, resources = {}, onEvent } = this.#options
    return new Hosting({
      link: this.#link,
      system: this.name,
      log: this.log,
      keeper,
      pulse,
      invoke: this.#link.senderHost.tracing.running(composeMiddleware(middleware, runInScope)),
      observing: this.observing,
      resources,
      budget: this.#budget,
      clock,
      graceMs: this.#graceMs,
      listens: onEvent !== undefined,
      onEvent: (event, data) => this.#onEvent(event, data),
      tell: (event, data) => this.tell(event, data),
      cancelled: (actor, message, was) => this.#cancelling.find(actor, message, was),
      timer: (spec, services) => new Timer(spec, services),
      roster: this.#roster,
      giveUp: (error) => void this.#giveUp(error),
      stopping: () => this.stopping,
    })
  }

  /** What a listener throws is a bug of its own, and must not cost a message. */
  #onEvent<K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void {
    const { onEvent } = this.#options
    if (onEvent !== undefined) this.#mishaps.surviveNow('onEvent failed', () => onEvent(event, data))
  }

  #onKeeperLost(error: Error): void {
    this.tell('trouble', { problem: `the keeper of leases ended: ${error.message}` })
    void this.#giveUp(new Error(`the keeper of leases ended, and long runs would be taken by others: ${error.message}`))
  }

  /** The root gave up, or significant children have ended: what that means for the process. */
  async #onRootEnded(exit: Exit): Promise<void> {
    if (exit.kind !== 'normal' && exit.error !== undefined) return this.#giveUp(exit.error)
    this.log.info('ending, since significant actors have ended')
    await this.stop()
  }

  /** Nothing here can mend it: what runs this process must. */
  async #giveUp(error: Error): Promise<void> {
    this.#phase = 'ended'
    this.log.error('giving up: the system stops', { error })
    await afterGivingUp(error, () => this.stop(), this.#options.onGiveUp)
  }

  #watchProcess(): void {
    if (this.#options.signals !== false) this.#cleanups.push(handleSignals(this))
    const { mailbox } = this.#link.config
    this.#cleanups.push(watchProcess(this.#mishaps, { ...mailbox, beats: this.#beats }))
  }
}
