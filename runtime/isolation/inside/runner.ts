/**
 * Runs an actor's handlers in a thread or child process, with the context that they would have in its system.
 *
 * Owns: runs by number, what of them is told. Does not own: slots, limits, outcomes, retries: those are the system's, which sends a run
 * when there is a place for it, aborts it, and ends this thread or process when that does not help.
 */
import type { NatsConnection } from '@nats-io/transport-node'

import type { ActorSpec, MessageSpec } from '../../actor.ts'
import { parseContentType } from '../../codec/codec.ts'
import { RunContext, type ContextHost } from '../../context.ts'
import { AbortedError, ActorError, ConfigError, toError } from '../../errors.ts'
import { runInScope, runOfScope } from '../../flow/scope.ts'
import type { Logger } from '../../log.ts'
import type { Message } from '../../message.ts'
import { isVerdict, type Verdict } from '../../outcome.ts'
import type { Place } from '../../place.ts'
import { isRetriedSafely } from '../../retryRule.ts'
import type { RunOccurrence } from '../../schedules/accounts.ts'
import { scheduleView, type ScheduleContext } from '../../schedules/context.ts'
import { systemClock, type Clock } from '../../time/clock.ts'
import { asReceived } from '../carry.ts'
import { fromErrorData, toErrorData } from '../errorData.ts'
import { messageData, messageOf, type Call, type FromMember, type ToMember, type VerdictData } from '../protocol.ts'
import type { Line } from './line.ts'
import { RemoteSender } from './sending.ts'

type Said<K extends ToMember['kind']> = Extract<ToMember, { kind: K }>
interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** What its handlers find there. */
export interface Surroundings {
  readonly log: Logger
  /** The actor's resources, open. */
  readonly place: Pick<Place, 'resources'>
  readonly connection: NatsConnection | undefined
  /** How much memory is held, where that is to be told. */
  readonly heldBytes: (() => number) | undefined
}

export class Runner implements ContextHost {
  readonly worker: string
  readonly clock: Clock
  readonly log: Logger
  readonly #line: Line
  readonly #spec: ActorSpec
  readonly #surroundings: Surroundings
  readonly #runs = new Map<number, RunContext>()
  readonly #calls = new Map<number, Waiting>()
  #called = 0
  #skewMs: number
  #stopping = false

  constructor(line: Line, spec: ActorSpec, surroundings: Surroundings) {
    this.#line = line
    this.#spec = spec
    this.#surroundings = surroundings
    this.log = surroundings.log
    this.worker = line.start.worker
    this.#skewMs = line.start.skewMs
    this.clock = { ...systemClock, now: () => systemClock.now() + this.#skewMs }
  }

  get stopping(): boolean {
    return this.#stopping
  }
  get connection(): NatsConnection {
    const { connection } = this.#surroundings
    if (connection !== undefined) return connection
    const { isolation, name } = this.#spec
    const text = `expected no use of ctx.connection in a ${isolation?.kind ?? 'thread'}: give ${name} one with isolate: { kind: '${isolation?.kind}', connection: true }`
    throw new ConfigError('NO_CONNECTION', text)
  }
  get resources(): Readonly<Record<string, unknown>> {
    return this.#surroundings.place.resources
  }
  senderFor(message: Message): RemoteSender {
    return new RemoteSender((call) => this.#ask(call, message))
  }
  scheduleOf(occurrence: RunOccurrence): ScheduleContext {
    const previous = (): Promise<unknown> => this.#ask({ ask: 'previous', occurrence })
    return scheduleView(occurrence, previous as ScheduleContext['previous'])
  }
  progress(run: RunContext, value: unknown): void {
    const number = this.#numberOf(run)
    // As its watchers would read it, who get JSON; what can't be said so is not worth a failed run.
    if (number !== undefined) this.#line.send({ kind: 'progress', run: number, value: asJson(value) })
  }

  hear(message: ToMember): void {
    switch (message.kind) {
      case 'run':
        return this.#run(message)
      case 'abort':
        return this.#runs.get(message.run)?.abort(new AbortedError(message.why, message.text))
      case 'answer':
        return this.#answered(message)
      case 'clock':
        this.#skewMs = message.skewMs
        return
      case 'stopping':
        this.#stopping = true
        return
      case 'start':
      case 'end':
        return
      default:
        return message satisfies never
    }
  }

  /** A promise that nobody waits for was rejected. */
  leaked(reason: unknown): void {
    const about = runOfScope()?.source
    const { id = '', actor = '', name = '', attempt = 1 } = about ?? {}
    this.#line.send({
      kind: 'leak',
      about: about === undefined ? undefined : { id, actor, name, attempt },
      error: toErrorData(reason),
    })
  }

  /** The last word after an exception that nobody caught. */
  lastWord(thrown: unknown): FromMember {
    const run = runOfScope()
    const number = run === undefined ? undefined : (this.#numberOf(run) ?? 'ended')
    return { kind: 'uncaught', run: number, error: toErrorData(thrown) }
  }

  #run({ run, message, payload, occurrence, limitMs }: Said<'run'>): void {
    const ctx = new RunContext(this, messageOf(message), systemClock.monotonic() + limitMs)
    ctx.occurrence = occurrence
    this.#runs.set(run, ctx)
    const spec = this.#spec.messages.get(ctx.message)
    const threw = (thrown: unknown): void => this.#tell(run, threwWord(run, spec, thrown))
    if (spec === undefined) return threw(unknownMessage(ctx))
    let value: unknown
    try {
      value = runInScope(ctx, () => spec.handle(payload, ctx))
    } catch (thrown) {
      return threw(thrown)
    }
    Promise.resolve(value).then((result) => this.#returned(run, ctx, result), threw)
  }

  #returned(run: number, { source }: RunContext, value: unknown): void {
    if (isVerdict(value)) return this.#tell(run, { kind: 'verdict', run, verdict: verdictData(value) })
    try {
      this.#tell(run, { kind: 'done', run, value: asReceived(parseContentType(source.contentType), value) })
    } catch (error) {
      // The work is done. Only its result has no form.
      this.#tell(run, { kind: 'untold', run, error: toErrorData(error) })
    }
  }

  #tell(run: number, word: Extract<FromMember, { kind: 'done' | 'untold' | 'verdict' | 'threw' }>): void {
    const { heldBytes } = this.#surroundings
    this.#line.send(heldBytes === undefined ? word : { ...word, heldBytes: heldBytes() })
    this.#runs.delete(run)
  }

  #ask(call: Call, message?: Message): Promise<unknown> {
    const number = ++this.#called
    return new Promise((resolve, reject) => {
      this.#line.send({ kind: 'call', call: number, message: message && messageData(message), ...call })
      this.#calls.set(number, { resolve, reject })
    })
  }

  #answered({ call, value, error }: Said<'answer'>): void {
    const waiting = this.#calls.get(call)
    this.#calls.delete(call)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(fromErrorData(error))
  }

  #numberOf(run: RunContext): number | undefined {
    for (const [number, ctx] of this.#runs) if (ctx === run) return number
    return undefined
  }
}

function threwWord(
  run: number,
  spec: MessageSpec | undefined,
  thrown: unknown,
): Extract<FromMember, { kind: 'threw' }> {
  const isRetried = spec === undefined || isRetriedSafely(spec.retry, toError(thrown))
  return { kind: 'threw', run, error: toErrorData(thrown), isRetried }
}

function verdictData(verdict: Verdict): VerdictData {
  switch (verdict.kind) {
    case 'retry':
      return { kind: 'retry', afterMs: verdict.afterMs, reason: verdict.reason }
    case 'snooze':
      return { kind: 'snooze', afterMs: verdict.afterMs }
    case 'dead':
      return { kind: 'dead', reason: verdict.reason }
    default:
      return verdict satisfies never
  }
}

function asJson(value: unknown): unknown {
  try {
    return asReceived('application/json', value)
  } catch {
    return '[cannot be written as JSON]'
  }
}

function unknownMessage({ actor, message }: RunContext): ActorError {
  const text = `expected the module of actor ${actor} to define the message ${message} here as it does in its system. Was its file changed? Restart the system.`
  return new ActorError('UNKNOWN_MESSAGE', text)
}
