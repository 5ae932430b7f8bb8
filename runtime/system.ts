import { Timer } from '../actors/timer/timer.ts'
import { loadConfig, type Config } from '../config/index.ts'
/**
 * A system: everything that one process hosts. This file wires it, and nothing else does.
 *
 * Starting, in order, since each step stands on the one before: connection (or own server) → shared assets → the server's
 * clock → the keeper of leases → cancels, read to their end → workers, timers, live endpoints → control.
 * Stopping is the reverse, so that nothing loses what it needs: live endpoints, timers and workers take no more, and drain →
 * control → cancels → keeper → connection → own server. (Control last of all that is told: a stop can still be hurried.)
 */
import { specOf, type ActorSpec, type AnyActor } from './actor.ts'
import { applicationOf, type Application } from './application.ts'
import { Control } from './broker/control.ts'
import { Keeper } from './broker/keeper.ts'
import { Pulse } from './broker/pulse.ts'
import { Cancelling } from './cancelling.ts'
import type { RunContext } from './context.ts'
import { ConfigError, toFailure } from './errors.ts'
import type { MessageEvents, SystemEvent, SystemEvents } from './events.ts'
import { composeMiddleware, type Middleware } from './flow/middleware.ts'
import { runInScope } from './flow/scope.ts'
import type { ActorWorker } from './flow/worker.ts'
import type { HostedActor, HostedTimer } from './hosted.ts'
import { Hosting } from './hosting.ts'
import { createLogger, type Logger } from './log.ts'
import { Observing } from './observe/observing.ts'
import { Budget, endRule, whenDone, type EndRule, type Until } from './onceAndOut.ts'
import { watchProcess } from './processWatch.ts'
import { handleSignals } from './signals.ts'
import { systemClock, type Clock } from './time/clock.ts'
import { parseDuration, type Duration } from './time/duration.ts'
import { linkTo, overridesOf, Troupe, type ConnectOptions, type Link } from './troupe.ts'
import { StatusAnswers } from './view/systems.ts'

export interface RunOptions extends Omit<ConnectOptions, 'actors'> {
  /** The actors to run. */
  actors: readonly AnyActor[]
  /** Wrapped around every handler, the first outermost. */
  middleware?: readonly Middleware[]
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
}

/** Starts a system and resolves when its workers pull. Throws `ConfigError`, `UnavailableError`, `BrokerError`. */
export async function run(options: RunOptions): Promise<System> {
  const { config, root } = await loadConfig({ overrides: configOf(options) })
  return startSystem(config, root, options)
}

/** The same from a configuration that was loaded already; `open` for who needs to hold the link too. */
export async function startSystem(config: Config, root: string, options: RunOptions, open = linkTo): Promise<System> {
  const specs = options.actors.map((actor) => specOf(actor))
  checkNames(specs)
  const link = await open(config, root)
  const application = await applicationOf(root)
  const version = config.version ?? application.version
  const system = new System(link, specs, options, { ...application, version })
  try {
    await system.start()
  } catch (error) {
    await system.stop({ within: 0 }).catch(() => {})
    throw error
  }
  return system
}

const GRACE_MS = 5_000

export class System {
  readonly name: string
  readonly log: Logger
  /** Sends messages from this process, over the same connection. */
  readonly troupe: Troupe
  /** Verbs that this system answers on `<namespace>.control.<system>.…`. */
  readonly control: Control
  readonly #link: Link
  readonly #specs: readonly ActorSpec[]
  readonly #options: RunOptions
  readonly #graceMs: number
  readonly #end: EndRule
  readonly #budget: Budget
  readonly #hosted = new Map<string, HostedActor>()
  /** What this system counts and tells of itself. */
  readonly observing: Observing
  readonly #cancelling: Cancelling
  readonly #answers: StatusAnswers
  readonly #cleanups: (() => void | Promise<void>)[] = []
  #stopping: Promise<void> | undefined
  readonly #stopped: Promise<void>
  #markStopped: () => void = () => {}

  constructor(link: Link, specs: readonly ActorSpec[], options: RunOptions, application: Application) {
    const { config, broker } = link
    this.name = config.system
    this.log =
      options.logger ?? createLogger({ level: config.logLevel, format: config.logFormat, secrets: link.secrets })
    this.troupe = new Troupe({ ...link, close: () => this.stop() })
    this.control = new Control(broker, this.name)
    this.#link = link
    this.#specs = specs
    this.#options = options
    this.#graceMs = options.grace === undefined ? GRACE_MS : parseDuration(options.grace, 'grace')
    this.#end = endRule(options.until ?? {})
    this.#budget = new Budget(this.#end.messages)
    const hosted = (actor: string): HostedActor | undefined => this.#hosted.get(actor)
    const observed = { link, system: this.name, application, specs, log: this.log, hosted }
    this.observing = new Observing({ ...observed, tell: (event, data) => this.tell(event, data) })
    this.#answers = new StatusAnswers({
      system: this.name,
      application,
      observing: this.observing,
      control: this.control,
      workers: () => this.workers,
      stopping: () => this.#stopping !== undefined,
    })
    const cancelling = {
      broker,
      log: this.log,
      keepMs: config.retention.cancelsMs,
      hosted,
    }
    this.#cancelling = new Cancelling(
      cancelling,
      specs.map((spec) => spec.name),
    )
    this.#stopped = new Promise((resolve) => (this.#markStopped = resolve))
  }

  /** What runs here, by actor. */
  get hosted(): ReadonlyMap<string, HostedActor> {
    return this.#hosted
  }
  /** Workers by actor: for reports and tests. */
  get workers(): ReadonlyMap<string, ActorWorker> {
    return new Map([...this.#hosted].map(([name, { worker }]) => [name, worker]))
  }
  get timers(): ReadonlyMap<string, HostedTimer> {
    return new Map([...this.#hosted].map(([name, { timer }]) => [name, timer]))
  }
  /** Resolves when the system has stopped, whoever stopped it. */
  get stopped(): Promise<void> {
    return this.#stopped
  }

  async start(): Promise<void> {
    const { broker, clock, config } = this.#link
    this.#watchProcess()
    await broker.assets.shared()
    await clock.start()
    const keeper = await Keeper.start(broker.connection.settings, (error) => this.#onKeeperLost(error))
    const pulse = new Pulse(broker.connection)
    this.#cleanups.push(
      () => keeper.stop(),
      () => pulse.stop(),
      () => this.#cancelling.stop(),
      () => this.control.stop(),
      () => this.observing.stop(),
      () => this.#answers.stop(),
    )
    await this.#cancelling.start()
    const hosting = this.#hosting(keeper, pulse)
    for (const spec of this.#specs) this.#hosted.set(spec.name, hosting.host(spec))
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.start()))
    this.#watchConnection()
    await this.observing.start()
    this.#answers.start()
    await this.control.start()
    this.tell('started', { actors: this.#specs.map((spec) => spec.name), pid: process.pid })
    this.log.info('started', {
      system: this.name,
      server: broker.connection.server,
      namespace: config.namespace,
      actors: this.#specs.map((spec) => spec.name),
    })
    if (this.#options.until !== undefined) void this.#endWhenDone()
  }

  async #endWhenDone(): Promise<void> {
    const workers = (): ReadonlyMap<string, ActorWorker> => this.workers
    const host = { broker: this.#link.broker, budget: this.#budget, workers, stopped: this.stopped }
    const reason = await whenDone(host, this.#end)
    if (reason === undefined) return
    this.log.info('ending, as asked', { reason })
    await this.stop()
  }

  /** Stops gracefully; `within` (default `shutdown.within`, 30 s) is the time that running handlers get. Safe to call again. */
  stop(options: { within?: Duration } = {}): Promise<void> {
    const withinMs =
      options.within === undefined ? this.#link.config.shutdown.withinMs : parseDuration(options.within, 'within')
    if (this.#stopping !== undefined && withinMs === 0) for (const hosted of this.#hosted.values()) hosted.hurry()
    return (this.#stopping ??= this.#stop(withinMs))
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  tell<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void {
    if (this.#link.config.events === 'off') return
    const { publisher, subjects } = this.#link.broker
    const body = { system: this.name, at: new Date(systemClock.now()).toISOString(), ...data }
    publisher.tell(subjects.systemEvent(this.name, event), Buffer.from(JSON.stringify(body)))
  }

  async #stop(withinMs: number): Promise<void> {
    this.log.info('stopping', { system: this.name, withinMs })
    this.tell('stopping', {})
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.stop(withinMs)))
    this.tell('stopped', {})
    for (const cleanup of this.#cleanups.toReversed()) await cleanup()
    await this.#link.close()
    this.log.info('stopped', { system: this.name })
    this.#markStopped()
  }

  #hosting(keeper: Keeper, pulse: Pulse): Hosting {
    const { middleware = [], clock = systemClock, onEvent } = this.#options
    return new Hosting({
      link: this.#link,
      system: this.name,
      log: this.log,
      keeper,
      pulse,
      invoke: composeMiddleware(middleware, runInScope),
      observing: this.observing,
      budget: this.#budget,
      clock,
      graceMs: this.#graceMs,
      listens: onEvent !== undefined,
      onEvent: (event, data) => onEvent?.(event, data),
      tell: (event, data) => this.tell(event, data),
      cancelled: (actor, message) => this.#cancelling.waiting(actor, message),
      timer: (spec, services) => new Timer(spec, services),
      hosted: (actor) => this.#hosted.get(actor),
      stopping: () => this.#stopping !== undefined,
    })
  }

  #onKeeperLost(error: Error): void {
    this.log.error('the keeper of leases ended: the system stops, since long runs would be taken by others', { error })
    this.tell('trouble', { problem: `the keeper of leases ended: ${error.message}` })
    process.exitCode = 1
    void this.stop()
  }

  #watchConnection(): void {
    const { connection } = this.#link.broker
    this.#cleanups.push(
      connection.onDisconnected(() => {
        if (this.#stopping === undefined)
          this.log.warn('disconnected from NATS; trying again', { server: connection.server })
      }),
      connection.onConnected(() => {
        this.log.info('connected to NATS again', { server: connection.server })
        this.tell('reconnected', {})
      }),
      connection.onProblem((error) => this.log.warn('NATS reports a problem', { error })),
    )
  }

  #watchProcess(): void {
    if (this.#options.signals !== false) this.#cleanups.push(handleSignals(this))
    const onLeak = (error: Error, run: RunContext | undefined): void => this.#onLeak(error, run)
    this.#cleanups.push(watchProcess({ onLeak, onBlocked: (forMs) => this.#onBlocked(forMs) }))
  }

  /** A promise that a handler made and nobody waits for was rejected: a bug of the handler's, but no reason to end anything. */
  #onLeak(error: Error, run: RunContext | undefined): void {
    if (run === undefined) return this.log.error('a promise was rejected and nobody handled it', { error })
    const { id, actor, message, attempt } = run
    this.log.error('a handler left a rejected promise behind', { id, actor, message, attempt, error })
    this.#hosted.get(actor)?.worker.tellLeak(run, toFailure(error))
  }

  #onBlocked(forMs: number): void {
    const running = [...this.#hosted.values()]
      .flatMap(({ worker }) => worker.running)
      .map(({ message }) => ({ id: message.id, message: `${message.actor}.${message.name}` }))
      .slice(0, 10)
    this.log.warn('the event loop stood still: a handler blocks it', { forMs: Math.round(forMs), running })
    this.tell('blocked', { forMs: Math.round(forMs), running })
  }
}

function checkNames(specs: readonly ActorSpec[]): void {
  const names = specs.map((spec) => spec.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined)
    throw new ConfigError('INVALID_OPTION', `expected each actor once, got ${JSON.stringify(twice)} twice`)
  if (names.length === 0) throw new ConfigError('INVALID_OPTION', 'expected at least one actor to run, got none')
}

function configOf({
  actors: _a,
  middleware: _m,
  signals: _s,
  until: _u,
  grace: _g,
  logger: _l,
  clock: _c,
  onEvent: _e,
  ...config
}: RunOptions): ReturnType<typeof overridesOf> {
  return overridesOf(config)
}
