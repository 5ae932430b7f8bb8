/**
 * The threads or processes of one isolated actor, and what runs in which.
 *
 * The mailbox loop, its leases and its acks stay with the system. So it knows what ran in a member that dies and gives that back
 * at once, a member needs no connection and no keeper of leases, and what blocks or leaks in a handler is not where acks are made. The
 * price is a hop there and back for each message: runtime/README.md has it measured.
 *
 * Owns: how many members there are, which one gets a run, who replaces whom. Does not own: how many messages are fetched (worker.ts asks
 * `capacity`), what a run's end means (execute.ts), how a member is started and ended (member.ts, thread.ts, process.ts).
 *
 * Rules
 * 1. A member runs `slots` messages at once, one by default. A message that is to be poison at its next crash has its for itself.
 * 2. There are as many members as `concurrency` needs, and spares. When all are taken (live calls have slots of their own, as many
 *    again) more are started; those that have been idle for a while end.
 * 3. A member that died is replaced at once. Members that can't start, or die without having run anything, are started again after
 *    a growing pause; when so many in a row did and none is left, the actor has failed, and its supervisor decides.
 * 4. Recycling takes one at a time: a successor is started, and when it is ready the old one takes no more, and ends when empty.
 * 5. A run waits for a place as long as WAIT_MS, uncounted by its time limit; then it goes back to the mailbox.
 *
 * Why own code. piscina 5 has threads only. tinypool 2 has processes too, but of one that dies it tells neither code nor signal nor
 * stderr, a thread that calls process.exit leaves its task unsettled for ever, an abort gives the task up before its worker has ended,
 * and kills with no grace. Neither waits until a worker has loaded its module, makes a successor ready first, or has a
 * channel for what a handler says while it runs (signal, log, progress, send).
 */
import { availableParallelism } from 'node:os'

import type { RunContext } from '../context.ts'
import { UnavailableError, toError } from '../errors.ts'
import type { MemberEnd } from '../events.ts'
import type { Logger } from '../log.ts'
import { nextDelay, type ResolvedBackoff } from '../time/backoff.ts'
import { random } from '../time/chance.ts'
import { systemClock } from '../time/clock.ts'
import { checkCarried } from './carry.ts'
import type { CrashReport } from './crash.ts'
import { Member, STUCK_MS, type MemberHost, type MemberSettings, type MemberState } from './member.ts'
import { residentBytes } from './memory.ts'
import { loadingFlags } from './nodeFlags.ts'
import type { Isolation } from './options.ts'
import type { FromMember, MemberStart, ToMember } from './protocol.ts'
import { recycleMarks } from './recycle.ts'
import { Task } from './task.ts'

export interface PoolSettings {
  readonly actor: string
  readonly isolation: Isolation
  /** Name of the worker: members are numbered behind it. */
  readonly worker: string
  /** Messages at once. */
  readonly concurrency: number
  readonly start: Omit<MemberStart, 'skewMs'>
}

export interface PoolHost {
  readonly log: Logger
  /** The handlers' clock minus the machine's: ms. */
  skewMs(): number
  graceFor: MemberHost['graceFor']
  /** What a member says that is about no run: a log line, a call, a leak. */
  onSaid(member: Member, message: FromMember): void
  onKill: MemberHost['onKill']
  onStarted(member: Member): void
  onEnded(member: Member, why: MemberEnd, report: CrashReport | undefined): void
  /** There are more or fewer places than before. */
  onCapacity(): void
  /** No member is left and none starts. */
  onHopeless(error: Error): void
}

/** One member, for reports. */
export interface MemberInfo {
  readonly name: string
  readonly pid: number | undefined
  readonly state: MemberState
  readonly running: number
  readonly messages: number
  readonly heldBytes: number
  readonly ageMs: number
}

const WAIT_MS = 10_000
const IDLE_MS = 30_000
const LOOK_MS = 1_000
/** With a memory limit: how often it is looked at. */
const WATCH_MS = 100
/** Starting one that took longer than this is slow: then one is kept ready. */
const SLOW_START_MS = 300
const START_BACKOFF: ResolvedBackoff = { baseMs: 200, factor: 2, maxMs: 30_000, jitter: 0.2 }
/** Starts in a row that failed: then nobody expects the next one to work. */
const HOPELESS = 5
/** Started at once, at most: more would only make each of them slower. */
const STARTS_AT_ONCE = Math.min(4, availableParallelism())

export class Pool implements MemberHost {
  readonly #settings: PoolSettings
  readonly #host: PoolHost
  readonly #members = new Set<Member>()
  readonly #waiting = new Set<Task>()
  readonly #freeSince = new WeakMap<Member, number>()
  readonly #why = new WeakMap<Member, MemberEnd>()
  #concurrency: number
  #numbers = 0
  #recycling: Member | undefined
  #spares: number
  /** Failed starts in a row. */
  #failures = 0
  #pause: NodeJS.Timeout | undefined
  #look: NodeJS.Timeout | undefined
  #started: { resolve(): void; reject(error: Error): void } | undefined
  #draining = false
  #stopping = false
  #whenEmpty: (() => void) | undefined

  constructor(settings: PoolSettings, host: PoolHost) {
    this.#settings = settings
    this.#host = host
    this.#concurrency = settings.concurrency
    this.#spares = settings.isolation.spares ?? 0
  }

  /** Resolves when the first member is ready; rejects with its report where it can't be, and with the signal's reason. */
  open(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      signal.addEventListener('abort', () => reject(toError(signal.reason)), { once: true })
      this.#started = { resolve, reject }
      // One first: what can't start is not started several times.
      this.#startMember()
    })
  }

  /** Places for messages of the mailbox: of members that are ready. */
  get capacity(): number {
    return this.#ready.length * this.#slots
  }
  readonly patienceMs = WAIT_MS + STUCK_MS
  get members(): readonly MemberInfo[] {
    return Array.from(this.#members, ({ name, pid, state, running, messages, heldBytes, ageMs }) => {
      return { name, pid, state, running, messages, heldBytes, ageMs }
    })
  }

  /** Runs a handler in one of the members. What it resolves or rejects with is the handler's. */
  run(name: string, payload: unknown, ctx: RunContext): Promise<unknown> {
    checkCarried(this.#settings.actor, name, payload)
    return new Promise((resolve, reject) => {
      const task = new Task({ name, payload, ctx }, resolve, reject)
      const place = this.#placeFor(task)
      if (place !== undefined && this.#waiting.size === 0) place.run(task)
      else this.#wait(task)
      this.#watch()
    })
  }

  /** From now on so many messages at once. */
  scale(concurrency: number): void {
    this.#concurrency = concurrency
    const surplus = this.#ready.length - this.#wanted
    for (const member of this.#ready.toSorted((a, b) => a.running - b.running).slice(0, Math.max(0, surplus)))
      this.#retire(member, 'idle')
    this.#fill()
  }

  /** The handlers' clock was moved. */
  clockMoved(): void {
    this.#tellAll({ kind: 'clock', skewMs: this.#host.skewMs() })
  }
  /** The system stops: handlers may ask for it. Nobody is replaced any more. */
  tellStopping(): void {
    this.#draining = true
    this.#tellAll({ kind: 'stopping' })
  }

  /** Ends what still runs: it was told and did not. Resolves when it has ended. */
  async killRunning(): Promise<void> {
    const busy = [...this.#members].filter(({ running }) => running > 0)
    const gone = busy.map((member) => new Promise<void>((resolve) => this.#whenGone.set(member, resolve)))
    for (const member of busy) this.#kill(member)
    await Promise.all(gone)
  }

  /** Ends all members; what still runs in them is killed. */
  async close(): Promise<void> {
    this.#draining = true
    this.#stopping = true
    clearTimeout(this.#pause)
    clearInterval(this.#look)
    for (const task of this.#waiting) this.#giveUp(task)
    for (const member of this.#members) {
      if (member.running > 0) this.#kill(member)
      else this.#retire(member, 'stopped')
    }
    if (this.#members.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve))
  }

  graceFor: MemberHost['graceFor'] = (reason) => this.#host.graceFor(reason)
  onKill: MemberHost['onKill'] = (member, task) => {
    this.#why.set(member, 'killed')
    this.#host.onKill(member, task)
  }
  onSaid: MemberHost['onSaid'] = (member, message) => this.#host.onSaid(member, message)

  onReady(member: Member): void {
    this.#freeSince.set(member, systemClock.monotonic())
    if (this.#settings.isolation.spares === undefined && member.ageMs > SLOW_START_MS) this.#spares = 1
    this.#host.onStarted(member)
    this.#started?.resolve()
    this.#started = undefined
    this.#retireRecycled()
    this.#serve()
    this.#fill()
    this.#host.onCapacity()
  }

  onFree(member: Member): void {
    if (member.running === 0) this.#freeSince.set(member, systemClock.monotonic())
    this.#serve()
    this.#recycle()
  }

  onGone(member: Member, { report, error }: { report: CrashReport | undefined; error: Error | undefined }): void {
    this.#members.delete(member)
    if (this.#recycling === member) this.#recycling = undefined
    this.#whenGone.get(member)?.()
    this.#host.onEnded(member, report === undefined ? (this.#why.get(member) ?? 'stopped') : 'crashed', report)
    if (this.#stopping) return this.#members.size === 0 ? this.#whenEmpty?.() : undefined
    this.#count(member, report, error)
    this.#recycle()
    this.#fill()
    this.#host.onCapacity()
  }

  readonly #whenGone = new WeakMap<Member, () => void>()

  get #slots(): number {
    const { workers } = this.#settings.isolation
    return workers === undefined ? 1 : Math.ceil(this.#concurrency / workers)
  }
  get #ready(): Member[] {
    return [...this.#members].filter(({ state }) => state === 'ready')
  }
  get #starting(): Member[] {
    return [...this.#members].filter(({ state }) => state === 'starting')
  }
  /** Members that the mailbox's messages need, with spares and a successor. */
  get #wanted(): number {
    const base = this.#settings.isolation.workers ?? this.#concurrency
    return base + this.#spares + (this.#recycling?.state === 'ready' ? 1 : 0)
  }
  /** The same with those that wait (rule 2). */
  get #needed(): number {
    const running = this.#ready.reduce((sum, member) => sum + member.running, 0)
    const most = 2 * (this.#settings.isolation.workers ?? this.#concurrency) + this.#spares
    return Math.max(this.#wanted, Math.min(most, Math.ceil((running + this.#waiting.size) / this.#slots)))
  }

  #placeFor({ ctx }: Task): Member | undefined {
    const free = this.#ready.filter((member) =>
      ctx.isSuspect ? member.running === 0 : member.running < this.#slots && !member.isTaken,
    )
    return free.reduce<Member | undefined>(
      (least, member) => (least === undefined || member.running < least.running ? member : least),
      undefined,
    )
  }

  #wait(task: Task): void {
    this.#waiting.add(task)
    task.hold()
    const timer = setTimeout(() => this.#giveUp(task), WAIT_MS)
    task.ctx.onAbort = (reason) => {
      this.#waiting.delete(task)
      clearTimeout(timer)
      task.failed(reason)
    }
    this.#timers.set(task, timer)
    this.#fill()
  }
  readonly #timers = new WeakMap<Task, NodeJS.Timeout>()

  /** Nobody has a place for it: others may. */
  #giveUp(task: Task): void {
    if (!this.#waiting.delete(task)) return
    clearTimeout(this.#timers.get(task))
    task.ctx.loss = { kind: 'innocent' }
    const { actor, isolation } = this.#settings
    const text = `expected a ${isolation.kind} of actor ${actor} to have room within ${WAIT_MS} ms, but none has. Try again.`
    task.failed(new UnavailableError('BUSY', text))
  }

  /** Gives places to those that wait, in order. */
  #serve(): void {
    for (const task of this.#waiting) {
      const place = this.#placeFor(task)
      if (place === undefined) break
      this.#waiting.delete(task)
      clearTimeout(this.#timers.get(task))
      place.run(task)
    }
  }

  /** Starts what is missing. */
  #fill(): void {
    if (this.#draining || this.#pause !== undefined || this.#started !== undefined) return
    const alive = this.#ready.length + this.#starting.length
    const missing = Math.min(this.#needed - alive, STARTS_AT_ONCE - this.#starting.length)
    for (let index = 0; index < missing; index++) this.#startMember()
    this.#watch()
  }

  #startMember(): void {
    const { isolation, worker, start } = this.#settings
    const settings: MemberSettings = {
      name: `${worker}/${++this.#numbers}`,
      isolation,
      start: { ...start, skewMs: this.#host.skewMs() },
      execArgv: isolation.execArgv ?? loadingFlags(process.execArgv),
      marks: recycleMarks(isolation.recycle, random()),
    }
    try {
      this.#members.add(new Member(settings, this))
    } catch (error) {
      this.#failed(toError(error))
    }
  }

  /** Rule 3. */
  #count(member: Member, report: CrashReport | undefined, error: Error | undefined): void {
    if (error !== undefined) return this.#failed(error)
    if (member.messages > 0 || report === undefined) this.#failures = 0
    else this.#failed(new UnavailableError('MEMBER_DIED', `${member.name} ended before it had run anything`))
  }

  #failed(error: Error): void {
    if (this.#started !== undefined) {
      this.#started.reject(error)
      this.#started = undefined
      return
    }
    this.#failures++
    this.#host.log.error('a thread or process of an isolated actor could not start', {
      actor: this.#settings.actor,
      error,
      failures: this.#failures,
    })
    if (this.#failures >= HOPELESS && this.#ready.length === 0) return this.#host.onHopeless(error)
    clearTimeout(this.#pause)
    this.#pause = setTimeout(
      () => {
        this.#pause = undefined
        this.#fill()
      },
      nextDelay(START_BACKOFF, this.#failures, random()),
    )
  }

  /** Rule 4. */
  #recycle(): void {
    if (this.#recycling !== undefined || this.#settings.isolation.recycle === undefined) return
    this.#recycling = this.#ready.find((member) => member.isWornOut)
    if (this.#recycling !== undefined) this.#fill()
  }

  #retireRecycled(): void {
    const old = this.#recycling
    if (old?.state === 'ready' && this.#ready.length >= this.#wanted) this.#retire(old, 'recycled')
  }

  #retire(member: Member, why: MemberEnd): void {
    this.#why.set(member, why)
    member.retire()
  }
  #kill(member: Member): void {
    this.#why.set(member, 'killed')
    member.kill()
  }

  /** A look at what no message tells: memory, ages, members that nobody needs. Only while there is something to look at. */
  #watch(): void {
    const { isolation } = this.#settings
    if (this.#look !== undefined || this.#stopping || !this.#isWatchable()) return
    const everyMs = isolation.kind === 'process' && isolation.memoryLimitBytes !== undefined ? WATCH_MS : LOOK_MS
    this.#look = setInterval(() => void this.#lookAround(), everyMs)
    this.#look.unref()
  }

  #isWatchable(): boolean {
    const isAging = this.#settings.isolation.recycle?.atAgeMs !== undefined
    return isAging || this.#ready.length > this.#wanted || [...this.#members].some(({ running }) => running > 0)
  }

  async #lookAround(): Promise<void> {
    if (!this.#isWatchable()) {
      clearInterval(this.#look)
      this.#look = undefined
      return
    }
    const busy = new Map(Array.from(this.#members, (member) => [member.running > 0 ? member.pid : undefined, member]))
    busy.delete(undefined)
    const held = busy.size === 0 ? [] : await residentBytes([...busy.keys()] as number[])
    for (const [pid, bytes] of held) busy.get(pid)?.holds(bytes)
    this.#recycle()
    this.#endIdle()
  }

  #endIdle(): void {
    const before = systemClock.monotonic() - IDLE_MS
    const idle = this.#ready.filter((each) => each.running === 0 && (this.#freeSince.get(each) ?? Infinity) < before)
    for (const member of idle.slice(0, Math.max(0, this.#ready.length - this.#wanted))) this.#retire(member, 'idle')
  }

  #tellAll(message: ToMember): void {
    for (const member of this.#members) member.tell(message)
  }
}
