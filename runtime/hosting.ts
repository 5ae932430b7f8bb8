/**
 * What an actor needs to be hosted in this process, put together anew for each of its lives: worker, table of leases, timer.
 *
 * Owns: which part is given what, and what becomes of their trouble. Does not own: when an actor is started, stopped and
 * restarted (its supervisor), nor what all actors share (system.ts).
 */
import type { ActorSpec } from './actor.ts'
import { Autoscaler, sizingOf } from './autoscaling.ts'
import type { Cancel, CancelAnswer } from './broker/cancels.ts'
import type { Delivery } from './broker/delivery.ts'
import type { Keeper } from './broker/keeper.ts'
import type { Trouble } from './broker/pull.ts'
import type { Pulse } from './broker/pulse.ts'
import { lineageOf } from './client/envelope.ts'
import { Sender } from './client/sender.ts'
import { toError, type Failure } from './errors.ts'
import type { MessageEvents, SystemEvent, SystemEvents } from './events.ts'
import { buryUndelivered, tellDropped } from './flow/bury.ts'
import type { Invoke } from './flow/execute.ts'
import { ActorWorker, UNSETTLED_ROWS } from './flow/worker.ts'
import { HostedActor, type HostedTimer, type TimerServices } from './hosted.ts'
import { isolatedConcurrency, IsolatedActor } from './isolation/isolated.ts'
import type { Logger } from './log.ts'
import type { Message } from './message.ts'
import type { Observing } from './observe/observing.ts'
import type { Budget } from './onceAndOut.ts'
import type { DeadReason } from './outcome.ts'
import { Place } from './place.ts'
import type { Roster } from './roster.ts'
import { Accounts } from './schedules/accounts.ts'
import { runBefore } from './schedules/context.ts'
import { ScheduleNews, type ScheduleEvent } from './schedules/news.ts'
import type { StallError } from './stallWatch.ts'
import { systemClock, type Clock } from './time/clock.ts'
import type { Link } from './troupe.ts'

/** What all actors of a system share. */
export interface HostingParts {
  readonly link: Link
  readonly system: string
  readonly log: Logger
  readonly keeper: Keeper
  readonly pulse: Pulse
  readonly invoke: Invoke
  /** Values that stand for resources of these names. */
  readonly resources: Readonly<Record<string, unknown>>
  readonly observing: Observing
  /** How many messages all workers together may still begin. */
  readonly budget: Budget
  /** The time that handlers see. */
  readonly clock: Clock
  /** Between a run's signal and giving it up: ms. */
  readonly graceMs: number
  /** Whether somebody in this process listens to every event, whatever the level. */
  readonly listens: boolean
  onEvent<K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void
  tell<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void
  /** The cancel that a message falls under, if any. Who asked for it is told what it met. */
  cancelled(actor: string, message: Message, was: CancelAnswer['was']): Cancel | undefined
  timer(spec: ActorSpec, services: TimerServices): HostedTimer
  readonly roster: Roster
  /** Nothing in this process can mend it. */
  giveUp(error: Error): void
  /** Whether the whole system stops: then nothing is mended any more. */
  stopping(): boolean
}

export class Hosting {
  readonly #parts: HostingParts
  /** Lives of each actor in a row that stalled without having got anything. */
  readonly #stalls = new Map<string, number>()
  /** Of actors that were scaled: messages at once. */
  readonly #sizes = new Map<string, number>()

  constructor(parts: HostingParts) {
    this.#parts = parts
  }

  /** A new life of an actor, not started yet. */
  host(spec: ActorSpec): HostedActor {
    const { link, observing, roster } = this.#parts
    const accounts = this.#accounts(spec)
    const { worker, drop, place, isolated } = this.#worker(spec, accounts)
    const card = observing.card(spec)
    const left = (): void => {
      drop()
      roster.leave(life)
    }
    const timer = this.#timer(spec, accounts)
    const life = new HostedActor({
      spec,
      broker: link.broker,
      worker,
      timer,
      accounts,
      stalls: {
        broker: link.broker,
        log: this.#parts.log,
        stalledAfterMs: link.config.mailbox.stalledAfterMs,
        onStall: (error) => this.#onStall(life, error),
      },
      autoscaler: () => this.#autoscaler(spec, worker),
      place,
      pool: isolated?.pool,
      card,
      drop: left,
    })
    const onCapacity = (): void => worker.capacityChanged()
    isolated?.attach({ telling: worker.telling, onCapacity, fail: (error) => life.fail(error) })
    roster.enter(life)
    return life
  }

  /** A new life begins with pulls of its own. Where that helps nothing, again and again, nothing in this process will. */
  #onStall(life: HostedActor, error: StallError): void {
    const { name } = life.spec
    const inRow = error.hadProgress ? 1 : (this.#stalls.get(name) ?? 0) + 1
    this.#stalls.set(name, inRow)
    if (inRow < HOPELESS_STALLS) life.fail(error)
    else this.#parts.giveUp(error)
  }

  /** Runs so many messages of an actor at once from now on, also in its next lives. */
  scale(actor: string, size: number, why: SystemEvents['scaled']['why']): { from: number; to: number } {
    const worker = this.#parts.roster.of(actor)?.worker
    const from = worker?.concurrency ?? size
    this.#sizes.set(actor, size)
    worker?.scale(size)
    this.#parts.log.info('scaled', { actor, from, to: size, why })
    this.#parts.tell('scaled', { actor, from, to: size, why })
    return { from, to: size }
  }

  #autoscaler(spec: ActorSpec, worker: ActorWorker): Autoscaler | undefined {
    const { autoscale, isolation, name } = spec
    if (autoscale === undefined) return undefined
    const { broker } = this.#parts.link
    const scale = (size: number, why: SystemEvents['scaled']['why']): void => void this.scale(name, size, why)
    const sizing = sizingOf(autoscale, isolation !== undefined, this.#usual(spec))
    return new Autoscaler({ broker, worker, sizing, isInline: isolation === undefined, scale })
  }

  /** Messages at once where nobody has scaled it. */
  #usual(spec: ActorSpec): number {
    const { isolation, concurrency } = spec
    return isolation === undefined
      ? (concurrency ?? this.#parts.link.config.mailbox.concurrency)
      : isolatedConcurrency(spec, isolation)
  }

  #size(spec: ActorSpec): number {
    const { autoscale, isolation, name } = spec
    const usual = this.#usual(spec)
    return (
      this.#sizes.get(name) ??
      (autoscale === undefined ? usual : sizingOf(autoscale, isolation !== undefined, usual).min)
    )
  }

  #accounts({ name: actor }: ActorSpec): Accounts {
    const { link, system } = this.#parts
    const { broker, clock } = link
    return new Accounts({ broker, actor, writer: `${system}/${actor}`, serverNow: () => clock.now() })
  }

  #worker(spec: ActorSpec, accounts: Accounts): Parts {
    const { keeper, pulse, system, graceMs, listens, invoke, budget, log, ...parts } = this.#parts
    const { broker, config, clock, senderHost } = parts.link
    const { isolation } = spec
    const concurrency = this.#size(spec)
    const { leases, drop } = keeper.leases(
      broker.assets.leaseMs(spec),
      concurrency + UNSETTLED_ROWS,
      isolation === undefined,
    )
    const settings = {
      name: `${system}/${spec.name}`,
      concurrency,
      timeLimitMs: config.mailbox.timeLimitMs,
      graceMs,
    }
    const senderFor = (message: Message | undefined): Sender => new Sender(senderHost, message && lineageOf(message))
    const isolated =
      isolation &&
      new IsolatedActor(spec, isolation, {
        worker: settings.name,
        concurrency,
        graceMs,
        leaseMs: leases.leaseMs,
        clock: parts.clock,
        log,
        nats: broker.connection.settings,
        given: parts.resources,
        senderFor,
        runBefore: (occurrence) => runBefore(broker, spec.name, occurrence),
        tellSystem: (event, data) => parts.tell(event, data),
      })
    const place = new Place(spec, { worker: settings.name, log, given: parts.resources })
    const worker = new ActorWorker(isolated?.spec ?? spec, settings, leases, {
      broker,
      clock: parts.clock,
      log,
      events: parts.link.levels.of(spec.name, spec),
      secrets: parts.link.secrets,
      listens,
      serverNow: () => clock.now(),
      deliveredSince: () => pulse.since,
      cancelled: (message, was) => parts.cancelled(spec.name, message, was)?.reason,
      senderFor,
      pool: isolated?.pool,
      resources: () => place.resources,
      invoke,
      accounts,
      tally: parts.observing.tally(spec),
      budget,
      onEvent: (event, data) => this.#onEvent(event, data),
      onTrouble: (actor, trouble) => this.#onTrouble(spec, actor, trouble),
    })
    return { worker, drop, place: isolated?.pool ?? place, isolated }
  }

  #timer(spec: ActorSpec, accounts: Accounts): HostedTimer {
    const { broker, clock, config } = this.#parts.link
    const { lostAfterMs, checkMs } = config.timer
    const news = new ScheduleNews(this.#parts.log)
    return this.#parts.timer(spec, {
      broker,
      clock,
      onTrouble: (actor, trouble) => this.#onTrouble(spec, actor, trouble),
      bury: (delivery, message, failure, then) => this.#buryUndelivered(delivery, message, failure, accounts, then),
      dropped: async (message, place, origin, reason) => {
        await tellDropped(broker, message, origin, reason).catch((error: unknown) =>
          this.#parts.log.warn('a cancelled message: its outcome could not be kept', {
            actor: message.actor,
            id: message.id,
            error: toError(error),
          }),
        )
        this.#parts.roster.of(message.actor)?.worker.tellDropped(message, reason)
        await this.#accountUnrun(accounts, message, place, 'cancelled', { name: 'CancelledError', message: reason })
      },
      cancelled: (message) => this.#parts.cancelled(spec.name, message, 'parked'),
      schedules: {
        writer: `${this.#parts.system}/timer`,
        lostAfterMs,
        checkMs,
        chains: accounts.chains,
        tell: (event) => this.#tellOfSchedule(news, { actor: spec.name, ...event }),
      },
    })
  }

  #tellOfSchedule(news: ScheduleNews, event: ScheduleEvent): void {
    news.write(event)
    this.#parts.tell('schedule', event)
  }

  /** What can't be written here is found out by its schedule when the run counts as lost. */
  async #accountUnrun(accounts: Accounts, ...end: Parameters<Accounts['accountUnrun']>): Promise<void> {
    await accounts.accountUnrun(...end).catch((error: unknown) =>
      this.#parts.log.warn('schedules could not be told of the end of a message', {
        actor: end[0].actor,
        id: end[0].id,
        error: toError(error),
      }),
    )
  }

  #buryUndelivered(delivery: Delivery, message: Message, failure: Failure, accounts: Accounts, then: () => void): void {
    const { broker } = this.#parts.link
    const told = async (reason: DeadReason): Promise<void> => {
      await this.#accountUnrun(accounts, message, delivery, 'dead', failure)
      this.#parts.roster.of(message.actor)?.worker.tellUndelivered(message, reason, failure)
      then()
    }
    buryUndelivered(broker, delivery, message, failure, this.#parts.system).then(told, (error: unknown) => {
      this.#parts.log.error('a message could not be buried; it is tried again', {
        actor: message.actor,
        id: message.id,
        error: toError(error),
      })
      broker.acks.nak(delivery, 60_000, systemClock.monotonic() + 5_000, then)
    })
  }

  #onEvent<K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void {
    if (WARNED.has(event)) this.#parts.log.warn(event, { ...data })
    this.#parts.onEvent(event, data)
  }

  /** A consumer or stream that is gone is made again; the rest is told. */
  #onTrouble(spec: ActorSpec, actor: string, trouble: Trouble): void {
    const { log, link } = this.#parts
    const problem =
      trouble.kind === 'silent' ? `no word from the consumer for ${Math.round(trouble.forMs)} ms` : trouble.reason
    log.warn('trouble', { actor, kind: trouble.kind, problem })
    this.#parts.tell('trouble', { actor, problem })
    if (trouble.kind !== 'gone' || this.#parts.stopping()) return
    link.broker.assets.workerAgain(spec).then(
      // The server tells some of those that waited, and not all, where it is deleted and made again at nearly the same time.
      () => this.#parts.roster.living(actor).forEach((life) => life.pullAgain()),
      (error: unknown) => {
        if (!this.#parts.stopping())
          log.error('the assets of an actor could not be made again', { actor, error: toError(error) })
      },
    )
  }
}

/** What one life of an actor is made of, besides its timer. */
interface Parts {
  readonly worker: ActorWorker
  readonly drop: () => void
  readonly place: Pick<Place, 'open' | 'close'>
  readonly isolated: IsolatedActor | undefined
}

const HOPELESS_STALLS = 5

/** Events of messages that are worth a line in the log. */
const WARNED: ReadonlySet<keyof MessageEvents> = new Set([
  'retry',
  'dead',
  'abandoned',
  'unsettled',
  'lease-lost',
  'crashed',
  'killed',
])
