/** What a system says of itself: the answer to the control verb `status`, and asking all systems for it. */
import { hostname } from 'node:os'

import { troupeVersion, type Application } from '../application.ts'
import type { Broker } from '../broker/broker.ts'
import { askAllSystems, type Control } from '../broker/control.ts'
import type { EventLevel } from '../events.ts'
import type { ActorWorker } from '../flow/worker.ts'
import type { Observing } from '../observe/observing.ts'
import { MessageTally, type OutcomeCounts } from '../observe/tally.ts'
import { systemClock } from '../time/clock.ts'
import { Rates } from './rates.ts'
import { readRunningFilter, runningOf } from './running.ts'

/** One actor in one system. Counts are since the system started. */
export interface ActorStatus {
  readonly actor: string
  readonly concurrency: number
  readonly running: number
  /** Fetched and not begun. */
  readonly buffered: number
  readonly events: EventLevel
  readonly outcomes: OutcomeCounts
  /** Runs that ended, per second over the last minute. */
  readonly perSecond: number
}

export interface SystemStatus {
  readonly system: string
  readonly host: string
  readonly pid: number
  readonly application: string
  readonly version: string
  readonly troupe: string
  /** RFC 3339. */
  readonly startedAt: string
  /** Resident memory of the process: bytes. */
  readonly memory: number
  readonly stopping: boolean
  readonly actors: readonly ActorStatus[]
}

export interface StatusParts {
  readonly system: string
  readonly application: Application
  readonly observing: Observing
  readonly control: Control
  /** Those that live now, by actor. */
  workers(): ReadonlyMap<string, ActorWorker>
  stopping(): boolean
}

/** Answers `status`, `running` and `held`. */
export class StatusAnswers {
  readonly #parts: StatusParts
  readonly #rates: Rates
  readonly #startedAt = new Date(systemClock.now()).toISOString()

  constructor(parts: StatusParts) {
    this.#parts = parts
    this.#rates = new Rates(() =>
      [...parts.observing.tallies.keys()].map((actor) => [actor, ended(this.#outcomes(actor))] as const),
    )
    parts.control.on('status', () => this.status())
    parts.control.on('held', (body) => parts.workers().get(readRunningFilter(body).actor ?? '')?.held ?? [])
    parts.control.on('running', (body) => runningOf(parts.system, parts.workers().values(), readRunningFilter(body)))
  }

  start(): void {
    this.#rates.start()
  }
  stop(): void {
    this.#rates.stop()
  }

  status(): SystemStatus {
    const { system, application } = this.#parts
    return {
      system,
      host: hostname(),
      pid: process.pid,
      application: application.name,
      version: application.version,
      troupe: troupeVersion(),
      startedAt: this.#startedAt,
      memory: process.memoryUsage.rss(),
      stopping: this.#parts.stopping(),
      actors: [...this.#parts.workers()].map(([actor, worker]) => this.#actor(actor, worker)),
    }
  }

  #actor(actor: string, worker: ActorWorker): ActorStatus {
    const outcomes = this.#outcomes(actor)
    return {
      actor,
      concurrency: worker.concurrency,
      running: worker.running.length,
      buffered: worker.buffered,
      events: worker.telling.level,
      outcomes,
      perSecond: this.#rates.of(actor, ended(outcomes)),
    }
  }

  #outcomes(actor: string): OutcomeCounts {
    const messages = this.#parts.observing.tallies.get(actor)?.messages.values() ?? []
    return [...messages].reduce((sum, { outcomes }) => added(sum, outcomes), new MessageTally().outcomes)
  }
}

function added(a: OutcomeCounts, b: OutcomeCounts): OutcomeCounts {
  const kinds = Object.keys(a) as (keyof OutcomeCounts)[]
  return Object.fromEntries(kinds.map((kind) => [kind, a[kind] + b[kind]])) as OutcomeCounts
}

/** Runs that ended by what they did themselves. */
function ended({ done, retry, snooze, dead }: OutcomeCounts): number {
  return done + retry + snooze + dead
}

/** All systems that answer in time. */
export async function askSystemStatus(broker: Broker): Promise<SystemStatus[]> {
  const answers = await askAllSystems(broker, 'status')
  return answers.flatMap(({ value }) => (isStatus(value) ? [value] : []))
}

/** A system of another version may say less, or something else. */
function isStatus(value: unknown): value is SystemStatus {
  return (
    typeof value === 'object' && value !== null && 'actors' in value && Array.isArray(value.actors) && 'system' in value
  )
}
