/**
 * One thread or child process of a pool: its states, and how it ends.
 *
 *     starting → ready → retiring → ending → gone
 *
 * Starting: it loads its module and opens its resources. Retiring: it takes no more, and ends when nothing runs in it. Ending: it was told
 * to close what is open, or was killed. Whatever ends it, `onGone` is told once, after what ran in it.
 */
import { ActorError, type AbortedError } from '../errors.ts'
import { systemClock, type Timer } from '../time/clock.ts'
import { formatDuration } from '../time/duration.ts'
import type { Blame, CrashReport } from './crash.ts'
import { crashReport, startFailure } from './endings.ts'
import { fromErrorData } from './errorData.ts'
import type { Isolation } from './options.ts'
import type { Port, PortExit } from './port.ts'
import { startProcess } from './process.ts'
import type { FromMember, MemberStart, ToMember } from './protocol.ts'
import { isWornOut, type RecycleMarks } from './recycle.ts'
import { Runs, type RunEnd, type RunsHost } from './runs.ts'
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
  graceFor(reason: AbortedError): number
  onReady(member: Member): void
  /** One of its runs ended. */
  onFree(member: Member): void
  /** It is killed for this run, which did not end when told. */
  onKill(member: Member, task: Task): void
  onGone(member: Member, end: MemberGone): void
  /** What is about none of its runs: logs, calls, leaks. */
  onSaid(member: Member, message: FromMember): void
}

export interface MemberGone {
  /** Of an end that nobody here had asked for. */
  readonly report: CrashReport | undefined
  /** It never was ready. */
  readonly error: Error | undefined
}

export type MemberState = 'starting' | 'ready' | 'retiring' | 'ending' | 'gone'

/** A thread that is stuck in native code can't be ended: after this it is taken as gone. */
export const STUCK_MS = 2_000
/** Longest time in which it closes its resources and ends when it is told to. */
const CLOSE_MS = 5_000
const KINDS = { thread: startThread, process: startProcess } as const
const UNSEEN: PortExit = { isOutOfMemory: false, stderr: '' }

export class Member implements RunsHost {
  readonly name: string
  /** Resolves when it is gone, and that was told. */
  readonly gone: Promise<void>
  #resolveGone = (): void => {}
  readonly #settings: MemberSettings
  readonly #host: MemberHost
  readonly #port: Port
  readonly #runs = new Runs(this)
  readonly #startedAt = systemClock.monotonic()
  #idleSince = this.#startedAt
  #state: MemberState = 'starting'
  /** Of its start, then of its end. */
  #timer: Timer
  #heldBytes = 0
  /** It was ended from here. */
  #isEnded = false
  #isOverLimit = false
  #startError: Error | undefined
  #uncaught: { readonly blame: Blame; readonly error: Error } | undefined

  constructor(settings: MemberSettings, host: MemberHost) {
    const { name, isolation, start, execArgv } = settings
    this.name = name
    this.#settings = settings
    this.#host = host
    this.gone = new Promise((resolve) => (this.#resolveGone = resolve))
    const options = { start, title: name, execArgv, memoryLimitBytes: isolation.memoryLimitBytes }
    this.#port = KINDS[isolation.kind](options, {
      onMessage: (message) => this.#hear(message),
      onExit: (exit) => this.#gone(exit),
    })
    this.#timer = systemClock.setTimer(() => this.#notInTime(), start.startWithinMs)
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
  /** Of so many places those that nothing else may have: all, where what runs in it is to be alone. */
  taken(slots: number): number {
    return this.#runs.isExclusive ? slots : this.running
  }
  /** Runs that it was given so far. */
  get messages(): number {
    return this.#runs.count
  }
  get heldBytes(): number {
    return this.#heldBytes
  }
  get ageMs(): number {
    return systemClock.monotonic() - this.#startedAt
  }
  /** Since when nothing runs in it: ms; 0 while something does. */
  get idleMs(): number {
    return this.running > 0 ? 0 : systemClock.monotonic() - this.#idleSince
  }
  get isWornOut(): boolean {
    const { messages, heldBytes, ageMs } = this
    return isWornOut(this.#settings.marks, { messages, heldBytes, ageMs })
  }

  /** Whether it may run one more; `slots`: at once. */
  hasRoomFor({ ctx }: Task, slots: number): boolean {
    if (this.#state !== 'ready') return false
    return ctx.isSuspect ? this.running === 0 : this.running < slots && !this.#runs.isExclusive
  }

  run(task: Task): void {
    this.#runs.begin(task)
  }

  /** What is sent to one that has ended is lost, and so is what it was about. */
  send(message: ToMember): void {
    if (this.#state !== 'gone') this.#port.send(message)
  }

  /** What it holds, as seen from outside: above its limit it ends here. */
  holds(bytes: number): void {
    this.#heldBytes = bytes
    if (this.#isEnded || bytes <= (this.#settings.isolation.memoryLimitBytes ?? Infinity)) return
    this.#isOverLimit = true
    this.#kill()
  }

  /** Takes no more; ends when nothing runs in it. */
  retire(): void {
    if (this.#state === 'starting') return this.kill()
    if (this.#state !== 'ready') return
    this.#state = 'retiring'
    this.#endIfEmpty()
  }

  /** Ends it now, whatever runs in it. */
  kill(): void {
    if (this.#state === 'gone') return
    this.#isEnded = true
    this.#kill()
  }

  graceFor(reason: AbortedError): number {
    return this.#host.graceFor(reason)
  }

  overdue(task: Task): void {
    if (this.#state === 'gone' || this.#isEnded) return
    this.#host.onKill(this, task)
    this.kill()
  }

  #endIfEmpty(): void {
    if (this.#state !== 'retiring' || this.#runs.size > 0) return
    this.#state = 'ending'
    this.#isEnded = true
    this.send({ kind: 'end' })
    this.#timer = systemClock.setTimer(() => this.#kill(), CLOSE_MS)
  }

  #kill(): void {
    this.#state = 'ending'
    this.#timer.cancel()
    this.#timer = systemClock.setTimer(() => this.#gone(UNSEEN), STUCK_MS)
    this.#port.kill()
  }

  #hear(message: FromMember): void {
    switch (message.kind) {
      case 'ready':
        return this.#ready()
      case 'unready':
        this.#startError = fromErrorData(message.error)
        return
      case 'done':
      case 'untold':
      case 'verdict':
      case 'threw':
        return this.#runEnded(message)
      case 'progress':
        return this.#runs.progress(message.run, message.value)
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

  #ready(): void {
    if (this.#state !== 'starting') return
    this.#timer.cancel()
    this.#state = 'ready'
    this.#host.onReady(this)
  }

  #runEnded(end: RunEnd): void {
    this.#heldBytes = end.heldBytes ?? this.#heldBytes
    this.#runs.ended(end)
    this.#idleSince = systemClock.monotonic()
    this.#endIfEmpty()
    this.#host.onFree(this)
  }

  #notInTime(): void {
    const { isolation, start } = this.#settings
    const within = formatDuration(start.startWithinMs)
    const text = `expected the ${isolation.kind} of actor ${start.actor} to be ready within ${within} (startWithin), but it is not`
    this.#startError = new ActorError('START_FAILED', text, { data: { actor: start.actor } })
    this.#kill()
  }

  #gone(exit: PortExit): void {
    if (this.#state === 'gone') return
    const neverReady = this.#state === 'starting' || this.#startError !== undefined
    this.#state = 'gone'
    this.#timer.cancel()
    const report = this.#isEnded ? undefined : this.#report(exit)
    this.#runs.lose(report, this.#uncaught?.blame ?? 'unknown')
    const error = neverReady && !this.#isEnded ? startFailure(this.#settings, exit, this.#startError) : undefined
    this.#host.onGone(this, { report, error })
    this.#resolveGone()
  }

  #report(exit: PortExit): CrashReport {
    const { name, pid, heldBytes } = this
    const { kind } = this.#settings.isolation
    return crashReport(
      { name, kind, pid, heldBytes, isOverLimit: this.#isOverLimit, error: this.#uncaught?.error },
      exit,
    )
  }
}

function blameOf(run: number | 'ended' | undefined): Blame {
  if (run === undefined) return 'unknown'
  return run === 'ended' ? 'nobody' : { run }
}
