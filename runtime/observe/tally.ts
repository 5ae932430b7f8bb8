/**
 * What became of the messages of an actor in this system, counted since the system started: by message, and by what ended
 * each run. It outlives the workers: who restarts one goes on counting.
 *
 * Everything that shows numbers reads these: the micro service's stats, Prometheus, `troupe status`.
 */
import type { Failure } from '../errors.ts'
import type { Outcome } from '../outcome.ts'
import { systemClock } from '../time/clock.ts'
import { Histogram } from './histogram.ts'

export type OutcomeCounts = { [K in Outcome['kind']]: number }

/** Newest failure of a message, for people. */
export interface LastError {
  /** Epoch ms. */
  readonly at: number
  readonly failure: Failure
}

/** One message's name in one actor. */
export class MessageTally {
  /** Runs that ended, by what ended them. */
  readonly outcomes: OutcomeCounts = {
    done: 0,
    retry: 0,
    snooze: 0,
    dead: 0,
    cancelled: 0,
    expired: 0,
    released: 0,
    crashed: 0,
    settled: 0,
    'lease-lost': 0,
  }
  /** Of runs whose handler was called and ended: its time. */
  readonly processing = new Histogram()
  readonly calls = new LiveTally()
  readonly broadcasts = new LiveTally()
  started = 0
  lastError: LastError | undefined

  /** A run ended after that time. */
  ended(outcome: Outcome, ms: number): void {
    this.outcomes[outcome.kind]++
    if (!UNPROCESSED.has(outcome.kind)) this.processing.add(ms)
    if (outcome.kind === 'retry' || outcome.kind === 'dead')
      this.lastError = { at: systemClock.now(), failure: outcome.failure }
  }

  /** A message that never ran became a dead letter: the timer could not put it into the mailbox. */
  undelivered(failure: Failure): void {
    this.outcomes.dead++
    this.lastError = { at: systemClock.now(), failure }
  }

  /** Attempts that failed, whether they are tried again or not. */
  get failed(): number {
    return this.outcomes.retry + this.outcomes.dead
  }
}

/** Ends of runs whose handler was not called, or not to its end. */
const UNPROCESSED: ReadonlySet<Outcome['kind']> = new Set(['expired', 'settled', 'released', 'crashed'])

/** Live calls, or broadcasts, of one message. */
export class LiveTally {
  readonly processing = new Histogram()
  errors = 0
  lastError: string | undefined

  ended(ms: number, error: string | undefined): void {
    this.processing.add(ms)
    if (error === undefined) return
    this.errors++
    this.lastError = error
  }
}

export class ActorTally {
  readonly actor: string
  readonly messages: ReadonlyMap<string, MessageTally>
  /** Messages with names that the actor does not have. */
  readonly unknown = new MessageTally()

  constructor(actor: string, names: Iterable<string>) {
    this.actor = actor
    this.messages = new Map(Array.from(names, (name) => [name, new MessageTally()]))
  }

  of(message: string): MessageTally {
    return this.messages.get(message) ?? this.unknown
  }

  /** All messages together. */
  sum(pick: (tally: MessageTally) => number): number {
    let sum = pick(this.unknown)
    for (const tally of this.messages.values()) sum += pick(tally)
    return sum
  }
}
