/**
 * Dead letters: seeing them and giving them another try.
 *
 * Retrying one is two steps: put it into its mailbox under the key `revive:<its sequence>:<salt>` (a word that senders can't
 * know: a message of theirs under that key would make ours look like a repeat, and be deleted here), then delete it. Two people who
 * retry the same one at once store it once (the key); whoever dies between the steps leaves a dead letter that is still
 * listed, and retrying that within the mailbox's dedupe window stores nothing again.
 */
import { JetStreamError, type Stored } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { encodeHeaders, H, type HeaderEntry } from '../broker/headers.ts'
import { encodeToken } from '../broker/subjects.ts'
import { decode } from '../codec/codec.ts'
import { ActorError, type Failure } from '../errors.ts'
import { keptHeaders, readHistory, type DeadDetail, type PastAttempt } from '../flow/copies.ts'
import type { CrashReport } from '../isolation/crash.ts'
import { unreadableMessage } from '../message.ts'
import { systemClock } from '../time/clock.ts'
import { parseInstant, parseDuration, type Duration } from '../time/duration.ts'
import { explainRefusal } from './refusals.ts'

export interface DeadLetter {
  readonly id: string
  readonly actor: string
  readonly message: string
  /** Its place among the dead letters: names exactly this one, where the same id died more than once. */
  readonly sequence: number
  /** A `DeadReason`, or one of a newer version. */
  readonly reason: string
  readonly failure: Failure
  readonly stack: string | undefined
  /** Number of the attempt that was its last. */
  readonly attempts: number
  readonly history: readonly PastAttempt[]
  /** Of a poison message: what is known of the crashes of what ran it. */
  readonly crashes: readonly CrashReport[]
  readonly worker: string | undefined
  readonly diedAt: Date
  readonly sentAt: Date | undefined
  /** `<stream>:<sequence>` of the delivery that died. */
  readonly origin: string
  /** The subject that it was sent to. */
  readonly subject: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The payload, or undefined where the body is not what its content type says. */
  readonly payload: unknown
}

/** Which dead letters are meant; all that are given must match. */
export interface DeadFilter {
  readonly id?: string
  readonly actor?: string
  readonly message?: string
  readonly reason?: string
  /** Died so long ago or earlier. */
  readonly olderThan?: Duration
  /** Died after that moment. */
  readonly since?: Date | string | number
  readonly sequence?: number
}

export interface DeadOptions {
  /** Say what would be done, and do nothing. */
  readonly dryRun?: boolean
  /** Most letters to touch. Default: all. */
  readonly limit?: number
}

export class DeadLetters {
  readonly #broker: Broker

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Oldest first. Bodies stay on the server until a letter is reached: break off when you have seen enough. */
  async *list(filter: DeadFilter = {}, options: { limit?: number } = {}): AsyncGenerator<DeadLetter> {
    const { api, subjects } = this.#broker
    const test = tester(filter)
    let left = options.limit ?? Infinity
    let from = filter.sequence ?? 1
    while (left > 0) {
      const stored = await api
        .readMessage(subjects.deadStream, { next_by_subj: this.#subjectOf(filter), seq: from })
        .catch(noStream)
      if (stored === undefined) return
      from = stored.sequence + 1
      if (subjects.isDeadTail(stored.subject)) continue
      if (filter.sequence !== undefined && stored.sequence !== filter.sequence) return
      const letter = await this.#read(stored)
      if (letter === undefined || !test(letter)) continue
      left--
      yield letter
    }
  }

  /** The newest dead letter of an id. Throws `ActorError` `NO_DEAD_LETTER`. */
  async show(id: string, filter: Omit<DeadFilter, 'id'> = {}): Promise<DeadLetter> {
    let newest: DeadLetter | undefined
    for await (const letter of this.list({ ...filter, id })) newest = letter
    if (newest !== undefined) return newest
    throw new ActorError(
      'NO_DEAD_LETTER',
      `expected a dead letter with the id ${JSON.stringify(id)}, but there is none. "troupe dead ls" lists them.`,
    )
  }

  /** Puts them back into their mailboxes, as attempt 1 with their history, and deletes them here. Returns those. */
  async retry(filter: DeadFilter, options: DeadOptions = {}): Promise<DeadLetter[]> {
    return this.#each(filter, options, async (letter) => {
      await this.#revive(letter)
      await this.#remove(letter)
    })
  }

  /** Deletes them. Returns those. */
  async purge(filter: DeadFilter, options: DeadOptions = {}): Promise<DeadLetter[]> {
    return this.#each(filter, options, (letter) => this.#remove(letter))
  }

  async #each(
    filter: DeadFilter,
    { dryRun, limit }: DeadOptions,
    act: (letter: DeadLetter) => Promise<void>,
  ): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = []
    for await (const letter of this.list(filter, limit === undefined ? {} : { limit })) letters.push(letter)
    if (dryRun !== true) for (const letter of letters) await act(letter)
    return letters
  }

  async #revive(letter: DeadLetter): Promise<void> {
    const { subjects, publisher, api } = this.#broker
    const stored = await api.readMessage(subjects.deadStream, { seq: letter.sequence })
    if (stored === undefined) return
    const message = unreadableMessage(stored, subjects, letter.actor)
    const salt = await this.#broker.assets.timerSalt(letter.actor).catch(noStream)
    const headers: HeaderEntry[] = [
      ...keptHeaders(message),
      [H.id, letter.id],
      [H.dedupe, `revive:${letter.sequence}:${salt ?? ''}`],
      [H.origin, `${subjects.deadStream}:${letter.sequence}`],
      [H.error, stored.headers.get(H.error) ?? letter.reason],
      [H.history, JSON.stringify(letter.history)],
    ]
    const address = subjects.parseMailbox(letter.subject)
    const subject = address === undefined ? subjects.message(letter.actor, letter.message) : letter.subject
    const stream = subjects.mailboxStream(letter.actor)
    try {
      await publisher.publish({
        subject,
        payload: letter.body,
        headers: encodeHeaders(headers),
        stream,
        repeatMs: 30_000,
        awayMs: 5_000,
      })
    } catch (error) {
      throw await explainRefusal(this.#broker, letter, error)
    }
  }

  async #remove(letter: DeadLetter): Promise<void> {
    const { api, subjects } = this.#broker
    await api.deleteMessage(subjects.deadStream, letter.sequence)
    const tail = Number(letter.headers[H.tail])
    if (tail > 0) await api.deleteMessage(subjects.deadStream, tail)
  }

  #subjectOf({ actor, message, id }: DeadFilter): string {
    const { subjects } = this.#broker
    if (actor !== undefined && message !== undefined && id !== undefined) return subjects.dead(actor, message, id)
    if (actor !== undefined && message !== undefined)
      return `${subjects.wildcard('dead', actor).slice(0, -1)}${encodeToken(message)}.>`
    return subjects.wildcard('dead', actor)
  }

  async #read(stored: Stored): Promise<DeadLetter | undefined> {
    const address = this.#broker.subjects.parseDead(stored.subject)
    if (address === undefined) return undefined
    const { headers } = stored
    const detail = readDetail(headers.get(H.detail))
    const body = await this.#withTail(stored)
    const sent = headers.number(H.sent)
    const line = headers.get(H.error) ?? ''
    return {
      ...address,
      id: headers.get(H.id) ?? address.id,
      sequence: stored.sequence,
      reason: headers.get(H.reason) ?? 'failed',
      failure: detail?.failure ?? {
        name: line.split(':', 1)[0] ?? 'Error',
        message: line.slice(line.indexOf(':') + 1).trim(),
      },
      stack: detail?.stack,
      attempts: headers.number(H.attempt) ?? 1,
      history: detail?.history ?? readHistory(headers.get(H.history)),
      crashes: detail?.crashes ?? [],
      worker: headers.get(H.worker),
      diedAt: new Date(stored.storedAt),
      sentAt: sent === undefined ? undefined : new Date(sent),
      origin: headers.get(H.origin) ?? '',
      subject: headers.get(H.subject) ?? '',
      headers: headers.toObject(),
      body,
      payload: payloadOf(headers.get(H.contentType), body),
    }
  }

  /** A body of the server's maximum was stored in two parts (settle.ts). */
  async #withTail(stored: Stored): Promise<Uint8Array> {
    const { api, subjects } = this.#broker
    const sequence = stored.headers.number(H.tail)
    if (sequence === undefined) return stored.data
    const tail = await api.readMessage(subjects.deadStream, { seq: sequence })
    return tail === undefined ? stored.data : Buffer.concat([stored.data, tail.data])
  }
}

function tester({ id, actor, message, reason, olderThan, since }: DeadFilter): (letter: DeadLetter) => boolean {
  const before = olderThan === undefined ? Infinity : systemClock.now() - parseDuration(olderThan, 'olderThan')
  const after = since === undefined ? -Infinity : parseInstant(since, 'since')
  return (letter) =>
    (id === undefined || letter.id === id) &&
    (actor === undefined || letter.actor === actor) &&
    (message === undefined || letter.message === message) &&
    (reason === undefined || letter.reason === reason) &&
    letter.diedAt.getTime() <= before &&
    letter.diedAt.getTime() >= after
}

function readDetail(text: string | undefined): DeadDetail | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as DeadDetail)
  } catch {
    return undefined
  }
}

function payloadOf(contentType: string | undefined, body: Uint8Array): unknown {
  try {
    return decode(contentType, body)
  } catch {
    return undefined
  }
}

/** Before the first worker of a namespace there is no stream, and no dead letter. */
function noStream(error: unknown): undefined {
  if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
  throw error
}
