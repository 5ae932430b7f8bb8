/**
 * Requests to NATS over one shared reply inbox: publish acks, confirmed acks, reads, compare-and-set.
 *
 * One wildcard subscription serves them all, with a token each; the client library's own request() makes a promise, a
 * timer and a trace per call and reaches a third of this (LIMITS.md section 1).
 *
 * Invariants
 * 1. A request ends exactly once: with a reply that its owner accepts, or with an error.
 * 2. Nothing is published while the connection is down: the library would lose it. What was asked then, and what had no
 *    answer when the connection went, is published again on reconnect, in order, as long as `repeatUntil` allows.
 * 3. A request without an answer for `timeoutMs` is published again under its token while `repeatUntil` allows. So
 *    whoever sets `repeatUntil` beyond the first try must have made the request safe to repeat (a dedupe key, a read).
 * 4. The inbox has an unguessable name and carries nothing else, so an answer comes from the server or from somebody who
 *    saw the request itself; its owner checks what can be checked (`accept`).
 */
import type { Msg } from '@nats-io/transport-node'

import { BrokerError, UnavailableError } from '../errors.ts'
import { randomToken } from '../time/chance.ts'
import { systemClock } from '../time/clock.ts'
import type { Connection } from './connection.ts'
import { forbidden, isRefusal, undomained } from './problems.ts'
import { Slots } from './slots.ts'

/** The server's word that nobody listens on the subject: no stream, no service, or JetStream not ready. */
const NO_RESPONDERS = 503

export interface Request {
  readonly subject: string
  readonly payload: Uint8Array | undefined
  readonly headers?: Uint8Array | undefined
  /** Monotonic ms until which it may be published again; 0 = only once. */
  readonly repeatUntil: number
  /** Without an answer for so long it is published again: ms. Default the request timeout. */
  readonly everyMs?: number
  /**
   * Called once, with how often it was published, unless it returns false: then the reply was not the one, and the request waits on. `away`: it was one, but of
   * nobody who could serve the request (see reach.ts).
   */
  readonly onReply: (reply: Msg, tries: number) => boolean | void | 'away'
  /** False: an answer says nothing about the cluster, since any server gives it from its own copy. */
  readonly isOfLeader?: false
  readonly onError: (error: Error) => void
}

/** A request on its way. A class, so that all have one shape: there are a hundred thousand a second. */
class Pending {
  readonly request: Request
  /** In the order of their making, which is the order of repeating. */
  readonly serial: number
  slot = 0
  /** The subject of its answer. */
  inbox = ''
  /** Monotonic ms of the last publish; 0 = not published yet. */
  publishedAt = 0
  tries = 0

  constructor(request: Request, serial: number) {
    this.request = request
    this.serial = serial
  }
}

const MANY_REFUSED = 1_000

/** A token is a serial and a slot in one number: an answer to an earlier request of the slot must not be taken for its own. */
const SLOT_SPACE = 2 ** 21

export class Replies {
  readonly #connection: Connection
  readonly #prefix: string
  readonly #timeoutMs: number
  readonly #pending = new Slots<Pending>()
  readonly #unlisten: () => void
  readonly #sweeper: NodeJS.Timeout
  readonly #sweepMs: number
  /** Monotonic ms of the last sweep: exact enough to time out by, and read for nothing. */
  #now = systemClock.monotonic()
  #next = 0
  #closed = false
  /** Subjects that were refused, with who asked on them told. */
  readonly #refused = new Set<string>()
  /** Set where this user may not hear its own inbox: no answer will ever come. */
  #deaf: BrokerError | undefined

  constructor(connection: Connection, timeoutMs: number) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
    this.#prefix = `${connection.settings.inboxPrefix ?? '_INBOX'}.${randomToken(22)}.`
    connection.subscribe(`${this.#prefix}*`, (msg) => this.#receive(msg))
    const unlisten = [
      connection.onConnected(() => this.#repeatAll()),
      connection.claim((problem) => this.#refuse(problem)),
    ]
    this.#unlisten = () => unlisten.forEach((stop) => stop())
    this.#sweepMs = Math.min(250, timeoutMs / 4)
    this.#sweeper = setInterval(() => this.#sweep(), this.#sweepMs)
    this.#sweeper.unref()
  }

  /** How long an answer is waited for before it is asked again: ms. */
  get timeoutMs(): number {
    return this.#timeoutMs
  }

  /** How many wait for their answer. */
  get size(): number {
    return this.#pending.size
  }

  /** Monotonic ms, a sweep ago at most (250 ms): for `repeatUntil`, where a clock's cost counts. */
  get roughNow(): number {
    return this.#now
  }

  request(request: Request): void {
    if (this.#closed) return request.onError(closedError())
    if (this.#deaf !== undefined) return request.onError(this.#deaf)
    const pending = new Pending(request, this.#next++)
    pending.slot = this.#pending.add(pending)
    pending.inbox = this.#prefix + (pending.serial * SLOT_SPACE + pending.slot)
    this.#publish(pending)
  }

  /** The same as a promise. */
  ask(subject: string, payload: Uint8Array | undefined, options: AskOptions = {}): Promise<Msg> {
    const repeatUntil = systemClock.monotonic() + (options.patienceMs ?? this.#timeoutMs)
    return new Promise((resolve, reject) => {
      this.request({
        subject,
        payload,
        headers: options.headers,
        repeatUntil,
        ...(options.isOfLeader === false ? { isOfLeader: false } : {}),
        onReply: (msg) => {
          resolve(msg)
          return isNoResponders(msg) ? 'away' : undefined
        },
        onError: reject,
      })
    })
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#sweeper)
    this.#unlisten()
    this.#failAll(closedError())
  }

  #publish(pending: Pending): void {
    // Not published while down; the sweep sees publishedAt = 0 as never, and the reconnect publishes it.
    if (!this.#connection.connected) return
    const { request } = pending
    pending.publishedAt = this.#now
    pending.tries++
    try {
      this.#connection.publish(request.subject, request.payload, request.headers, pending.inbox)
    } catch (error) {
      this.#pending.delete(pending.slot)
      request.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #receive(msg: Msg): void {
    const token = Number(msg.subject.slice(this.#prefix.length))
    const pending = this.#pending.get(token % SLOT_SPACE)
    if (pending === undefined || pending.serial !== Math.floor(token / SLOT_SPACE)) return
    const verdict = pending.request.onReply(msg, pending.tries)
    if (verdict === false) return
    this.#pending.delete(pending.slot)
    if (pending.request.isOfLeader === false) return
    if (verdict === 'away') this.#connection.reach.inVain(systemClock.monotonic())
    else this.#connection.reach.served()
  }

  #repeatAll(): void {
    const now = systemClock.monotonic()
    this.#now = now
    for (const pending of this.#pending.all().toSorted((a, b) => a.serial - b.serial)) this.#repeat(pending, now)
  }

  /**
   * Publishes it again, or ends it with a typed error: also what was asked for while down and never published. A nak that
   * is late by now would hit another's delivery.
   */
  #repeat(pending: Pending, now: number): void {
    if (now >= pending.request.repeatUntil) return this.#giveUp(pending)
    this.#publish(pending)
  }

  #sweep(): void {
    const now = systemClock.monotonic()
    // This loop stood still, so answers may lie unread in the socket: they have one more round before anything is judged.
    const isLate = now - this.#now > 4 * this.#sweepMs
    this.#now = now
    if (isLate) return
    const isUp = this.#connection.connected
    for (const pending of this.#pending.all()) {
      const { repeatUntil, everyMs = this.#timeoutMs } = pending.request
      if (!isUp && repeatUntil <= now) this.#giveUp(pending)
      else if (isUp && now - pending.publishedAt >= everyMs) {
        if (pending.publishedAt > 0) this.#connection.reach.inVain(now, pending.publishedAt)
        this.#repeat(pending, now)
      }
    }
    this.#connection.leaveIfLost()
  }

  /** The server refuses a subject beside the answers: those who asked on it would wait in vain. Whether it was one of ours. */
  #refuse(problem: Error): boolean {
    const inbox = `${this.#prefix}*`
    if (isRefusal(problem, 'subscription', inbox)) {
      this.#deaf = mayNotListen(inbox, problem)
      this.#failAll(this.#deaf)
      return true
    }
    const refused = this.#pending.all().filter(({ request }) => isRefusal(problem, 'publish', request.subject))
    for (const { request, slot } of refused) {
      this.#pending.delete(slot)
      this.#refused.add(undomained(request.subject))
      request.onError(forbidden(request.subject, problem))
    }
    // Each of a thousand publishes is refused on its own; the first word ended them all.
    return refused.length > 0 || this.#isKnown(problem)
  }

  #isKnown(problem: Error): boolean {
    if (this.#refused.size > MANY_REFUSED) this.#refused.clear()
    const { subject } = problem as { subject?: unknown }
    return this.#refused.has(undomained(String(subject))) && isRefusal(problem, 'publish', String(subject))
  }

  #failAll(error: Error): void {
    const all = this.#pending.all()
    for (const { slot } of all) this.#pending.delete(slot)
    for (const { request } of all) request.onError(error)
  }

  #giveUp({ request, slot }: Pending): void {
    this.#pending.delete(slot)
    request.onError(timeoutError(request.subject))
  }
}

export interface AskOptions {
  readonly headers?: Uint8Array | undefined
  /** How long to repeat it: default the request timeout, so once or twice. */
  readonly patienceMs?: number | undefined
  /** See `Request`. */
  readonly isOfLeader?: false
}

/** Whether the server says that nobody listens on the subject. */
export function isNoResponders({ data, headers }: Msg): boolean {
  return data.length === 0 && headers?.code === NO_RESPONDERS
}

function timeoutError(subject: string): UnavailableError {
  return new UnavailableError(
    'TIMEOUT',
    `expected an answer from NATS on ${subject}, but none came in time. Is the server reachable?`,
    {
      data: { subject },
    },
  )
}

function mayNotListen(subject: string, cause: Error): BrokerError {
  const text = `expected NATS to let us subscribe to our own inbox ${subject}, but this user may not. Ask the operator for it, or set nats.inboxPrefix to a prefix that is permitted.`
  return new BrokerError('FORBIDDEN', text, { cause, data: { subject } })
}

function closedError(): UnavailableError {
  return new UnavailableError('STOPPED', 'the connection was closed before NATS answered')
}
