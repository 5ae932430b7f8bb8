/**
 * One actor in one system: its worker, its timer and its live endpoints, which start and stop together.
 *
 * A hosted actor is started once and stopped once; who restarts an actor makes a new one. So nothing of what failed is
 * taken along: buffers, pulls and tables begin empty, and the consumers in JetStream know what was not acked.
 */
import type { ActorSpec } from './actor.ts'
import type { Autoscaler } from './autoscaling.ts'
import type { Broker } from './broker/broker.ts'
import type { Cancel } from './broker/cancels.ts'
import type { Delivery, Placed } from './broker/delivery.ts'
import type { Trouble } from './broker/pull.ts'
import type { ServerClock } from './broker/serverClock.ts'
import { serveActor, type LiveService, type ServiceCard } from './broker/service.ts'
import type { Failure } from './errors.ts'
import type { SystemEvent, SystemEvents } from './events.ts'
import { Live } from './flow/live.ts'
import type { ActorWorker } from './flow/worker.ts'
import type { MemberInfo } from './isolation/pool.ts'
import type { Message } from './message.ts'
import type { Place } from './place.ts'
import type { Accounts } from './schedules/accounts.ts'
import type { Chains } from './schedules/chains.ts'
import { StallWatch, type StallHost, type Watched } from './stallWatch.ts'
import { Ending, type Child, type Exit } from './supervision/child.ts'
import { systemClock } from './time/clock.ts'

/** A timer as its host sees it; the built-in one is in actors/timer. */
export interface HostedTimer {
  start(): Promise<void>
  stop(): Promise<void>
  /** Takes out what is held and parked. Returns the ids that it met. */
  cancel(cancel: Cancel): Promise<string[]>
  /** Messages in memory: due within a moment, or being parked. */
  readonly holding: number
  /** Messages in memory that wait for their moment, and the first of those moments (epoch ms). */
  readonly held: { readonly count: number; readonly nextAt: number }
  /** The clock was moved: what is held may be due now. */
  clockMoved(): void
  /** Asks anew for what it waits for. */
  pullAgain(): void
  /** For the watch on its progress. */
  readonly watched: Watched
}

/** What a timer is given by its system. */
export interface TimerServices {
  readonly broker: Broker
  readonly clock: ServerClock
  onTrouble(actor: string, trouble: Trouble): void
  /** A message that can never be put into its mailbox: buried as a dead letter, then its delivery is ended. */
  bury(delivery: Delivery, message: Message, failure: Failure, then: () => void): void
  /** A message that was cancelled while it waited: told to who waits for its outcome. Resolves when that is stored; never rejects. */
  dropped(
    message: Message,
    place: Pick<Placed, 'stream' | 'sequence' | 'storedAt'>,
    origin: string,
    reason: string,
  ): Promise<void>
  /** The cancel that a message falls under which is on its way to parking; who asked for it is told that it was parked. */
  cancelled(message: Message): Cancel | undefined
  readonly schedules: ScheduleServices
}

/** What a timer has to know of schedules. */
export interface ScheduleServices {
  /** Named in what it writes into the ledger. */
  readonly writer: string
  /** For schedules that set none: ms. */
  readonly lostAfterMs: number
  /** How often it looks whether every schedule has its tick: ms. */
  readonly checkMs: number
  /** The links of the actor, which are read again at each check. */
  readonly chains: Chains
  tell(event: Omit<SystemEvents['schedule'], keyof SystemEvent | 'actor'>): void
}

/** The threads or processes of an isolated actor, as its host sees them. */
export interface HostedPool {
  readonly members: readonly MemberInfo[]
  /** Handlers may ask whether the system stops. */
  tellStopping(): void
  clockMoved(): void
}

export interface HostedParts {
  readonly spec: ActorSpec
  readonly broker: Broker
  readonly worker: ActorWorker
  readonly timer: HostedTimer
  /** What is open while its handlers run: in this process, or in each of its threads or processes. */
  readonly place: Pick<Place, 'open' | 'close'>
  /** Of an isolated actor: its threads or processes. */
  readonly pool: HostedPool | undefined
  readonly accounts: Accounts
  /** For the watch on its progress. */
  readonly stalls: StallHost
  /** Of an actor that is autoscaled: begins when it is started. */
  autoscaler(): Pick<Autoscaler, 'stop'> | undefined
  /** What its micro service says of it. */
  readonly card: ServiceCard
  /** Ends what is left of its tables when all has stopped. */
  drop(): void
}

export class HostedActor implements Child {
  readonly spec: ActorSpec
  readonly worker: ActorWorker
  readonly timer: HostedTimer
  readonly #parts: HostedParts
  readonly #ending = new Ending()
  #service: LiveService | undefined
  #watch: StallWatch | undefined
  #autoscaler: Pick<Autoscaler, 'stop'> | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: HostedParts) {
    this.#parts = parts
    this.spec = parts.spec
    this.worker = parts.worker
    this.timer = parts.timer
  }

  /** Threads or processes of an isolated actor, for reports; none where handlers run inline. */
  get members(): readonly MemberInfo[] {
    return this.#parts.pool?.members ?? []
  }

  /** Resolves when it failed: what it held is then given back by `stop`, which its supervisor calls. */
  get ended(): Promise<Exit> {
    return this.#ending.ended
  }

  /** It can't go on: whoever finds that out (a pool that has no worker left, a watch that sees no progress) says so here. */
  fail(error: Error): void {
    this.#ending.end({ kind: 'failed', error })
  }

  /** Resolves when its worker pulls, its timer runs and its endpoints are heard. While NATS is away that can't be: it waits. */
  async start(signal: AbortSignal): Promise<void> {
    const { broker, card, place } = this.#parts
    try {
      await place.open(signal)
      await broker.connection.whenConnected(signal)
      await this.#parts.accounts.start()
      // Of an actor that is declared here and runs elsewhere, the timer is all that there is to run.
      await Promise.all([this.spec.isElsewhere ? undefined : this.worker.start(), this.timer.start()])
      if (this.spec.isElsewhere) return
      this.#service = await serveActor(broker, this.spec, new Live(this.worker), card)
      this.#watchProgress()
      this.#autoscaler = this.#parts.autoscaler()
    } catch (error) {
      await this.stop(0)
      throw error
    }
  }

  /** All at once: from this moment on nothing is taken any more, wherever it would come from. A later, shorter time is taken over. */
  stop(withinMs: number): Promise<void> {
    if (this.#stopping !== undefined) systemClock.setTimer(() => this.hurry(), withinMs, { unref: true })
    return (this.#stopping ??= this.#stop(withinMs))
  }

  /** The clock that handlers and timers see was moved. */
  clockMoved(): void {
    this.timer.clockMoved()
    this.#parts.pool?.clockMoved()
  }

  /** What it pulls from was made again: what was asked of its predecessor may never be answered. */
  pullAgain(): void {
    this.worker.resumed()
    this.timer.pullAgain()
  }

  /** What runs gets no more time. */
  hurry(): void {
    this.worker.hurry()
    this.#service?.hurry()
  }

  #watchProgress(): void {
    this.#watch = new StallWatch(this.spec, [this.worker.watched, this.timer.watched], this.#parts.stalls)
    this.#watch.start()
  }

  async #stop(withinMs: number): Promise<void> {
    this.#watch?.stop()
    this.#autoscaler?.stop()
    this.#parts.pool?.tellStopping()
    await Promise.all([this.#service?.stop(withinMs), this.timer.stop(), this.worker.stop(withinMs)])
    await this.#parts.place.close()
    this.#parts.accounts.stop()
    this.#parts.drop()
  }
}
