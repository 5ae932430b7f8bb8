/**
 * One actor in one system: its worker, its timer and its live endpoints, which start and stop together.
 *
 * A hosted actor is started once and stopped once; who restarts an actor makes a new one. So nothing of what failed is
 * taken along: buffers, pulls and tables begin empty, and the consumers in JetStream know what was not acked.
 */
import type { ActorSpec } from './actor.ts'
import type { Broker } from './broker/broker.ts'
import type { Cancel } from './broker/cancels.ts'
import { serveActor, type LiveService } from './broker/service.ts'
import { Live } from './flow/live.ts'
import type { ActorWorker } from './flow/worker.ts'

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
}

export interface HostedParts {
  readonly spec: ActorSpec
  readonly worker: ActorWorker
  readonly timer: HostedTimer
  /** Name of the system, told in the micro service's metadata. */
  readonly system: string
  /** Ends what is left of its tables when all has stopped. */
  drop(): void
}

export class HostedActor {
  readonly spec: ActorSpec
  readonly worker: ActorWorker
  readonly timer: HostedTimer
  readonly #parts: HostedParts
  #service: LiveService | undefined

  constructor(parts: HostedParts) {
    this.#parts = parts
    this.spec = parts.spec
    this.worker = parts.worker
    this.timer = parts.timer
  }

  /** Resolves when its worker pulls, its timer runs and its endpoints are heard. */
  async start(broker: Broker): Promise<void> {
    await Promise.all([this.worker.start(), this.timer.start()])
    this.#service = await serveActor(broker, this.spec, new Live(this.worker.liveHost()), {
      system: this.#parts.system,
    })
  }

  /** All at once: from this moment on nothing is taken any more, wherever it would come from. */
  async stop(withinMs: number): Promise<void> {
    await Promise.all([this.#service?.stop(withinMs), this.timer.stop(), this.worker.stop(withinMs)])
    this.#parts.drop()
  }

  /** What runs gets no more time. */
  hurry(): void {
    this.worker.hurry()
    this.#service?.hurry()
  }
}
