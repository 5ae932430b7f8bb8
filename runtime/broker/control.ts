/**
 * Control of running systems (DESIGN section 3): requests on `<namespace>.control.<system>.<verb>` and `…control.all.<verb>`,
 * JSON in and out, answered by each running system that knows the verb. Nothing is stored: it speaks to who runs now.
 *
 * An answer is `{ system, value }` or `{ system, error }`. To `all` each system answers for itself; who asks waits a moment
 * for all of them, since nobody knows how many there are.
 */
import type { Msg, Subscription } from '@nats-io/transport-node'

import { ActorError, UnavailableError, didYouMean, toError, toFailure, type Failure } from '../errors.ts'
import { randomToken } from '../time/chance.ts'
import type { Broker } from './broker.ts'
import { forbidden, isRefusal } from './problems.ts'

/** What a system does for one verb. What it returns is sent as JSON; what it throws is the answer's error. */
export type Verb = (body: unknown) => unknown

/** What one system said. */
export type ControlAnswer =
  | { readonly system: string; readonly value: unknown; readonly error?: undefined }
  | { readonly system: string; readonly error: Failure; readonly value?: undefined }

export class Control {
  readonly #broker: Broker
  readonly #system: string
  readonly #verbs = new Map<string, Verb>()
  #subscriptions: Subscription[] = []

  constructor(broker: Broker, system: string) {
    this.#broker = broker
    this.#system = system
  }

  /** Adds a verb; the last one of a name counts. */
  on(verb: string, act: Verb): void {
    this.#verbs.set(verb, act)
  }

  async start(): Promise<void> {
    const { connection, subjects } = this.#broker
    this.#subscriptions = [this.#system, 'all'].map((system) =>
      connection.subscribe(subjects.control(system, '*'), (msg) => void this.#answer(msg, system === 'all')),
    )
    // Who starts a system counts on it: what is asked of it after that is heard.
    await connection.flush()
  }

  async stop(): Promise<void> {
    const open = this.#subscriptions.filter((subscription) => !subscription.isClosed())
    await Promise.all(open.map((subscription) => subscription.drain().catch(() => {})))
  }

  async #answer(msg: Msg, isToAll: boolean): Promise<void> {
    const name = msg.subject.slice(msg.subject.lastIndexOf('.') + 1)
    const verb = this.#verbs.get(name)
    // Of all systems only those that know a verb have something to say.
    if (verb === undefined && isToAll) return
    const answer = await this.#act(name, verb, msg.data)
    if (msg.reply !== undefined && msg.reply !== '') this.#broker.publisher.tell(msg.reply, asJson(answer))
  }

  async #act(name: string, verb: Verb | undefined, data: Uint8Array): Promise<ControlAnswer> {
    try {
      if (verb === undefined) throw unknownVerb(name, this.#verbs.keys())
      const body: unknown = data.length === 0 ? undefined : JSON.parse(Buffer.from(data).toString())
      return { system: this.#system, value: (await verb(body)) ?? null }
    } catch (error) {
      return { system: this.#system, error: toFailure(toError(error)) }
    }
  }
}

export interface AskSystemsOptions {
  /** Longest wait for an answer: ms. Default the request timeout. */
  readonly timeoutMs?: number
  /** Of `all`: how long to wait for one more answer: ms. Default 500. */
  readonly quietMs?: number
}

/** Asks every running system. An empty list: none runs, or none knows the verb. Throws `BrokerError` `FORBIDDEN`. */
export async function askAllSystems(
  broker: Broker,
  verb: string,
  body?: unknown,
  options: AskSystemsOptions = {},
): Promise<ControlAnswer[]> {
  const { connection } = broker
  const answers: ControlAnswer[] = []
  const timeoutMs = options.timeoutMs ?? connection.settings.requestTimeoutMs
  const subject = broker.subjects.control('all', verb)
  await new Promise<void>((resolve, reject) => {
    const inbox = `${connection.settings.inboxPrefix ?? '_INBOX'}.${randomToken(16)}`
    const last = setTimeout(end, timeoutMs)
    let quiet = setTimeout(end, Math.min(timeoutMs, (options.quietMs ?? QUIET_MS) * 2))
    const subscription = connection.subscribe(inbox, (msg) => {
      // Nobody listens at all: the server says so at once.
      if (msg.headers?.code === 503) return end()
      answers.push(readAnswer(msg.data))
      clearTimeout(quiet)
      quiet = setTimeout(end, options.quietMs ?? QUIET_MS)
    })
    // Who may not ask is told beside the answers, of which there will be none.
    const unlisten = connection.onProblem((problem) => {
      if (!isRefusal(problem, 'publish', subject)) return
      reject(forbidden(subject, problem))
      end()
    })
    connection.publish(subject, bodyOf(body), undefined, inbox)
    function end(): void {
      clearTimeout(last)
      clearTimeout(quiet)
      unlisten()
      subscription.unsubscribe()
      resolve()
    }
  })
  return answers.toSorted((a, b) => (a.system < b.system ? -1 : 1))
}

/** Asks one system. Throws `ActorError` `NO_SYSTEM` where none of that name runs, `UnavailableError` `TIMEOUT`, `BrokerError` `FORBIDDEN`. */
export async function askSystem(
  broker: Broker,
  system: string,
  verb: string,
  body?: unknown,
  options: AskSystemsOptions = {},
): Promise<ControlAnswer> {
  const { connection, subjects } = broker
  const timeout = options.timeoutMs ?? connection.settings.requestTimeoutMs
  const subject = subjects.control(system, verb)
  const reply = await connection.raw.request(subject, bodyOf(body), { timeout }).catch((thrown: unknown) => {
    const cause = toError(thrown)
    // The client tells a refusal as the reason of a request that failed.
    const isRefused = [cause, toError(cause.cause)].some((problem) => isRefusal(problem, 'publish', subject))
    throw isRefused ? forbidden(subject, cause) : askError(system, verb, cause, timeout)
  })
  return readAnswer(reply.data)
}

const QUIET_MS = 500

function bodyOf(body: unknown): Uint8Array {
  return body === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(body))
}

function asJson(answer: ControlAnswer): Uint8Array {
  return Buffer.from(JSON.stringify(answer))
}

function readAnswer(data: Uint8Array): ControlAnswer {
  try {
    const answer = JSON.parse(Buffer.from(data).toString()) as Partial<ControlAnswer> | null
    if (typeof answer?.system === 'string') return answer as ControlAnswer
  } catch {
    // Below: it is no answer of ours.
  }
  return { system: '?', error: { name: 'Error', message: 'an answer that is none came' } }
}

function unknownVerb(name: string, known: Iterable<string>): ActorError {
  const verbs = [...known]
  return new ActorError(
    'UNKNOWN_VERB',
    `expected one of ${verbs.join(', ')}, got: ${JSON.stringify(name)}${didYouMean(name, verbs)}`,
  )
}

function askError(system: string, verb: string, cause: Error, timeoutMs: number): Error {
  if (/no ?responders/i.test(`${cause.name} ${cause.message}`)) {
    const text = `expected a running system called ${JSON.stringify(system)}, but none answers. "troupe status" lists those that run.`
    return new ActorError('NO_SYSTEM', text, { cause, data: { system } })
  }
  const text = `expected system ${system} to answer ${verb} within ${timeoutMs} ms, but it did not (${cause.message})`
  return new UnavailableError('TIMEOUT', text, { cause, data: { system, verb } })
}
