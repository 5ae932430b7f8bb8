/** What a system notices of its process and of its connection, and tells: a log line and an event each. */
import { MOST_NAMED } from './broker/beats.ts'
import type { Connection } from './broker/connection.ts'
import type { RunContext } from './context.ts'
import { toError, toFailure } from './errors.ts'
import type { SystemEvent, SystemEvents } from './events.ts'
import type { Logger } from './log.ts'
import type { ProcessWatchHost } from './processWatch.ts'
import type { Roster } from './roster.ts'
import { systemClock } from './time/clock.ts'

export interface MishapsHost {
  readonly log: Logger
  readonly roster: Roster
  readonly connection: Connection
  tell<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void
  /** Whether the whole system stops. */
  stopping(): boolean
}

export class Mishaps implements ProcessWatchHost {
  readonly #host: MishapsHost

  constructor(host: MishapsHost) {
    this.#host = host
  }

  /** A promise that a handler made and nobody waits for was rejected: a bug of the handler's, but no reason to end anything. */
  onLeak(error: Error, run: RunContext | undefined): void {
    const { log, roster } = this.#host
    if (run === undefined) return log.error('a promise was rejected and nobody handled it', { error })
    const { id, actor, message, attempt } = run
    log.error('a handler left a rejected promise behind', { id, actor, message, attempt, error })
    roster.of(actor)?.worker.tellLeak(run, toFailure(error))
  }

  onBlocked(stoodMs: number): void {
    const forMs = Math.round(stoodMs)
    const since = systemClock.monotonic() - stoodMs
    const running = this.#host.roster
      .living()
      .filter(({ spec }) => spec.isolation === undefined)
      .flatMap(({ worker }) => worker.runningSince(since))
      .map(({ id, actor, name }) => ({ id, message: `${actor}.${name}` }))
      .slice(0, MOST_NAMED)
    this.#host.log.warn('the event loop stood still: a handler blocks it', { forMs, running })
    this.#host.tell('blocked', { forMs, isOver: true, running })
  }

  /** Does what may fail and must not hold anything up. */
  async survive(what: string, act: () => unknown): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#host.log.error(what, { error: toError(error) })
    }
  }

  /** The same for what is called in the midst of the work on a message. */
  surviveNow(what: string, act: () => unknown): void {
    try {
      act()
    } catch (error) {
      this.#host.log.error(what, { error: toError(error) })
    }
  }

  /** Returns what ends the watch. */
  watchConnection(): (() => void)[] {
    const { connection, log } = this.#host
    return [
      connection.onDisconnected(() => {
        if (!this.#host.stopping()) log.warn('disconnected from NATS; trying again', { server: connection.server })
      }),
      connection.onConnected(() => {
        log.info('connected to NATS again', { server: connection.server })
        this.#host.tell('reconnected', {})
      }),
      connection.onProblem((error, isClaimed) => {
        if (!isClaimed) log.warn('NATS reports a problem', { error })
      }),
    ]
  }
}
