/**
 * Waiting for outcomes: told to a reply subject of this process (`ask`, `cancel`), or kept in the results stream (`result`).
 */
import type { Broker } from '../broker/broker.ts'
import type { Connection } from '../broker/connection.ts'
import { headersOf } from '../broker/delivery.ts'
import { H, type HeaderBlock } from '../broker/headers.ts'
import type { Subjects } from '../broker/subjects.ts'
import { UnavailableError, toError } from '../errors.ts'
import { nextId, randomToken } from '../time/chance.ts'
import { sleep, systemClock } from '../time/clock.ts'
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
  readonly #waiting = new Map<string, (headers: HeaderBlock, body: Uint8Array) => void>()
  #isListening = false

  constructor(connection: Connection, subjects: Subjects, sender: string) {
    this.#connection = connection
    this.#subjects = subjects
    this.#sender = sender
  }

  wait(what: string, timeoutMs: number): Waiter {
    this.#listen()
    const token = nextId()
    const subject = this.#subjects.reply(this.#sender, this.#instance, token)
    let timer: NodeJS.Timeout | undefined
    const outcome = new Promise<unknown>((resolve, reject) => {
      timer = setTimeout(() => reject(notInTime(what, timeoutMs)), timeoutMs)
      this.#waiting.set(token, (headers, body) => settleWith(() => readAnswer(headers, body, what), resolve, reject))
    })
    // Who dropped the wait does not look at it any more.
    outcome.catch(() => {})
    const drop = (): void => {
      clearTimeout(timer)
      this.#waiting.delete(token)
    }
    return { subject, outcome, drop }
  }

  #listen(): void {
    if (this.#isListening) return
    this.#isListening = true
    this.#connection.subscribe(this.#subjects.reply(this.#sender, this.#instance, '*'), (msg) => {
      const token = msg.subject.slice(msg.subject.lastIndexOf('.') + 1)
      this.#waiting.get(token)?.(headersOf(msg), msg.data)
    })
  }
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
  { api, replies, subjects }: Broker,
  subject: string,
): Promise<{ headers: HeaderBlock; body: Uint8Array } | undefined> {
  const reply = await replies.ask(api.directSubject(subjects.resultStream, subject), undefined, { isOfLeader: false })
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
