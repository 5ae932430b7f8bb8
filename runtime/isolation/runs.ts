/**
 * What runs in one member, by number: until a run ends, or its member is gone.
 *
 * A run is told to stop by its signal. If it has not ended after the grace it is overdue, and its member has to go: nothing else ends
 * a loop. The run then ends with the reason that it was aborted for; what ran beside it is innocent (crash.ts).
 */
import { ActorError, toError, type AbortedError } from '../errors.ts'
import { dead, retry, snooze, type Verdict } from '../outcome.ts'
import { decideRetry } from '../retryRule.ts'
import { systemClock, type Timer } from '../time/clock.ts'
import { describeCrash, isBlamed, type Blame, type CrashReport } from './crash.ts'
import { fromErrorData } from './errorData.ts'
import { messageData, type FromMember, type ToMember, type VerdictData } from './protocol.ts'
import type { Task } from './task.ts'

export interface RunsHost {
  /** Throws where structured clone can't carry it. */
  send(message: ToMember): void
  /** From a run's signal until it is overdue: ms. */
  graceFor(reason: AbortedError): number
  overdue(task: Task): void
}

/** How a run ended, as its member says it. */
export type RunEnd = Extract<FromMember, { kind: 'done' | 'untold' | 'verdict' | 'threw' }>

interface Entry {
  readonly task: Task
  /** Ends the watch on its signal and its grace. */
  forget(): void
}

export class Runs {
  readonly #host: RunsHost
  readonly #entries = new Map<number, Entry>()
  #count = 0

  constructor(host: RunsHost) {
    this.#host = host
  }

  get size(): number {
    return this.#entries.size
  }
  /** Begun so far. */
  get count(): number {
    return this.#count
  }
  /** One of them must have its member for itself. */
  get isExclusive(): boolean {
    return [...this.#entries.values()].some(({ task }) => task.ctx.isSuspect)
  }

  begin(task: Task): void {
    const run = ++this.#count
    const { ctx, payload } = task
    const { carried, occurrence } = ctx
    task.begin()
    try {
      const limitMs = ctx.remaining()
      this.#host.send({ kind: 'run', run, message: messageData(carried), payload, occurrence, limitMs })
    } catch (error) {
      return task.failed(toError(error))
    }
    let grace: Timer | undefined
    const unwatch = ctx.whenAborted((reason) => {
      this.#host.send({ kind: 'abort', run, why: reason.why, text: reason.message })
      grace = systemClock.setTimer(() => this.#host.overdue(task), this.#host.graceFor(reason))
    })
    const forget = (): void => {
      grace?.cancel()
      unwatch()
    }
    this.#entries.set(run, { task, forget })
  }

  ended(end: RunEnd): void {
    const task = this.#take(end.run)
    if (task === undefined) return
    switch (end.kind) {
      case 'done':
        return task.done(end.value)
      case 'untold':
        return task.done(untold(fromErrorData(end.error)))
      case 'verdict':
        return task.done(verdictOf(end.verdict))
      case 'threw': {
        const error = fromErrorData(end.error)
        decideRetry(error, end.isRetried)
        return task.failed(error)
      }
      default:
        return end satisfies never
    }
  }

  progress(run: number, value: unknown): void {
    this.#entries.get(run)?.task.ctx.progress(value)
  }

  /** Their member is gone; `report` where nobody here had ended it. */
  lose(report: CrashReport | undefined, blame: Blame): void {
    for (const run of this.#entries.keys()) this.#lose(run, report, blame)
  }

  #lose(run: number, report: CrashReport | undefined, blame: Blame): void {
    const task = this.#take(run)
    if (task === undefined) return
    const { ctx } = task
    if (ctx.aborted !== undefined) return task.failed(ctx.aborted)
    ctx.loss = report !== undefined && isBlamed(run, blame) ? { kind: 'crashed', report } : { kind: 'innocent' }
    const how = report === undefined ? 'what it ran beside was ended' : describeCrash(report)
    task.failed(new ActorError('CRASHED', `${ctx.actor}.${ctx.message} (${ctx.id}) did not end: ${how}`))
  }

  #take(run: number): Task | undefined {
    const entry = this.#entries.get(run)
    this.#entries.delete(run)
    entry?.forget()
    return entry?.task
  }
}

function verdictOf(data: VerdictData): Verdict {
  switch (data.kind) {
    case 'retry':
      return retry({ reason: data.reason, ...(data.afterMs === undefined ? {} : { after: data.afterMs }) })
    case 'snooze':
      return snooze(data.afterMs)
    case 'dead':
      return dead(data.reason)
    default:
      return data satisfies never
  }
}

/** A result that can't be carried: whoever tries to encode it learns why, as where it was made. */
function untold(error: Error): object {
  return {
    toJSON(): never {
      throw error
    },
  }
}
