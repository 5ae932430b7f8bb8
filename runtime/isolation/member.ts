/**
 * One thread or child process of a pool: what runs in it, how it is told to stop, how it ends.
 *
 * States: starting → ready → retiring (takes no more) → ending (nothing runs, or it was killed) → gone.
 *
 * A run is told to stop by its signal. If it has not ended after the grace, the member is killed: the only thing that ends a
 * loop. The run then ends with the reason that it was aborted for; what ran beside it is innocent and goes back (crash.ts).
 */
import { ActorError, toError, type AbortedError } from '../errors.ts'
import { retry, snooze, dead, type Verdict } from '../outcome.ts'
import { decideRetry } from '../retryRule.ts'
import { systemClock } from '../time/clock.ts'
import { formatDuration } from '../time/duration.ts'
import { boundReport, describeCrash, isBlamed, type Blame, type CrashCause, type CrashReport } from './crash.ts'
import { fromErrorData } from './errorData.ts'
import type { Isolation } from './options.ts'
import type { Port, PortExit, PortListener, PortOptions } from './port.ts'
import { startProcess } from './process.ts'
import { messageData, type FromMember, type MemberStart, type VerdictData } from './protocol.ts'
import { isWornOut, type RecycleMarks } from './recycle.ts'
import type { Task } from './task.ts'
import { startThread } from './thread.ts'

export interface MemberSettings {
  readonly name: string
  readonly isolation: Isolation
  readonly start: MemberStart
  readonly execArgv: readonly string[]
  readonly marks: RecycleMarks
}

export interface MemberHost {
  /** From a run's signal until its member is killed: ms. */
  graceFor(reason: AbortedError): number
  onReady(member: Member): void
  /** One of its runs ended. */
  onFree(member: Member): void
  /** It is killed for this run, which did not end when told. */
  onKill(member: Member, task: Task): void
  /** It is gone, and what ran in it was told. `error`: it never was ready. */
  onGone(member: Member, end: { readonly report: CrashReport | undefined; readonly error: Error | undefined }): void
  /** What is about no place in its table: logs, calls, leaks. */
  onSaid(member: Member, message: FromMember): void
}

export type MemberState = 'starting' | 'ready' | 'retiring' | 'ending' | 'gone'

/** A thread that is stuck in native code can't be ended: after this it is taken as gone. */
export const STUCK_MS = 2_000
/** Longest time in which it closes its resources and ends when it is told to. */
const CLOSE_MS = 5_000
const KINDS = { thread: startThread, process: startProcess } as const

export class Member {
  readonly name: string
  readonly startedAt = systemClock.monotonic()
  readonly #settings: MemberSettings
  readonly #host: MemberHost
  readonly #port: Port
  readonly #runs = new Map<number, Task>()
  readonly #kills = new Map<number, NodeJS.Timeout>()
  readonly #startTimer: NodeJS.Timeout
  #state: MemberState = 'starting'
  #numbers = 0
  #messages = 0
  #heldBytes = 0
  /** Why it ends, where it is ended from here. */
  #wasEnded = false
  #killedFor: Task | undefined
  #overLimit = false
  #startError: Error | undefined
  #uncaught: { readonly blame: Blame; readonly error: Error } | undefined
  #stuck: NodeJS.Timeout | undefined

  constructor(settings: MemberSettings, host: MemberHost) {
    const { name, isolation, start, execArgv } = settings
    this.name = name
    this.#settings = settings
    this.#host = host
    const options: PortOptions = { start, title: name, execArgv, memoryLimitBytes: isolation.memoryLimitBytes }
    const listener: PortListener = {
      onMessage: (message) => this.#hear(message),
      onExit: (exit) => this.#gone(exit),
    }
    this.#port = KINDS[isolation.kind](options, listener)
    this.#startTimer = setTimeout(() => this.#notInTime(), start.startWithinMs)
  }

  get state(): MemberState {
    return this.#state
  }
  get pid(): number | undefined {
    return this.#port.pid
  }
  get running(): number {
    return this.#runs.size
  }
  /** Runs that it was given so far. */
  get messages(): number {
    return this.#messages
  }
  get heldBytes(): number {
    return this.#heldBytes
  }
  get ageMs(): number {
    return systemClock.monotonic() - this.startedAt
  }
  /** It runs one that must have it for itself. */
  get isTaken(): boolean {
    return [...this.#runs.values()].some(({ ctx }) => ctx.isSuspect)
  }
  get isWornOut(): boolean {
    const { messages, heldBytes, ageMs } = this
    return isWornOut(this.#settings.marks, { messages, heldBytes, ageMs })
  }

  run(task: Task): void {
    const run = ++this.#numbers
    const { ctx, payload } = task
    try {
      task.begin()
      const { carried, occurrence } = ctx
      const message = messageData(carried)
      this.#port.send({ kind: 'run', run, message, payload, occurrence, limitMs: ctx.remaining() })
    } catch (error) {
      return task.failed(toError(error))
    }
    this.#messages++
    this.#runs.set(run, task)
    ctx.onAbort = (reason) => this.#abort(run, reason)
    // It may have been told to stop while it waited.
    if (ctx.aborted !== undefined) this.#abort(run, ctx.aborted)
  }

  /** The answer to one of its calls, and what its handlers are told of the system. */
  tell(message: Parameters<Port['send']>[0]): void {
    if (this.#state !== 'gone') this.#port.send(message)
  }

  /** What it holds, as seen from outside: above its limit it ends here. */
  holds(bytes: number): void {
    this.#heldBytes = bytes
    const { memoryLimitBytes } = this.#settings.isolation
    if (memoryLimitBytes === undefined || bytes <= memoryLimitBytes || this.#wasEnded) return
    this.#overLimit = true
    this.#kill()
  }

  /** Takes no more; ends when what runs in it has ended. */
  retire(): void {
    if (this.#state === 'starting') return this.kill()
    if (this.#state !== 'ready') return
    this.#state = 'retiring'
    if (this.#runs.size === 0) this.#end()
  }

  /** Ends it now, whatever runs in it. */
  kill(): void {
    if (this.#state === 'gone') return
    this.#wasEnded = true
    this.#kill()
  }

  #end(): void {
    this.#state = 'ending'
    this.#wasEnded = true
    this.#port.send({ kind: 'end' })
    this.#stuck = setTimeout(() => this.#kill(), CLOSE_MS)
  }

  #kill(): void {
    this.#state = 'ending'
    clearTimeout(this.#stuck)
    this.#stuck = setTimeout(() => this.#gone(NOT_KNOWN), STUCK_MS)
    this.#port.kill()
  }

  #abort(run: number, reason: AbortedError): void {
    const task = this.#runs.get(run)
    if (task === undefined) return
    this.tell({ kind: 'abort', run, why: reason.why, text: reason.message })
    const graceMs = this.#host.graceFor(reason)
    this.#kills.set(
      run,
      setTimeout(() => this.#killFor(task), graceMs),
    )
  }

  #killFor(task: Task): void {
    if (this.#state === 'gone' || this.#killedFor !== undefined) return
    this.#killedFor = task
    this.#host.onKill(this, task)
    this.#kill()
  }

  #hear(message: FromMember): void {
    switch (message.kind) {
      case 'ready':
        clearTimeout(this.#startTimer)
        if (this.#state !== 'starting') return
        this.#state = 'ready'
        return this.#host.onReady(this)
      case 'unready':
        this.#startError = fromErrorData(message.error)
        return
      case 'done':
        return this.#runEnded(message, (task) => task.done(message.value))
      case 'untold':
        return this.#runEnded(message, (task) => task.done(untold(fromErrorData(message.error))))
      case 'verdict':
        return this.#runEnded(message, (task) => task.done(verdictOf(message.verdict)))
      case 'threw':
        return this.#runEnded(message, (task) => {
          const error = fromErrorData(message.error)
          decideRetry(error, message.isRetried)
          task.failed(error)
        })
      case 'progress':
        return this.#runs.get(message.run)?.ctx.progress(message.value)
      case 'uncaught':
        this.#uncaught = { blame: blameOf(message.run), error: fromErrorData(message.error) }
        return
      case 'call':
      case 'log':
      case 'leak':
        return this.#host.onSaid(this, message)
      default:
        return message satisfies never
    }
  }

  #runEnded({ run, heldBytes }: { run: number; heldBytes?: number }, then: (task: Task) => void): void {
    const task = this.#take(run)
    if (heldBytes !== undefined) this.#heldBytes = heldBytes
    if (task !== undefined) then(task)
    if (this.#state === 'retiring' && this.#runs.size === 0) this.#end()
    this.#host.onFree(this)
  }

  #take(run: number): Task | undefined {
    const task = this.#runs.get(run)
    this.#runs.delete(run)
    clearTimeout(this.#kills.get(run))
    this.#kills.delete(run)
    return task
  }

  #notInTime(): void {
    const { isolation, start } = this.#settings
    const text = `expected the ${isolation.kind} of actor ${start.actor} to be ready within ${formatDuration(start.startWithinMs)} (startWithin), but it is not`
    this.#startError = new ActorError('START_FAILED', text)
    this.#kill()
  }

  #gone(exit: PortExit): void {
    if (this.#state === 'gone') return
    const wasStarting = this.#state === 'starting' || this.#startError !== undefined
    this.#state = 'gone'
    clearTimeout(this.#startTimer)
    clearTimeout(this.#stuck)
    const report = this.#wasEnded || this.#killedFor !== undefined ? undefined : this.#report(exit)
    for (const run of this.#runs.keys()) this.#lose(run, report)
    this.#host.onGone(this, { report, error: wasStarting && !this.#wasEnded ? this.#startFailure(exit) : undefined })
  }

  /** A run whose member is gone. */
  #lose(run: number, report: CrashReport | undefined): void {
    const task = this.#take(run)
    if (task === undefined) return
    const { ctx } = task
    if (ctx.aborted !== undefined) return task.failed(ctx.aborted)
    const isCrash = report !== undefined && isBlamed(run, this.#uncaught?.blame ?? 'unknown')
    ctx.loss = isCrash ? { kind: 'crashed', report } : { kind: 'innocent' }
    const what = report === undefined ? 'what it ran beside was ended' : describeCrash(report)
    task.failed(new ActorError('CRASHED', `${ctx.actor}.${ctx.message} (${ctx.id}) did not end: ${what}`))
  }

  #report({ code, signal, isOutOfMemory, stderr }: PortExit): CrashReport {
    const error = this.#uncaught?.error
    const cause: CrashCause =
      isOutOfMemory || this.#overLimit
        ? 'memory'
        : error !== undefined
          ? 'uncaught'
          : signal !== undefined
            ? 'signal'
            : 'exit'
    return boundReport({
      at: new Date(systemClock.now()).toISOString(),
      member: this.name,
      kind: this.#settings.isolation.kind,
      ...(this.pid === undefined ? {} : { pid: this.pid }),
      cause,
      ...(code === undefined ? {} : { code }),
      ...(signal === undefined ? {} : { signal }),
      ...(error === undefined ? {} : { error: error.stack ?? `${error.name}: ${error.message}` }),
      ...(this.#heldBytes === 0 ? {} : { memoryBytes: this.#heldBytes }),
      stderr,
    })
  }

  #startFailure({ code, signal, stderr }: PortExit): Error {
    if (this.#startError instanceof ActorError && this.#startError.code === 'START_FAILED') return this.#startError
    const { start, isolation } = this.#settings
    const { actor, module } = start
    const cause = this.#startError
    const how = cause?.message ?? `it ended with ${signal ?? `exit code ${code}`} before it was ready`
    const text = `expected the ${isolation.kind} of actor ${actor} to start, but it did not: ${how}`
    return new ActorError('START_FAILED', text, { cause, data: { actor, module, code, signal, stderr } })
  }
}

const NOT_KNOWN: PortExit = { isOutOfMemory: false, stderr: '' }

function blameOf(run: number | 'ended' | undefined): Blame {
  if (run === undefined) return 'unknown'
  return run === 'ended' ? 'nobody' : { run }
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

/** A result that can't be carried, for whoever tries to encode it: as where it was made. */
function untold(error: Error): object {
  return {
    toJSON(): never {
      throw error
    },
  }
}
