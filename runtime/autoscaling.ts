/**
 * Autoscaling of one actor in one system: looks once a second, and scales its worker as flow/autoscale.ts decides.
 *
 * What waits is asked of JetStream only while the slots are taken: else nothing waits, or this worker would take it.
 */
import { availableParallelism } from 'node:os'

import type { Broker } from './broker/broker.ts'
import { readLanes } from './broker/depth.ts'
import { checkKeys, count, invalid, positive } from './checks.ts'
import { AT_REST, nextSize, type Move, type Sizing, type Trend } from './flow/autoscale.ts'
import type { ActorWorker } from './flow/worker.ts'
import { systemClock } from './time/clock.ts'
import type { Duration } from './time/duration.ts'

/** How a worker's concurrency follows its work, in each system for itself. */
export interface AutoscaleOptions {
  /** Fewest messages at once. Default: `concurrency`, or 10; of threads and processes 1. */
  readonly min?: number
  /** Most messages at once. Default: 50 for each core of the machine; of threads and processes as many as it has cores. */
  readonly max?: number
  /** It grows while what waits would not be begun within this time. Default 1 s. */
  readonly wait?: Duration
  /** It shrinks when so long nothing waited and a good part was not used. Default 30 s. */
  readonly calm?: Duration
}

const KEYS = ['min', 'max', 'wait', 'calm']
const INLINE_PER_CORE = 50
const WAIT_MS = 1_000
const CALM_MS = 30_000

/** What an actor says of it, checked; bounds that it does not give depend on the machine where it runs (`sizingOf`). */
export type Autoscale = Partial<Sizing>

/** Throws `ConfigError` `INVALID_OPTION`. */
export function resolveAutoscale(input: AutoscaleOptions | boolean | undefined, name: string): Autoscale | undefined {
  if (input === undefined || input === false) return undefined
  if (input === true) return {}
  if (typeof input !== 'object' || input === null)
    throw invalid(name, 'true, false or an object with min and max', input)
  checkKeys(input, KEYS, name)
  const [min, max] = [count(input.min, `${name}.min`), count(input.max, `${name}.max`)]
  if (min !== undefined && max !== undefined && min > max)
    throw invalid(`${name}.min`, `at most ${name}.max (${max})`, min)
  const [waitMs, calmMs] = [positive(input.wait, `${name}.wait`), positive(input.calm, `${name}.calm`)]
  return {
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(waitMs === undefined ? {} : { waitMs }),
    ...(calmMs === undefined ? {} : { calmMs }),
  }
}

/** Its bounds on this machine. `start`: what it begins with where it is not autoscaled. */
export function sizingOf(autoscale: Autoscale, isIsolated: boolean, start: number): Sizing {
  const cores = availableParallelism()
  const { waitMs = WAIT_MS, calmMs = CALM_MS } = autoscale
  const usual = { min: isIsolated ? 1 : start, max: isIsolated ? cores : INLINE_PER_CORE * cores }
  // A bound that is given moves the one that is not out of its way.
  const max = autoscale.max ?? Math.max(usual.max, autoscale.min ?? 0)
  return { min: Math.min(max, autoscale.min ?? usual.min), max, waitMs, calmMs }
}

export interface AutoscalerHost {
  readonly broker: Broker
  readonly worker: ActorWorker
  readonly sizing: Sizing
  /** Whether its handlers run on this event loop. */
  readonly isInline: boolean
  scale(size: number, why: NonNullable<Move['why']>): void
}

const LOOK_MS = 1_000
const SAMPLE_MS = 50
const SAMPLES = LOOK_MS / SAMPLE_MS

export class Autoscaler {
  readonly #host: AutoscalerHost
  readonly #timer: NodeJS.Timeout
  #trend: Trend = AT_REST
  #taken: number[] = []
  #last: { readonly at: number; readonly ended: number }
  #loop = performance.eventLoopUtilization()
  #cpu = { at: systemClock.monotonic(), used: process.cpuUsage() }
  #isLooking = false

  constructor(host: AutoscalerHost) {
    this.#host = host
    this.#last = { at: systemClock.monotonic(), ended: host.worker.pace.ended }
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    this.#taken.push(this.#host.worker.pace.running)
    if (this.#taken.length < SAMPLES || this.#isLooking) return
    this.#isLooking = true
    void this.#look().finally(() => (this.#isLooking = false))
  }

  async #look(): Promise<void> {
    const { worker, sizing, isInline } = this.#host
    if (worker.stopping) return
    const taken = this.#taken
    this.#taken = []
    const [busy, peak] = [taken.reduce((sum, one) => sum + one, 0) / taken.length, Math.max(...taken)]
    const perSecond = this.#pace()
    const loopShare = this.#loopShare()
    const size = worker.concurrency
    const backlog = peak >= size ? await this.#backlog() : worker.buffered
    if (backlog === undefined || worker.stopping || worker.concurrency !== size) return
    const sample = { size, busy, peak, backlog, perSecond, loopShare: isInline ? loopShare : 0 }
    const move = nextSize(sizing, this.#trend, sample, systemClock.monotonic())
    this.#trend = move.trend
    if (move.why !== undefined) this.#host.scale(move.size, move.why)
  }

  #pace(): number {
    const [at, { ended }] = [systemClock.monotonic(), this.#host.worker.pace]
    const perSecond = ((ended - this.#last.ended) * 1_000) / Math.max(1, at - this.#last.at)
    this.#last = { at, ended }
    return perSecond
  }

  /**
   * How busy the event loop is. Where the machine is short of cores its time passes though nothing is done, and where there are
   * threads the process works though the loop does not: it is busy where both say so.
   */
  #loopShare(): number {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.#loop)
    const { user, system } = process.cpuUsage(this.#cpu.used)
    const at = systemClock.monotonic()
    const cores = (user + system) / 1_000 / Math.max(1, at - this.#cpu.at)
    this.#loop = now
    this.#cpu = { at, used: process.cpuUsage() }
    return Math.min(utilization, cores)
  }

  /** Undefined where NATS does not say: then it stays as it is. What waits in a paused lane waits for something else. */
  async #backlog(): Promise<number | undefined> {
    const { broker, worker } = this.#host
    if (!broker.connection.connected) return undefined
    const lanes = await readLanes(broker, worker.spec.name, broker.assets.lanesOf(worker.spec)).catch(() => undefined)
    const waiting = lanes?.filter(({ pausedUntil }) => pausedUntil === undefined).map((lane) => lane.waiting)
    return waiting?.reduce((sum, one) => sum + one, worker.buffered)
  }
}
