/**
 * Pausing an actor: its lanes' consumers are paused in JetStream, for all workers, as `nats consumer pause` does it. What runs
 * goes on to its end; what is sent waits, and delayed messages still come into the mailbox at their time.
 *
 * JetStream keeps the pause: it outlives workers, and a worker that starts does not undo it (the server leaves `pause_until`
 * of a consumer that exists as it is, whatever the definition says).
 */
import { specOf, type AnyActor } from '../actor.ts'
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { readLanes, type MailboxLane } from '../broker/depth.ts'
import { checkName, LANES, type Lane } from '../broker/subjects.ts'
import { ActorError, ConfigError, describe, didYouMean } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { parseDuration, parseInstant, type Duration } from '../time/duration.ts'
import { explainRefusal } from './refusals.ts'

export interface PauseOptions {
  /** Only this lane. Default: all that the actor has. */
  readonly lane?: Lane
  /** It ends by itself after that time. Default: it holds until `resume`. */
  readonly for?: Duration
  /** It ends by itself at that moment. */
  readonly until?: Date | string | number
}

export interface PausedLane {
  /** `all` for an actor with a cluster-wide limit: it has one queue. */
  readonly lane: MailboxLane
  /** When it ends by itself; undefined: not before somebody resumes it. */
  readonly until: Date | undefined
}

/** What stands for "until somebody resumes it": JetStream knows moments only. */
export const FOR_EVER = Date.UTC(9999, 11, 31)

/** A moment as JetStream tells it, or undefined for one that stands for ever. */
export function pauseEnd(epochMs: number): Date | undefined {
  return epochMs >= FOR_EVER ? undefined : new Date(epochMs)
}

export class Pausing {
  readonly #broker: Broker

  constructor(broker: Broker) {
    this.#broker = broker
  }

  async pause(actor: string | AnyActor, options: PauseOptions = {}): Promise<PausedLane[]> {
    const until = pauseUntil(options)
    const lanes = await this.#set(actor, options.lane, until)
    return lanes.map((lane) => ({ lane, until: pauseEnd(until) }))
  }

  async resume(actor: string | AnyActor, options: { readonly lane?: Lane } = {}): Promise<MailboxLane[]> {
    return this.#set(actor, options.lane, undefined)
  }

  async #set(of: string | AnyActor, lane: Lane | undefined, until: number | undefined): Promise<MailboxLane[]> {
    const actor = typeof of === 'string' ? checkName(of, 'actor') : specOf(of).name
    if (lane !== undefined && !LANES.includes(lane)) throw badLane(lane, LANES)
    const stream = this.#broker.subjects.mailboxStream(actor)
    const lanes = await this.#lanes(actor)
    const chosen = lane === undefined ? lanes : lanes.filter((one) => one === lane)
    if (chosen.length === 0) throw noLane(actor, lane, lanes)
    for (const one of chosen) await this.#broker.api.pauseConsumer(stream, one, until)
    return chosen
  }

  async #lanes(actor: string): Promise<MailboxLane[]> {
    const lanes = await readLanes(this.#broker, actor).catch(async (error: unknown) => {
      if (error instanceof JetStreamError) throw await explainRefusal(this.#broker, { actor, message: '' }, error)
      throw error
    })
    return lanes.map(({ lane }) => lane)
  }
}

function pauseUntil({ for: time, until }: PauseOptions): number {
  if (time !== undefined && until !== undefined)
    throw new ConfigError('INVALID_OPTION', 'expected either "for" or "until", got both')
  if (time !== undefined) return systemClock.now() + parseDuration(time, 'for')
  if (until === undefined) return FOR_EVER
  const at = parseInstant(until, 'until')
  if (at > systemClock.now()) return at
  throw new ConfigError('INVALID_OPTION', `expected until to be a moment to come, got: ${describe(until)}`)
}

function noLane(actor: string, lane: Lane | undefined, lanes: readonly MailboxLane[]): Error {
  if (lanes.length === 0) {
    const text = `expected actor ${actor} to have lanes, but it has none: its first worker makes them. Start one.`
    return new ActorError('NO_LANES', text, { data: { actor } })
  }
  return badLane(lane, lanes)
}

function badLane(lane: unknown, lanes: readonly string[]): ConfigError {
  const only = lanes.includes('all') ? ' (with its cluster-wide limit the actor has one queue: leave the lane out)' : ''
  const text = `expected lane to be one of ${lanes.join(', ')}, got: ${describe(lane)}${didYouMean(String(lane), lanes)}${only}`
  return new ConfigError('INVALID_OPTION', text)
}
