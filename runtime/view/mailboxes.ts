/**
 * What waits in the mailboxes: looking at it, taking it out, moving it to another lane or actor.
 *
 * A message that a worker has in hand (it runs, or is fetched and about to) belongs to that worker: it is shown as `held` and left
 * alone; cancel stops it. Who has what is asked of the systems: JetStream only knows what was handed out at some time.
 *
 * Moving one is three steps. Its copy is stored under the key `move:<stream>:<sequence>:<salt>`: of two movers one makes it, and the other
 * leaves the rest to that one. (The salt is a word that senders don't know: a message of theirs under that key would make ours look
 * like a repeat.) Then the original is deleted, confirmed by the leader. Where it was gone already, since a worker took and settled it
 * meanwhile, the copy is deleted again: it may have run by then, too. Who dies between the steps leaves both, and the message runs
 * twice. Nothing is lost at any step.
 */
import type { Stored } from '../broker/api.ts'
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { encodeHeaders, H, headerText, type HeaderEntry } from '../broker/headers.ts'
import { scan } from '../broker/scan.ts'
import { LANES, type Lane } from '../broker/subjects.ts'
import { explainRefusal } from '../client/refusals.ts'
import { decode } from '../codec/codec.ts'
import { ConfigError, describe } from '../errors.ts'
import { keptHeaders } from '../flow/copies.ts'
import { readMessage, unreadableMessage, type Message } from '../message.ts'
import { systemClock } from '../time/clock.ts'
import { parseDuration, type Duration } from '../time/duration.ts'
import { askHeld } from './running.ts'

/** A message in a mailbox. */
export interface WaitingMessage {
  readonly id: string
  readonly actor: string
  readonly message: string
  readonly lane: Lane
  /** Its place in the stream. */
  readonly sequence: number
  /** How many wait before it in its lane; undefined for one that is held. */
  readonly position: number | undefined
  /** `held`: a worker has it in hand. */
  readonly state: 'waiting' | 'held'
  readonly attempt: number
  readonly sentAt: Date
  readonly expiresAt: Date | undefined
  readonly sender: string
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of the body. */
  readonly size: number
  readonly body: Uint8Array
  /** The payload, or undefined where the body is not what its content type says. */
  readonly payload: unknown
}

/** Which messages are meant; all that are given must match. */
export interface WaitingFilter {
  readonly id?: string
  readonly message?: string
  readonly lane?: Lane
  /** Sent so long ago or earlier. */
  readonly olderThan?: Duration
  readonly root?: string
  readonly header?: { readonly name: string; readonly value: string }
  readonly sequence?: number
}

export interface TouchOptions {
  /** Say which would be touched, and touch none. */
  readonly dryRun?: boolean
  /** Most messages to touch. Default: all. */
  readonly limit?: number
}

/** Where to: another lane, another actor, another message; what is not given stays. */
export interface MoveTarget {
  readonly lane?: Lane
  readonly actor?: string
  readonly message?: string
}

export class Mailboxes {
  readonly #broker: Broker

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** What is in a mailbox, in the order of its lanes, oldest first. Throws `ActorError` `UNKNOWN_ACTOR`. */
  async *peek(
    actor: string,
    filter: WaitingFilter = {},
    options: { limit?: number } = {},
  ): AsyncGenerator<WaitingMessage> {
    await this.#checkActor(actor)
    const test = tester(filter)
    const lanes = filter.lane === undefined ? LANES : [checkLane(filter.lane)]
    let left = options.limit ?? Infinity
    const held = await askHeld(this.#broker, actor)
    for (const lane of lanes) {
      for await (const found of this.#lane(actor, lane, filter, held)) {
        if (left <= 0) return
        if (!test(found.source, found.shown)) continue
        left--
        yield found.shown
      }
    }
  }

  /** Deletes what waits. What a worker holds is left: cancel stops it. Returns those that were deleted, or would be. */
  async purge(actor: string, filter: WaitingFilter, options: TouchOptions = {}): Promise<WaitingMessage[]> {
    const { api, subjects } = this.#broker
    const purge = ({ sequence }: WaitingMessage): Promise<boolean> =>
      api.deleteMessage(subjects.mailboxStream(actor), sequence)
    return this.#each(actor, filter, options, purge)
  }

  /** Moves what waits. Returns those that were moved, or would be. Throws `ConfigError`, `ActorError` `UNKNOWN_ACTOR`. */
  async move(
    actor: string,
    filter: WaitingFilter,
    to: MoveTarget,
    options: TouchOptions = {},
  ): Promise<WaitingMessage[]> {
    if (to.lane !== undefined) checkLane(to.lane)
    if (to.lane === undefined && to.actor === undefined && to.message === undefined)
      throw new ConfigError('INVALID_OPTION', 'expected a lane, an actor or a message to move to, got none of them')
    await this.#checkActor(to.actor ?? actor)
    return this.#each(actor, filter, options, (message) => this.#moveOne(message, to))
  }

  /** Lists first, touches then: what is moved into a lane must not be met again there. */
  async #each(
    actor: string,
    filter: WaitingFilter,
    { dryRun, limit }: TouchOptions,
    touch: (message: WaitingMessage) => Promise<boolean>,
  ): Promise<WaitingMessage[]> {
    const waiting: WaitingMessage[] = []
    for await (const message of this.peek(actor, filter)) {
      if (message.state === 'waiting') waiting.push(message)
      if (waiting.length >= (limit ?? Infinity)) break
    }
    if (dryRun === true) return waiting
    const touched: WaitingMessage[] = []
    for (const message of waiting) if (await touch(message)) touched.push(message)
    return touched
  }

  async #moveOne(from: WaitingMessage, to: MoveTarget): Promise<boolean> {
    const { api, subjects, publisher } = this.#broker
    const target = { actor: to.actor ?? from.actor, message: to.message ?? from.message, lane: to.lane ?? from.lane }
    const source = subjects.mailboxStream(from.actor)
    const stored = await api.readMessage(source, { seq: from.sequence })
    if (stored === undefined) return false
    const stream = subjects.mailboxStream(target.actor)
    const salt = await this.#broker.assets.timerSalt(target.actor).catch(ifGone)
    const key = `move:${source}:${from.sequence}:${salt ?? ''}`
    const copy = await publisher
      .publish({
        subject: subjects.message(target.actor, target.message, target.lane),
        payload: stored.data,
        headers: encodeHeaders(movedHeaders(messageOf(stored, this.#broker, from.actor), stored, key)),
        stream,
        repeatMs: 30_000,
        awayMs: 5_000,
      })
      .catch(async (error: unknown) => {
        throw await explainRefusal(this.#broker, target, error)
      })
    // A copy that was there already is another mover's, and so is the rest.
    if (copy.duplicate) return false
    if (await api.deleteMessage(source, from.sequence)) return true
    await api.deleteMessage(stream, copy.sequence)
    return false
  }

  async *#lane(
    actor: string,
    lane: Lane,
    { sequence }: WaitingFilter,
    held: ReadonlySet<number>,
  ): AsyncGenerator<{ source: Message; shown: WaitingMessage }> {
    const { subjects } = this.#broker
    const stream = subjects.mailboxStream(actor)
    let position = 0
    const from = sequence === undefined ? {} : { from: sequence, batch: 1 }
    for await (const stored of scan(this.#broker, stream, { filter: subjects.lane(actor, lane), ...from })) {
      if (sequence !== undefined && stored.sequence !== sequence) return
      const source = messageOf(stored, this.#broker, actor)
      const isWaiting = !held.has(stored.sequence)
      yield { source, shown: shownOf(stored, source, lane, isWaiting ? position++ : undefined) }
    }
  }

  async #checkActor(actor: string): Promise<void> {
    const { api, subjects } = this.#broker
    await api.streamInfo(subjects.mailboxStream(actor)).catch(async (error: unknown) => {
      throw await explainRefusal(this.#broker, { actor, message: '' }, error)
    })
  }
}

function movedHeaders(message: Message, stored: Stored, key: string): HeaderEntry[] {
  return [
    ...keptHeaders(message),
    [H.id, headerText(message.id)],
    [H.attempt, String(message.attempt)],
    [H.sent, String(message.sentAt)],
    [H.origin, `${stored.stream}:${stored.sequence}`],
    [H.dedupe, key],
    ...(stored.headers.get(H.history) === undefined ? [] : [[H.history, stored.headers.get(H.history) ?? ''] as const]),
  ]
}

/** Also of a message whose headers cannot be read, as far as it is known. */
function messageOf(stored: Stored, { subjects }: Broker, actor: string): Message {
  try {
    return readMessage(stored, subjects, actor)
  } catch {
    return unreadableMessage(stored, subjects, actor)
  }
}

function shownOf(stored: Stored, source: Message, lane: Lane, position: number | undefined): WaitingMessage {
  return {
    id: source.id,
    actor: source.actor,
    message: source.name,
    lane,
    sequence: stored.sequence,
    position,
    state: position === undefined ? 'held' : 'waiting',
    attempt: source.attempt,
    sentAt: new Date(source.sentAt),
    expiresAt: source.expires === undefined ? undefined : new Date(source.expires),
    sender: source.sender,
    headers: stored.headers.toObject(),
    size: stored.data.length,
    body: stored.data,
    payload: payloadOf(source.contentType, stored.data),
  }
}

function payloadOf(contentType: string | undefined, body: Uint8Array): unknown {
  try {
    return decode(contentType, body)
  } catch {
    return undefined
  }
}

function tester(filter: WaitingFilter): (source: Message, shown: WaitingMessage) => boolean {
  const { id, message, root, header } = filter
  const before =
    filter.olderThan === undefined ? Infinity : systemClock.now() - parseDuration(filter.olderThan, 'olderThan')
  return (source) =>
    (id === undefined || source.id === id) &&
    (message === undefined || source.name === message) &&
    (root === undefined || source.root === root) &&
    (header === undefined || source.headers.get(header.name) === header.value) &&
    source.sentAt <= before
}

function checkLane(lane: unknown): Lane {
  const found = LANES.find((one) => one === lane)
  if (found !== undefined) return found
  throw new ConfigError('INVALID_OPTION', `expected lane to be one of ${LANES.join(', ')}, got: ${describe(lane)}`)
}

function ifGone(error: unknown): undefined {
  if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
  throw error
}
