/**
 * The watch on an actor's progress (P9): looks at its queues every few seconds, and says when one has stalled (flow/stall.ts). Its
 * supervisor then gives the actor a new life.
 *
 * JetStream is asked only about queues from which nothing came although there was room, and seldom while nothing waits in them: an idle
 * actor costs a request for each of its queues in 15 s by default. After a reconnect every consumer is made sure of at once.
 */
import type { ActorSpec } from './actor.ts'
import { JetStreamError } from './broker/api.ts'
import type { Broker } from './broker/broker.ts'
import { UnavailableError, toError } from './errors.ts'
import { isStalled, judge, type ConsumerLook, type Standing } from './flow/stall.ts'
import type { Logger } from './log.ts'
import { random } from './time/chance.ts'
import { systemClock } from './time/clock.ts'
import { formatDuration } from './time/duration.ts'

/** What is watched: a worker or a timer. */
export interface Watched {
  readonly queues: readonly WatchedQueue[]
  /** Whether at some moment since this was asked last there was no room for more. */
  wasFull(): boolean
}

export interface WatchedQueue {
  readonly stream: string
  readonly consumer: string
  /** Deliveries that ever came from it. */
  readonly arrived: number
}

/** A queue and what is pulled from it. */
export function watchedQueue(
  { stream, consumer }: Pick<WatchedQueue, 'stream' | 'consumer'>,
  pull: { readonly arrived: number },
): WatchedQueue {
  return {
    stream,
    consumer,
    get arrived() {
      return pull.arrived
    },
  }
}

export interface StallHost {
  readonly broker: Broker
  readonly log: Logger
  /** ms */
  readonly stalledAfterMs: number
  onStall(error: StallError): void
}

/** A worker got nothing of a backlog for too long. Code `STALLED`. */
export class StallError extends UnavailableError {
  /** Whether anything had come since the actor was started. */
  readonly hadProgress: boolean

  constructor(actor: string, { stream, consumer }: WatchedQueue, forMs: number, hadProgress: boolean) {
    const text = `expected messages from consumer ${consumer} of ${stream}, which has some to give, but nothing came for ${formatDuration(Math.round(forMs))} though there was room`
    super('STALLED', text, { data: { actor, stream, consumer, forMs: Math.round(forMs) } })
    this.hadProgress = hadProgress
  }
}

/** Looks in the time after which a suspicion is a stall, and idle looks in units of that time. */
const LOOKS = 3
const IDLE_LOOKS = 1.5
/** Systems that lost one server together should not ask the next one all at once. */
const SPREAD_MS = 500

export class StallWatch {
  readonly #spec: ActorSpec
  readonly #watched: readonly Watched[]
  readonly #host: StallHost
  readonly #standings = new Map<WatchedQueue, Standing>()
  readonly #unlisten: () => void
  #timer: NodeJS.Timeout | undefined
  /** Reconnects: a look that began before one must not put off what follows it. */
  #reconnects = 0
  #stopped = false
  #hadProgress = false

  constructor(spec: ActorSpec, watched: readonly Watched[], host: StallHost) {
    this.#spec = spec
    this.#watched = watched
    this.#host = host
    this.#unlisten = host.broker.connection.onConnected(() => this.#onConnected())
  }

  start(): void {
    this.#lookIn(this.#host.stalledAfterMs / LOOKS)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#unlisten()
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.#look(), ms)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const { stalledAfterMs } = this.#host
    const reconnects = this.#reconnects
    let isAnySuspect = false
    for (const watched of this.#watched) {
      const wasFull = watched.wasFull()
      for (const queue of watched.queues) isAnySuspect = (await this.#lookAt(queue, wasFull)) || isAnySuspect
    }
    if (reconnects === this.#reconnects)
      this.#lookIn(isAnySuspect ? stalledAfterMs / LOOKS : stalledAfterMs * IDLE_LOOKS)
  }

  async #lookAt(queue: WatchedQueue, wasFull: boolean): Promise<boolean> {
    const before = this.#standings.get(queue)
    const { arrived } = queue
    if (arrived > 0) this.#hadProgress = true
    const isQuiet = before?.arrived === arrived && !wasFull
    const consumer = isQuiet ? await this.#ask(queue) : undefined
    // What came while it was asked is progress too.
    const now = systemClock.monotonic()
    const standing = judge(before, { arrived: queue.arrived, wasFull, consumer }, now)
    this.#standings.set(queue, standing)
    if (standing.suspectSince === undefined || this.#stopped) return false
    if (consumer === 'gone') await this.#mend()
    if (isStalled(standing, this.#host.stalledAfterMs, now)) {
      this.stop()
      this.#host.onStall(new StallError(this.#spec.name, queue, now - standing.suspectSince, this.#hadProgress))
    }
    return true
  }

  /** Undefined where nobody says: while NATS is away, or to a user that may not ask. */
  async #ask({ stream, consumer }: WatchedQueue): Promise<ConsumerLook | 'gone' | undefined> {
    const { connection, api } = this.#host.broker
    if (!connection.connected) return undefined
    try {
      const info = await api.consumerInfo(stream, consumer)
      const { num_pending: waiting, num_ack_pending: unsettled, config } = info
      return { waiting, unsettled, isPaused: info.paused === true, limit: config.max_ack_pending ?? -1 }
    } catch (error) {
      return error instanceof JetStreamError && error.refusal === 'gone' ? 'gone' : undefined
    }
  }

  #onConnected(): void {
    // Nothing came while the connection was away, and that is no stall.
    this.#standings.clear()
    this.#reconnects++
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#mend().then(() => this.start()), random() * SPREAD_MS)
    this.#timer.unref()
  }

  /** All that the actor has in NATS is there, or is made again. */
  async #mend(): Promise<void> {
    const { broker, log } = this.#host
    broker.assets.forget()
    await broker.assets.worker(this.#spec).catch((error: unknown) => {
      if (!this.#stopped)
        log.warn('the assets of an actor could not be made sure of', { actor: this.#spec.name, error: toError(error) })
    })
  }
}
