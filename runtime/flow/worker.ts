/**
 * A worker: one actor's mailbox loop in this process. It holds the slots and hands values from fetch to execute to settle.
 *
 * Owns: slots, what "stop" means. Does not own: how much to fetch (fetch.ts), what an outcome is (execute.ts), what JetStream
 * is told (settle.ts), limits and leases (watch.ts), events (telling.ts).
 *
 * Stopping (P8), in this order: no more is fetched; what was fetched and not begun goes back; runs go on, with `stopping`
 * true, until `within`; then their signal aborts (`shutdown`), and after the grace those that still run are given back. None of it
 * counts as an attempt. Last, everything is settled, so that the connection may close.
 */
import type { NatsConnection } from '@nats-io/transport-node'

import type { ActorSpec } from '../actor.ts'
import type { Broker } from '../broker/broker.ts'
import type { Delivery } from '../broker/delivery.ts'
import type { Leases } from '../broker/leases.ts'
import { Pull } from '../broker/pull.ts'
import type { Sender } from '../client/sender.ts'
import { RunContext, type ContextHost } from '../context.ts'
import type { Failure } from '../errors.ts'
import type { MessageEvents } from '../events.ts'
import { NO_CRASHES } from '../isolation/crash.ts'
import type { Logger } from '../log.ts'
import { readMessage, ruleFor, unreadableMessage, type Message } from '../message.ts'
import type { ActorTally } from '../observe/tally.ts'
import type { DeadReason, Outcome } from '../outcome.ts'
import { DEFAULT_RETRY } from '../retryRule.ts'
import type { Accounts, RunOccurrence } from '../schedules/accounts.ts'
import { scheduleContext, type ScheduleContext } from '../schedules/context.ts'
import type { Secrets } from '../secrets.ts'
import { watchedQueue, type Watched, type WatchedQueue } from '../stallWatch.ts'
import { systemClock, type Clock } from '../time/clock.ts'
import { execute, unreadable, type ExecuteHost, type Invoke } from './execute.ts'
import { Fetch, MAX_BUFFER } from './fetch.ts'
import type { LiveHost } from './live.ts'
import { lookUp, Suspects } from './redelivery.ts'
import type { Run } from './run.ts'
import { Running } from './running.ts'
import { Settle, type SettleHost } from './settle.ts'
import { Telling, type Detail } from './telling.ts'
import { abandonRun, abortRun, watchRun, type WatchHost } from './watch.ts'
import type { WorkerHost, WorkerSettings } from './workerHost.ts'

/** Limits, leases and the buffer are looked at so often. A limit may be passed by that much. */
const TICK_MS = 50
/** A run's lease is kept for settling it, beyond its limit and grace. */
const SETTLE_MS = 60_000
/** Ended runs that wait for their ack have rows too: with more than these, new ones live by the age of their delivery. */
export const UNSETTLED_ROWS = 2 * MAX_BUFFER

export class ActorWorker implements ContextHost, ExecuteHost, SettleHost, WatchHost, LiveHost {
  readonly spec: ActorSpec
  readonly settings: WorkerSettings
  readonly leases: Leases
  readonly suspects = new Suspects()
  readonly invoke: Invoke
  readonly #host: WorkerHost
  readonly #fetch: Fetch
  readonly #settle: Settle
  readonly #running = new Running()
  readonly #queues: WatchedQueue[] = []
  #concurrency: number
  #stopping = false
  #ticker: NodeJS.Timeout | undefined
  #isHurried = false
  readonly telling: Telling
  readonly tally: ActorTally

  constructor(spec: ActorSpec, settings: WorkerSettings, leases: Leases, host: WorkerHost) {
    this.spec = spec
    this.settings = settings
    this.leases = leases
    this.invoke = host.invoke
    this.tally = host.tally
    this.#host = host
    const { publisher, subjects } = host.broker
    const onEvent: WorkerHost['onEvent'] = (event, data) => host.onEvent(event, data)
    this.telling = new Telling(
      { publisher, subjects, secrets: host.secrets, worker: settings.name, listens: host.listens, onEvent },
      host.events,
    )
    this.#settle = new Settle(this)
    this.#concurrency = settings.concurrency
    this.#fetch = new Fetch({
      slots: () => this.#slots,
      mayBuffer: spec.limit === undefined,
      free: () => this.#free(),
      run: (delivery) => this.#run(delivery),
      giveBack: (delivery) => this.#giveBack(delivery),
      now: () => systemClock.monotonic(),
    })
  }

  // What context, execute, settle and live calls ask of their host.
  get worker(): string {
    return this.settings.name
  }
  get clock(): Clock {
    return this.#host.clock
  }
  get log(): Logger {
    return this.#host.log
  }
  get connection(): NatsConnection {
    return this.#host.broker.connection.raw
  }
  get stopping(): boolean {
    return this.#stopping
  }
  get resources(): Readonly<Record<string, unknown>> {
    return this.#host.resources()
  }
  get acks(): Broker['acks'] {
    return this.#host.broker.acks
  }
  get api(): Broker['api'] {
    return this.#host.broker.api
  }
  get publisher(): Broker['publisher'] {
    return this.#host.broker.publisher
  }
  get subjects(): Broker['subjects'] {
    return this.#host.broker.subjects
  }
  /** Largest message that the server takes: bytes. */
  get maxPayload(): number {
    return this.publisher.maxPayload
  }
  get timeLimitMs(): number {
    return this.settings.timeLimitMs
  }
  get crashes(): number {
    return this.spec.crashes
  }
  get secrets(): Secrets {
    return this.#host.secrets
  }
  /** Of an isolated run the pool sees the end, and tells it. */
  get graceMs(): number {
    return this.settings.graceMs + (this.#host.pool?.patienceMs ?? 0)
  }
  serverNow(): number {
    return this.#host.serverNow()
  }
  senderFor(message: Message): Sender {
    return this.#host.senderFor(message)
  }
  cancelled({ message }: Run): string | undefined {
    return this.#host.cancelled(message, 'waiting')
  }
  cancelledParked({ message }: Run): string | undefined {
    return this.#host.cancelled(message, 'parked')
  }
  async lookUp(run: Run): Promise<Outcome | undefined> {
    const ended = run.message.schedule === undefined ? undefined : await this.accounts.look(run)
    return ended ?? (run.delivery.count === 1 ? undefined : lookUp(this, run))
  }
  get accounts(): Accounts {
    return this.#host.accounts
  }
  scheduleOf(occurrence: RunOccurrence): ScheduleContext {
    return scheduleContext(this.#host.broker, this.spec.name, occurrence)
  }
  messageNames(): Iterable<string> {
    return this.spec.messages.keys()
  }

  /** Counters since the system started. */
  get counts(): { started: number; done: number; retried: number; dead: number; released: number } {
    const { tally } = this
    return {
      started: tally.sum((one) => one.started),
      done: tally.sum(({ outcomes }) => outcomes.done),
      retried: tally.sum(({ outcomes }) => outcomes.retry),
      dead: tally.sum(({ outcomes }) => outcomes.dead),
      released: tally.sum(({ outcomes }) => outcomes.released),
    }
  }
  /** Messages that run now. */
  get running(): readonly Run[] {
    return this.#running.all()
  }
  /** Messages whose handlers ran at some moment since then: monotonic ms. Of short ones only those that still run. */
  runningSince(since: number): Message[] {
    return this.#running.since(since)
  }
  /** How many run now, how many ever ended, and how long those took together: ms. */
  get pace(): Running['pace'] {
    return this.#running.pace
  }
  /** Fetched and not begun. */
  get buffered(): number {
    return this.#fetch.buffered
  }
  /** Places in the mailbox of all that this worker has in hand: what runs, and what is fetched and not begun. */
  get held(): number[] {
    return [
      ...this.#running.all().map((run) => run.delivery.sequence),
      ...this.#fetch.held.map(({ sequence }) => sequence),
    ]
  }
  /** Asked for and not come yet, on all lanes: about what this worker waits for. */
  get asked(): number {
    return this.#fetch.asked
  }
  /** Runs that ended and are not settled yet. */
  get unsettled(): number {
    return this.#running.unsettled - this.#running.size
  }

  /** For the watch on its progress. */
  get watched(): Watched {
    return { queues: this.#queues, wasFull: () => this.#fetch.wasFull() }
  }

  /** Begins to pull. The consumers exist. */
  async start(): Promise<void> {
    const { lanes } = await this.#host.broker.assets.worker(this.spec)
    const { connection, api } = this.#host.broker
    for (const [lane, queue] of lanes.entries()) {
      const pull = new Pull(
        connection,
        api.nextSubject(queue.stream, queue.consumer),
        () => this.#host.deliveredSince(),
        {
          onDelivery: (delivery) => this.#fetch.arrived(lane, delivery),
          onSwept: () => this.#fetch.swept(),
          onRoom: () => this.#fetch.room(),
          onTrouble: (trouble) => this.#host.onTrouble(this.spec.name, trouble),
        },
      )
      this.#fetch.addLane(pull)
      this.#queues.push(watchedQueue(queue, pull))
    }
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
    this.#fetch.refill()
  }

  /** Stops gracefully: runs have `withinMs` to end by themselves. Safe to call again: a shorter time is taken over. */
  async stop(withinMs: number): Promise<void> {
    const deadline = systemClock.monotonic() + withinMs
    this.#stopping = true
    await this.#fetch.stop()
    await this.#running.idleWithin(deadline, () => this.#running.size === 0 || this.#isHurried)
    for (const run of this.#running.all()) abortRun(run, 'shutdown', 'the system is stopping')
    await this.#running.idleWithin(systemClock.monotonic() + Math.min(this.settings.graceMs, withinMs + 1_000))
    await this.#host.pool?.killRunning()
    for (const run of this.#running.all()) abandonRun(this, run)
    await this.#running.idleWithin(systemClock.monotonic() + this.settings.graceMs, () => this.#running.unsettled === 0)
    clearInterval(this.#ticker)
  }

  /** Runs get no more time: their signal aborts now. For a second request to stop. */
  hurry(): void {
    // Kept: it may come before stop() has got as far as waiting.
    this.#isHurried = true
    this.#running.look()
  }

  /** Messages that it may run at once. */
  get concurrency(): number {
    return this.#concurrency
  }

  /**
   * Runs so many at once from now on. With more, they are asked for at once; with fewer, what runs goes on, what was fetched
   * beyond them goes back, and nothing is begun until there are fewer.
   */
  scale(concurrency: number): void {
    this.#concurrency = concurrency
    this.leases.grow(concurrency + UNSETTLED_ROWS)
    this.#host.pool?.scale(concurrency)
    this.capacityChanged()
  }

  /** There are more or fewer places for messages than before. */
  capacityChanged(): void {
    this.#fetch.slotsChanged()
  }

  /** A lane's pause ended. */
  resumed(): void {
    this.#fetch.resumed()
  }

  /** Aborts every run whose message is cancelled now; called when a cancel arrives. Returns those. */
  recheckCancels(find: (message: Message) => { readonly reason: string } | undefined): Run[] {
    return this.#running.all().filter((run) => {
      const cancel = run.abortedAt === undefined ? find(run.message) : undefined
      if (cancel !== undefined) abortRun(run, 'cancelled', cancel.reason)
      return cancel !== undefined
    })
  }

  /** A handler left a rejected promise behind. */
  tellLeak(run: RunContext, failure: Failure): void {
    this.telling.tell('leak', run.source, { failure })
  }

  /** The timer could not put a message into this mailbox and has buried it. */
  tellUndelivered(message: Message, reason: DeadReason, failure: Failure): void {
    this.tally.of(message.name).undelivered(failure)
    this.telling.tell('dead', message, { reason, failure })
  }

  /** It was cancelled while a timer had it. */
  tellDropped(message: Message, reason: string): void {
    this.tally.of(message.name).outcomes.cancelled++
    this.telling.tell('cancelled', message, { reason })
  }

  finish(run: Run, outcome: Outcome): void {
    if (run.over) return
    run.over = true
    const ms = this.#running.end(run)
    if (run.delivery.count > 1) this.suspects.left(run)
    this.tally.of(run.message.name).ended(outcome, ms)
    run.ctx.onEnd?.(outcome)
    if (outcome.kind === 'done' && this.telling.tellsAll)
      this.tell('done', run, { durationMs: Math.round(ms * 100) / 100 })
    this.#settle.settle(run, outcome)
    this.#fetch.freed(ms)
    if (this.#running.size === 0) this.#running.look()
  }

  settled(run: Run): void {
    this.leases.leave(run.row)
    this.#running.settled()
  }

  /** What a handler says while it runs. */
  progress(run: RunContext, value: unknown): void {
    this.telling.tell('progress', run.source, { value })
  }

  tell<K extends keyof MessageEvents>(event: K, run: Run, detail: Detail<K>): void {
    this.telling.tell(event, run.message, detail)
  }

  #run(delivery: Delivery): void {
    // The loop stood still, or the buffer did: whoever has it now may be another worker.
    const startedAt = systemClock.monotonic()
    if (!this.leases.isFresh(delivery.leasedAt, startedAt)) return
    let message: Message
    let problem: unknown
    try {
      message = readMessage(delivery, this.subjects, this.spec.name)
      if (message.retry !== undefined) ruleFor(message, DEFAULT_RETRY)
    } catch (error) {
      problem = error
      message = unreadableMessage(delivery, this.subjects, this.spec.name)
    }
    const run = this.#begin(delivery, message, startedAt)
    if (problem !== undefined) return this.finish(run, unreadable(problem))
    if (this.telling.tellsAll) this.tell('started', run, {})
    execute(this, run)
  }

  #begin(delivery: Delivery, message: Message, startedAt: number): Run {
    const spec = this.spec.messages.get(message.name)
    const latestAt = message.deadline === undefined ? Infinity : startedAt + message.deadline - this.serverNow()
    const limitAt = Math.min(startedAt + (spec?.timeLimitMs ?? this.timeLimitMs), Math.max(startedAt, latestAt))
    const row = this.leases.enter(delivery, limitAt + this.graceMs + SETTLE_MS)
    const ctx = new RunContext(this, message, limitAt, latestAt)
    const run: Run = {
      delivery,
      message,
      spec,
      ctx,
      row,
      startedAt,
      slot: 0,
      crashes: NO_CRASHES,
      marked: false,
      abortedAt: undefined,
      over: false,
    }
    this.#running.begin(run)
    this.tally.of(message.name).started++
    this.#host.budget.left--
    return run
  }

  /** Messages that it can run at once, now: a thread or process that died or has not started yet has no place for one. */
  get #slots(): number {
    return Math.min(this.#concurrency, this.#host.pool?.capacity ?? Infinity)
  }

  #free(): number {
    return Math.min(this.#slots - this.#running.size, this.#host.budget.left)
  }

  #giveBack(delivery: Delivery): void {
    if (!this.leases.isFresh(delivery.leasedAt)) return
    this.#running.giveBack()
    this.acks.nak(delivery, 0, systemClock.monotonic() + this.leases.leaseMs * 0.1, () => this.#running.settled())
  }

  #tick(): void {
    const now = systemClock.monotonic()
    for (const run of this.#running.all()) watchRun(this, run, now)
    this.#fetch.tick()
  }
}
