/**
 * The threads or processes of one isolated actor, and what runs in which.
 *
 * The mailbox loop, its leases and its acks stay with the system. So it knows what ran in a member that dies and gives that back
 * at once, a member needs no connection and no keeper of leases, and what blocks or leaks in a handler is not where acks are made. The
 * price is a hop there and back for each message: runtime/README.md has it measured.
 *
 * Owns: which members there are, which one gets a run, who replaces whom. Does not own: how many are needed (poolSize.ts), how many
 * messages are fetched (worker.ts asks `capacity`), what a run's end means (execute.ts), how a member is started and ended (member.ts,
 * thread.ts, process.ts).
 *
 * Rules
 * 1. A member runs `slots` messages at once, one by default. A message that is to be poison at its next crash has its for itself: one is
 *    started for it where all are busy.
 * 2. There are as many members as `concurrency` needs, and spares. When all are taken (live calls have slots of their own, as many
 *    again) more are started; those that have been idle for a while end.
 * 3. A member that died is replaced at once. Members that can't start, or die without having run anything, are started again after
 *    a growing pause; when so many in a row did and none is left, the actor has failed, and its supervisor decides.
 * 4. Recycling takes one at a time: a successor is started, and when it is ready the old one takes no more, and ends when empty.
 * 5. A run waits for a place for a while, uncounted by its time limit; then it goes back to the mailbox (waiting.ts).
 * 6. A broadcast runs in every member at once, beside what runs there: each has a state of its own to which it may matter.
 *
 * Why own code. piscina 5 has threads only. tinypool 2 has processes too, but of one that dies it tells neither code nor signal nor
 * stderr, a thread that calls process.exit leaves its task unsettled for ever, an abort gives the task up before its worker has ended,
 * and kills with no grace. Neither waits until a worker has loaded its module, makes a successor ready first, or has a
 * channel for what a handler says while it runs (signal, log, progress, send).
 */
import type { RunContext } from '../context.ts'
import { UnavailableError, toError, type AbortedError } from '../errors.ts'
import type { MemberEnd } from '../events.ts'
import type { Logger } from '../log.ts'
import { random } from '../time/chance.ts'
import { checkCarried } from './carry.ts'
import type { CrashReport } from './crash.ts'
import { Member, STUCK_MS, type MemberGone, type MemberHost, type MemberState } from './member.ts'
import { loadingFlags } from './nodeFlags.ts'
import type { Isolation } from './options.ts'
import { membersNeeded, membersWanted, slotsEach, startsDue, type PoolSize } from './poolSize.ts'
import { PoolWatch } from './poolWatch.ts'
import type { FromMember, MemberStart, ToMember } from './protocol.ts'
import { recycleMarks } from './recycle.ts'
import { Starts } from './starts.ts'
import { Task } from './task.ts'
import { WAIT_MS, Waiting } from './waiting.ts'

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
  /** From a run's signal until its member is killed: ms. */
  graceFor(reason: AbortedError): number
  /** What a member says that is about none of its runs: a log line, a call, a leak. */
  onSaid(member: Member, message: FromMember): void
  /** It is killed for this run, which did not end when told. */
  onKill(member: Member, task: Task): void
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

/** Starting one that took longer than this is slow: then one is kept ready. */
const SLOW_START_MS = 300
/** Starts in a row that failed: then nobody expects the next one to work. */
const HOPELESS = 5

export class Pool implements MemberHost {
  readonly #settings: PoolSettings
  readonly #host: PoolHost
  readonly #members = new Set<Member>()
  readonly #waiting: Waiting
  readonly #starts = new Starts(() => this.#fill())
  readonly #watch: PoolWatch
  /** Why a member ends that is ended from here. */
  readonly #why = new WeakMap<Member, MemberEnd>()
  #opening: { resolve(): void; reject(error: Error): void } | undefined
  #size: PoolSize
  #recycling: Member | undefined
  #numbers = 0
  /** The system stops: nobody is replaced any more. */
  #isDraining = false

  constructor(settings: PoolSettings, host: PoolHost) {
    const { actor, isolation, concurrency } = settings
    this.#settings = settings
    this.#host = host
    this.#waiting = new Waiting(`a ${isolation.kind} of actor ${actor}`)
    this.#watch = new PoolWatch(isolation, {
      members: this.#members,
      wanted: () => this.#wanted,
      onLook: () => this.#recycle(),
      endIdle: (member) => this.#end(member, 'idle'),
    })
    this.#size = { concurrency, workers: isolation.workers, spares: isolation.spares ?? 0 }
  }

  /** Resolves when the first member is ready; rejects with its report where it can't be, and with the signal's reason. */
  open(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      signal.addEventListener('abort', () => reject(toError(signal.reason)), { once: true })
      this.#opening = { resolve, reject }
      // One first: what can't start is not started several times.
      this.#startMember()
    })
  }

  /** Ends all members; what still runs in them is killed. */
  async close(): Promise<void> {
    this.#isDraining = true
    this.#starts.stop()
    this.#watch.stop()
    this.#waiting.giveUpAll()
    for (const member of this.#members) {
      if (member.running > 0) this.#end(member, 'killed')
      else this.#end(member, 'stopped')
    }
    await Promise.all(Array.from(this.#members, ({ gone }) => gone))
  }

  /** Messages of the mailbox that members which are ready can run at once. */
  get capacity(): number {
    return this.#in('ready').length * slotsEach(this.#size)
  }
  readonly patienceMs = WAIT_MS + STUCK_MS
  get members(): readonly MemberInfo[] {
    return Array.from(this.#members, ({ name, pid, state, running, messages, heldBytes, ageMs }) => {
      return { name, pid, state, running, messages, heldBytes, ageMs }
    })
  }

  /** Runs a handler in one of the members, a broadcast in all of them. What it resolves or rejects with is the handler's. */
  async run(name: string, payload: unknown, ctx: RunContext): Promise<unknown> {
    checkCarried(this.#settings.actor, name, payload)
    if (!ctx.isForAll) return this.#task(payload, ctx, (task) => this.#assign(task))
    await Promise.all(this.#in('ready').map((member) => this.#task(payload, ctx, (task) => member.run(task))))
    return undefined
  }

  /** From now on so many messages at once. */
  scale(concurrency: number): void {
    this.#size = { ...this.#size, concurrency }
    const ready = this.#in('ready').toSorted((a, b) => a.running - b.running)
    for (const member of ready.slice(0, Math.max(0, ready.length - this.#wanted))) this.#end(member, 'idle')
    this.#fill()
    this.#host.onCapacity()
  }

  /** The handlers' clock was moved. */
  clockMoved(): void {
    this.#tellAll({ kind: 'clock', skewMs: this.#host.skewMs() })
  }
  /** The system stops: handlers may ask for it. */
  tellStopping(): void {
    this.#isDraining = true
    this.#tellAll({ kind: 'stopping' })
  }

  /** Ends what still runs: it was told to and did not. Resolves when it has ended. */
  async killRunning(): Promise<void> {
    const busy = [...this.#members].filter(({ running }) => running > 0)
    for (const member of busy) this.#end(member, 'killed')
    await Promise.all(busy.map(({ gone }) => gone))
  }

  graceFor(reason: AbortedError): number {
    return this.#host.graceFor(reason)
  }
  onSaid(member: Member, message: FromMember): void {
    this.#host.onSaid(member, message)
  }
  onKill(member: Member, task: Task): void {
    this.#why.set(member, 'killed')
    this.#host.onKill(member, task)
  }

  onReady(member: Member): void {
    if (this.#settings.isolation.spares === undefined && member.ageMs > SLOW_START_MS)
      this.#size = { ...this.#size, spares: 1 }
    this.#host.onStarted(member)
    this.#opening?.resolve()
    this.#opening = undefined
    this.#retireRecycled()
    this.#serve()
    this.#fill()
    this.#host.onCapacity()
  }

  onFree(): void {
    this.#serve()
    this.#recycle()
  }

  onGone(member: Member, { report, error }: MemberGone): void {
    this.#members.delete(member)
    if (this.#recycling === member) this.#recycling = undefined
    this.#host.onEnded(member, report === undefined ? (this.#why.get(member) ?? 'stopped') : 'crashed', report)
    if (this.#isDraining) return this.#opening?.reject(error ?? new UnavailableError('STOPPED', 'it was stopped'))
    if (error !== undefined) this.#startFailed(error)
    else if (member.messages > 0 || report === undefined) this.#starts.worked()
    else this.#startFailed(new UnavailableError('MEMBER_DIED', `${member.name} ended before it had run anything`))
    this.#recycle()
    this.#fill()
    this.#host.onCapacity()
  }

  get #isReplacing(): boolean {
    return this.#recycling?.state === 'ready'
  }
  get #wanted(): number {
    return membersWanted(this.#size, this.#isReplacing)
  }
  get #needed(): number {
    const ready = this.#in('ready')
    const slots = slotsEach(this.#size)
    return membersNeeded(this.#size, {
      isReplacing: this.#isReplacing,
      ready: ready.length,
      running: ready.reduce((sum, member) => sum + member.taken(slots), 0),
      waiting: this.#waiting.size,
      hasSuspect: this.#waiting.hasSuspect,
    })
  }
  #in(state: MemberState): Member[] {
    return [...this.#members].filter((member) => member.state === state)
  }

  #task(payload: unknown, ctx: RunContext, then: (task: Task) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      then(new Task(payload, ctx, resolve, reject))
      this.#watch.begin()
    })
  }

  #assign(task: Task): void {
    const member = this.#waiting.comesAfter(task) ? undefined : this.#placeFor(task)
    if (member !== undefined) return member.run(task)
    this.#waiting.add(task)
    this.#fill()
  }

  /** The least busy of those that have room. */
  #placeFor(task: Task): Member | undefined {
    const slots = slotsEach(this.#size)
    let place: Member | undefined
    for (const member of this.#members) {
      if (member.hasRoomFor(task, slots) && member.running < (place?.running ?? Infinity)) place = member
    }
    return place
  }

  #serve(): void {
    if (this.#waiting.size === 0) return
    this.#waiting.serve((task) => {
      const member = this.#placeFor(task)
      return member && ((run) => member.run(run))
    })
  }

  /** Starts what is missing. */
  #fill(): void {
    if (this.#isDraining || this.#starts.isPaused || this.#opening !== undefined) return
    const starts = startsDue(this.#needed, this.#in('ready').length, this.#in('starting').length)
    for (let index = 0; index < starts; index++) this.#startMember()
    this.#watch.begin()
  }

  #startMember(): void {
    const { isolation, worker, start } = this.#settings
    const settings = {
      name: `${worker}/${++this.#numbers}`,
      isolation,
      start: { ...start, skewMs: this.#host.skewMs() },
      execArgv: isolation.execArgv ?? loadingFlags(process.execArgv),
      marks: recycleMarks(isolation.recycle, random()),
    }
    try {
      this.#members.add(new Member(settings, this))
    } catch (error) {
      this.#startFailed(toError(error))
    }
  }

  /** Rule 3. */
  #startFailed(error: Error): void {
    const opening = this.#opening
    this.#opening = undefined
    if (opening !== undefined) return opening.reject(error)
    this.#starts.failed()
    const { actor } = this.#settings
    const { failures } = this.#starts
    this.#host.log.error('a thread or process of an isolated actor could not start', { actor, failures, error })
    if (failures >= HOPELESS && this.#in('ready').length === 0) this.#host.onHopeless(error)
  }

  /** Rule 4. */
  #recycle(): void {
    if (this.#settings.isolation.recycle === undefined) return
    this.#recycling ??= this.#in('ready').find((member) => member.isWornOut)
    if (this.#recycling === undefined) return
    this.#fill()
    // One that was started for live calls may stand in for it already: then no successor is started that would say so.
    this.#retireRecycled()
  }

  #retireRecycled(): void {
    const old = this.#recycling
    if (old?.state === 'ready' && this.#in('ready').length >= this.#wanted) this.#end(old, 'recycled')
  }

  #end(member: Member, why: MemberEnd): void {
    this.#why.set(member, why)
    if (why === 'killed') member.kill()
    else member.retire()
  }

  #tellAll(message: ToMember): void {
    for (const member of this.#members) member.send(message)
  }
}
