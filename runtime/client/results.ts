/**
 * Waiting for outcomes: told to a reply subject of this process (`ask`, `cancel`), or kept in the results stream (`result`).
 */
import type { Broker } from '../broker/broker.ts'
import type { Connection } from '../broker/connection.ts'
import { headersOf } from '../broker/delivery.ts'
import { H, type HeaderBlock } from '../broker/headers.ts'
import { isRefusal } from '../broker/problems.ts'
import type { Subjects } from '../broker/subjects.ts'
import { BrokerError, UnavailableError, toError } from '../errors.ts'
import { nextId, randomToken } from '../time/chance.ts'
import { sleep, systemClock, type Timer } from '../time/clock.ts'
import { readOutcome } from './outcomes.ts'

export interface Waiter {
  /** Where the outcome is to go: the header `Troupe-Reply`. */
  readonly subject: string
  readonly outcome: Promise<unknown>
  /** Waits no longer. */
  drop(): void
}

/** One subscription below `<namespace>.reply.<sender>.` with a token for each wait. */
export class Waiters {
  readonly #connection: Connection
  readonly #subjects: Subjects
  readonly #sender: string
  readonly #instance = randomToken(12)
  readonly #waiting = new Map<string, Waiting>()
  #opened: Promise<void> | undefined
  /** Set where this user may not hear what it asks for. */
  #deaf: BrokerError | undefined

  constructor(connection: Connection, subjects: Subjects, sender: string) {
    this.#connection = connection
    this.#subjects = subjects
    this.#sender = sender
  }

  /** Begins to listen. Throws `BrokerError` `FORBIDDEN` where this user may not: before anything is sent whose outcome nobody could hear. */
  async open(): Promise<void> {
    this.#opened ??= this.#listen()
    await this.#opened
    if (this.#deaf !== undefined) throw this.#deaf
  }

  /** After `open`. */
  wait(what: string, timeoutMs: number): Waiter {
    const token = nextId()
    const subject = this.#subjects.reply(this.#sender, this.#instance, token)
    let timer: Timer | undefined
    const outcome = new Promise<unknown>((resolve, reject) => {
      timer = systemClock.setTimer(() => reject(notInTime(what, timeoutMs)), timeoutMs)
      const heard = (headers: HeaderBlock, body: Uint8Array): void =>
        settleWith(() => readAnswer(headers, body, what), resolve, reject)
      this.#waiting.set(token, { heard, reject })
    })
    // Who dropped the wait does not look at it any more.
    outcome.catch(() => {})
    const drop = (): void => {
      systemClock.clearTimer(timer)
      this.#waiting.delete(token)
    }
    return { subject, outcome, drop }
  }

  /** The connection is closed: no outcome will come. */
  close(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(closedMeanwhile())
  }

  async #listen(): Promise<void> {
    const all = this.#subjects.reply(this.#sender, this.#instance, '*')
    this.#connection.claim((problem) => this.#refuse(problem, all))
    this.#connection.subscribe(all, (msg) => {
      const token = msg.subject.slice(msg.subject.lastIndexOf('.') + 1)
      this.#waiting.get(token)?.heard(headersOf(msg), msg.data)
    })
    // While NATS is away nobody refuses anything; the library subscribes when it is back, and a refusal then is heard too.
    if (this.#connection.connected) await this.#connection.refusalsHeard().catch(() => {})
  }

  #refuse(problem: Error, subject: string): boolean {
    if (!isRefusal(problem, 'subscription', subject)) return false
    this.#deaf = mayNotHear(subject, this.#sender, problem)
    for (const waiting of this.#waiting.values()) waiting.reject(this.#deaf)
    return true
  }
}

interface Waiting {
  heard(headers: HeaderBlock, body: Uint8Array): void
  reject(error: Error): void
}

function closedMeanwhile(): UnavailableError {
  const text = 'the connection was closed before the outcome came. The message itself is not affected.'
  return new UnavailableError('STOPPED', text)
}

function mayNotHear(subject: string, sender: string, cause: Error): BrokerError {
  const text = `expected NATS to let us subscribe to ${subject}, where outcomes come, but this user may not. Set "sender" to the name that its permissions are made for (it is ${JSON.stringify(sender)} now), or ask the operator for it.`
  return new BrokerError('FORBIDDEN', text, { cause, data: { subject } })
}

/** An outcome, or the plain JSON answer to a cancel. */
function readAnswer(headers: HeaderBlock, body: Uint8Array, what: string): unknown {
  return headers.get(H.status) === undefined
    ? JSON.parse(Buffer.from(body).toString())
    : readOutcome(headers, body, what)
}

function settleWith(read: () => unknown, resolve: (value: unknown) => void, reject: (error: Error) => void): void {
  try {
    resolve(read())
  } catch (error) {
    reject(toError(error))
  }
}

interface KeptPlace {
  readonly actor: string
  readonly message: string
  readonly id: string
  readonly sender: string
  /** Where the message was stored in its mailbox: what was kept of an earlier one under its id is not its result. */
  readonly sequence: number
}

/** What is heard on the result's subject comes at once; reading it again covers what was told before we listened. */
const READ_AGAIN_MS = 1_000

/** Waits until the result is kept, and reads it. */
export async function waitForKept(broker: Broker, place: KeptPlace, timeoutMs: number): Promise<unknown> {
  const { connection, subjects } = broker
  const subject = subjects.result(place.actor, place.sender, place.id)
  const what = `${place.actor}.${place.message} (${place.id})`
  const deadline = systemClock.monotonic() + timeoutMs
  let wake: (() => void) | undefined
  const unclaim = connection.claim((problem) => isRefusal(problem, 'subscription', subject))
  const subscription = connection.subscribe(subject, () => wake?.())
  try {
    for (;;) {
      const heard = new Promise<void>((resolve) => (wake = resolve))
      const kept = await readKept(broker, subject)
      if (kept !== undefined && !isEarlier(kept.headers, place, subjects))
        return readOutcome(kept.headers, kept.body, what)
      const leftMs = deadline - systemClock.monotonic()
      if (leftMs <= 0) throw notInTime(what, timeoutMs)
      const done = new AbortController()
      await Promise.race([heard, sleep(Math.min(leftMs, READ_AGAIN_MS), done.signal).catch(() => {})])
      done.abort()
    }
  } finally {
    unclaim()
    if (!connection.closed) subscription.unsubscribe()
  }
}

/** Copies of a message (a retry, a released one) are stored after it; an earlier message under the same id was stored before. */
function isEarlier(headers: HeaderBlock, { actor, sequence }: KeptPlace, subjects: Subjects): boolean {
  const [stream, place] = (headers.get(H.origin) ?? '').split(':')
  return stream === subjects.mailboxStream(actor) && Number(place) < sequence
}

/** Direct get by subject: the one read that a sender can be permitted for its own results alone. */
async function readKept(
  { api, subjects }: Broker,
  subject: string,
): Promise<{ headers: HeaderBlock; body: Uint8Array } | undefined> {
  const reply = await api.direct(subjects.resultStream, subject)
  const { headers } = reply
  if (headers?.hasError) return undefined
  return { headers: headersOf(reply), body: reply.data }
}

function notInTime(what: string, timeoutMs: number): UnavailableError {
  return new UnavailableError(
    'TIMEOUT',
    `expected an outcome of ${what} within ${timeoutMs} ms, but none came. The message itself is not affected.`,
  )
}
