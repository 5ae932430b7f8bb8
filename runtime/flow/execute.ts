/**
 * Execute: one delivery becomes one outcome.
 *
 * Steps: read → check (expired, deadline, cancelled, what a redelivery must look up) → decode → validate → handler →
 * outcome. Each step either goes on or ends the run with an outcome; a throw anywhere is caught in one place. Nothing here
 * acks (settle.ts), and nothing here decides when (worker.ts).
 *
 * No step awaits unless it has to: a message of a healthy actor runs from its arrival to its handler in one go.
 */
import type { MessageSpec } from '../actor.ts'
import { decode } from '../codec/codec.ts'
import type { RunContext } from '../context.ts'
import {
  ActorError,
  PayloadError,
  TroupeError,
  didYouMean,
  toError,
  toFailure,
  type AbortedError,
  type Failure,
} from '../errors.ts'
import { lostOutcome } from '../isolation/crash.ts'
import { ruleFor, type Message } from '../message.ts'
import { isVerdict, type DeadReason, type Outcome, type Verdict } from '../outcome.ts'
import { isRetriedSafely, retryDelay, type RetryRule } from '../retryRule.ts'
import { payloadError, validate } from '../schema.ts'
import type { Secrets } from '../secrets.ts'
import { random } from '../time/chance.ts'
import type { Run } from './run.ts'

/** Runs a handler, or what is wrapped around it. */
export type Invoke = (spec: MessageSpec, payload: unknown, ctx: RunContext) => unknown

/** What execute needs to know from outside. */
export interface ExecuteHost {
  /** Crashes after which a message is poison. */
  readonly crashes: number
  /** Epoch ms by the server's clock, as well as it is known. */
  serverNow(): number
  /** Why this message is cancelled, if it is. */
  cancelled(run: Run): string | undefined
  /** For a redelivery, and for what a schedule made: how it ended before, or nothing, and then it is marked as begun. */
  lookUp(run: Run): Promise<Outcome | undefined>
  readonly invoke: Invoke
  finish(run: Run, outcome: Outcome): void
  messageNames(): Iterable<string>
  /** What is not told of a payload. */
  readonly secrets: Secrets
}

/** Takes a run through all steps; `host.finish` is called once, now or later. */
export function execute(host: ExecuteHost, run: Run): void {
  const early = check(host, run)
  if (early !== undefined) return host.finish(run, early)
  if (run.delivery.count === 1 && run.message.schedule === undefined) return handle(host, run)
  host.lookUp(run).then(
    (known) => (known === undefined ? handle(host, run) : host.finish(run, known)),
    // What cannot be looked up now may not be run now: back to the mailbox with it.
    () => host.finish(run, { kind: 'released' }),
  )
}

/** What ends a run before anything of the user's is touched. */
function check(host: ExecuteHost, run: Run): Outcome | undefined {
  const { message } = run
  if (message.expires !== undefined && host.serverNow() >= message.expires) return { kind: 'expired' }
  if (message.deadline !== undefined && host.serverNow() >= message.deadline) return pastDeadline(message)
  const reason = host.cancelled(run)
  if (reason !== undefined) return { kind: 'cancelled', reason }
  if (run.spec === undefined) return unknownMessage(host, message)
  return undefined
}

function handle(host: ExecuteHost, run: Run): void {
  const { spec, ctx } = run
  if (spec === undefined || run.over) return
  // A redelivery was looked up meanwhile: its cancel, or the end of its lease, may have come.
  if (ctx.aborted !== undefined) return host.finish(run, abortedOutcome(ctx.aborted, ctx.aborted, run, spec.retry))
  let value: unknown
  try {
    const returned = invokeWithPayload(host, run, spec)
    // What is no promise of ours (a query that runs when it is awaited) may throw here, or settle twice.
    value = isPromise(returned) ? Promise.resolve(returned) : returned
  } catch (thrown) {
    return host.finish(run, failed(host, run, spec, thrown))
  }
  if (!(value instanceof Promise)) return host.finish(run, ended(run, spec, value))
  value.then(
    (result) => host.finish(run, ended(run, spec, result)),
    (thrown: unknown) => host.finish(run, failed(host, run, spec, thrown)),
  )
}

function invokeWithPayload(host: ExecuteHost, run: Run, spec: MessageSpec): unknown {
  const payload = read(run)
  if (spec.schema === undefined) return host.invoke(spec, payload, run.ctx)
  const checked = validate(spec.schema, payload)
  if (isPromise(checked)) return checked.then((result) => host.invoke(spec, accepted(host, result, run), run.ctx))
  return host.invoke(spec, accepted(host, checked, run), run.ctx)
}

/** Marks what is wrong with the message itself, so that it is not taken for a failure of the handler. */
class BadMessage extends Error {
  readonly problem: PayloadError
  constructor(problem: PayloadError) {
    super(problem.message)
    this.problem = problem
  }
}

function read(run: Run): unknown {
  try {
    return decode(run.message.contentType, run.delivery.bytes, run.delivery.bodyAt)
  } catch (error) {
    throw error instanceof PayloadError ? new BadMessage(error) : error
  }
}

function accepted(host: ExecuteHost, result: Awaited<ReturnType<typeof validate>>, run: Run): unknown {
  if (result.issues === undefined) return result.value
  throw new BadMessage(payloadError(run.message.actor, run.message.name, result.issues, host.secrets))
}

/** A handler returned. What it was told meanwhile (time limit, cancel) no longer matters: the work is done. */
function ended(run: Run, spec: MessageSpec, value: unknown): Outcome {
  const { aborted } = run.ctx
  if (aborted?.why === 'lease-lost') return { kind: 'lease-lost', finished: !isVerdict(value), value }
  return isVerdict(value) ? chosen(value, run, spec) : { kind: 'done', value }
}

function chosen(verdict: Verdict, run: Run, spec: MessageSpec): Outcome {
  switch (verdict.kind) {
    case 'snooze':
      return { kind: 'snooze', afterMs: verdict.afterMs }
    case 'dead':
      return buried('rejected', { name: 'Rejected', message: verdict.reason })
    case 'retry': {
      const rule = ruleFor(run.message, spec.retry)
      const delay = retryDelay(rule, run.message.attempt, random())
      const failure = { name: 'Retry', message: verdict.reason, attempts: run.message.attempt }
      return delay === undefined
        ? buried('failed', failure)
        : { kind: 'retry', afterMs: verdict.afterMs ?? delay, failure }
    }
    default:
      return verdict satisfies never
  }
}

/** A handler, a middleware or a schema threw, or what ran the handler is gone: whatever middleware makes of that. */
function failed(host: ExecuteHost, run: Run, spec: MessageSpec, thrown: unknown): Outcome {
  if (thrown instanceof BadMessage) return buried('invalid', toFailure(thrown.problem))
  const error = toError(thrown)
  const { aborted, loss } = run.ctx
  if (aborted !== undefined) return abortedOutcome(aborted, error, run, spec.retry)
  if (loss !== undefined) return lostOutcome(loss, run.crashes, host.crashes)
  return byRule(run.message, spec.retry, error)
}

/** A run ended, or was given up, after it was told to stop. */
export function abortedOutcome(aborted: AbortedError, error: Error, run: Run, rule: RetryRule): Outcome {
  switch (aborted.why) {
    case 'cancelled':
      return { kind: 'cancelled', reason: aborted.message }
    case 'shutdown':
      return { kind: 'released' }
    case 'lease-lost':
      return { kind: 'lease-lost', finished: false }
    case 'deadline':
      return pastDeadline(run.message)
    case 'time-limit':
      // The limit is the reason that helps; what the handler threw on its way out is its cause.
      return byRule(run.message, rule, error === aborted ? aborted : Object.assign(aborted, { cause: error }))
    default:
      return aborted.why satisfies never
  }
}

function byRule(message: Message, ownRule: RetryRule, error: Error): Outcome {
  const rule = ruleFor(message, ownRule)
  const failure = { ...toFailure(error), attempts: message.attempt }
  const delay = isRetriedSafely(rule, error) ? retryDelay(rule, message.attempt, random()) : undefined
  if (delay === undefined) return { kind: 'dead', reason: 'failed', failure, stack: error.stack }
  return { kind: 'retry', afterMs: delay, failure, stack: error.stack }
}

function pastDeadline(message: Message): Outcome {
  const text = `expected the message to be done by ${new Date(message.deadline ?? 0).toISOString()}, but that has passed`
  return buried('deadline', { name: 'DeadlineError', message: text, code: 'DEADLINE', attempts: message.attempt })
}

function unknownMessage(host: ExecuteHost, { actor, name }: Message): Outcome {
  const known = [...host.messageNames()]
  const text = `expected one of the messages of actor ${actor} (${known.join(', ')}), got: ${JSON.stringify(name.slice(0, 80))}${didYouMean(name.slice(0, 80), known)}`
  return buried('unknown-message', toFailure(new ActorError('UNKNOWN_MESSAGE', text)))
}

function buried(reason: DeadReason, failure: Failure): Outcome {
  return { kind: 'dead', reason, failure }
}

/** The outcome of a message whose headers cannot be read. */
export function unreadable(error: unknown): Outcome {
  return buried('invalid', toFailure(error instanceof TroupeError ? error : toError(error)))
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
