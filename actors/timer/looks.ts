/**
 * Looks: what a timer does for schedules. A look at one schedule reads its record, works out what is due (runtime/schedules/planner.ts, pure),
 * carries that out, parks the next tick, stores the record. Ticks, the ends of runs, notices and the check now and then
 * all come down to looks; any number of timers may look at once.
 *
 *     read the record ─▶ which runs have ended? ─▶ plan ─▶ each step: ledger, message, ledger (account.ts)
 *        ▲                                                     │
 *        └──── somebody changed it: begin anew ◀── store it ◀── park the next tick          then: ack the tick
 *
 * Where it may die, and why that is safe
 * 1. Before or within the steps: the tick is not acked and comes again after its lease, to any timer. What is in the ledger is found there
 *    and not done again (account.ts).
 * 2. After the steps, before the tick is parked: the same.
 * 3. After parking, before the record is stored: the tick comes again, and the one that was parked does too. Either look finds the
 *    old record, accounts for the same occurrences, finds them in the ledger, and stores it.
 * 4. After storing, before the ack: the tick comes again; nothing is due, the same tick is parked in its own place.
 * Why in this order: parked before stored, a stale look can only leave a wrong tick behind when its store fails, and then it looks again.
 * The other way round it could die, or be overtaken by who edits the schedule, between a record that is stored and a tick that is not.
 *
 * Two looks at once (a lease that ran out, two ticks): each step is created once in the ledger, the record is stored by one, the other
 * begins anew and finds nothing left. Never early: a tick is held until the server's clock has surely passed its time.
 */
import type { ActorSpec } from '../../runtime/actor.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import { encodeHeaders, H } from '../../runtime/broker/headers.ts'
import type { ServerClock } from '../../runtime/broker/serverClock.ts'
import { BrokerError } from '../../runtime/errors.ts'
import type { ScheduleServices } from '../../runtime/hosted.ts'
import { LATEST_DUE } from '../../runtime/message.ts'
import type { Status } from '../../runtime/outcome.ts'
import type { Notice } from '../../runtime/schedules/accounts.ts'
import { carriedOut, withCause, type Done } from '../../runtime/schedules/carried.ts'
import { isCause } from '../../runtime/schedules/definition.ts'
import { addEntry, readAccount } from '../../runtime/schedules/ledger.ts'
import { formatMoment } from '../../runtime/schedules/moments.ts'
import { nextLook, wantsEnds } from '../../runtime/schedules/nextLook.ts'
import { occurrenceId } from '../../runtime/schedules/occurrenceMessage.ts'
import { plan, type Ended, type Plan } from '../../runtime/schedules/planner.ts'
import { isBroken, type ScheduleRecord } from '../../runtime/schedules/record.ts'
import { readCause } from '../../runtime/schedules/recordBytes.ts'
import { readStored, store } from '../../runtime/schedules/store.ts'
import { parkTick, removeTick } from '../../runtime/schedules/ticks.ts'
import { account, Refused, type LookScope } from './account.ts'
import { endsOf } from './ends.ts'
import { Links } from './links.ts'

export interface LooksHost {
  readonly broker: Broker
  readonly clock: ServerClock
  readonly services: ScheduleServices
  /** Whether a tick of the schedule waits in this process for that time or an earlier one. */
  readonly isHeld: (schedule: string, at: number) => boolean
}

/** Somebody else stored the record each time; that many got on meanwhile. */
const MAX_ROUNDS = 50
/** Missed and skipped ones that are written at once. */
const WINDOW = 100
/** A mailbox that refuses is tried so often; about 25 minutes. */
const MAX_TRIES = 30
const REPEAT_MS = 60_000
/** Notices that are taken together. */
const MAX_NOTICES = 100

export class Looks {
  readonly links: Links
  readonly #spec: ActorSpec
  readonly #host: LooksHost
  /** What is being looked at; and who comes meanwhile shares the next look. */
  readonly #now = new Map<string, Promise<void>>()
  readonly #next = new Map<string, Promise<void>>()
  /** Messages that ended, to be taken by the next look. */
  readonly #notices = new Map<string, Notice[]>()
  /** Revisions of broken records that were told of. */
  readonly #told = new Map<string, number>()
  /** Chains to other actors whose mailboxes our user may not write to, that were told of. */
  readonly #refused = new Set<string>()
  #salt = ''

  constructor(spec: ActorSpec, host: LooksHost) {
    this.#spec = spec
    this.#host = host
    this.links = new Links(host.broker, spec.name)
  }

  /** The word in the keys of what timers put into the mailbox. */
  set salt(salt: string) {
    this.#salt = salt
  }

  /**
   * Looks at a schedule. Resolves when everything that is due by now is accounted for and the next tick is parked. Throws what the broker
   * throws, and `Refused` where the mailbox does not take a message; `tries` counts those.
   */
  look(schedule: string, tries = 1): Promise<void> {
    const current = this.#now.get(schedule)
    if (current === undefined) return this.#begin(schedule, tries)
    const waiting = this.#next.get(schedule)
    if (waiting !== undefined) return waiting
    const begin = (): Promise<void> => {
      this.#next.delete(schedule)
      return this.#begin(schedule, tries)
    }
    const next = current.then(begin, begin)
    this.#next.set(schedule, next)
    return next
  }

  /** A message ended that a schedule of this actor runs after. Those that come together are taken together: one record, one store. */
  notice(schedule: string, notice: Notice): Promise<void> {
    const pending = this.#notices.get(schedule)
    if (pending === undefined) this.#notices.set(schedule, [notice])
    else pending.push(notice)
    return this.look(schedule)
  }

  /** Takes a notice to the actor whose schedule it is for; it is known there by its key, however often it is taken. */
  async forward(target: string, schedule: string, notice: Notice): Promise<void> {
    if (target === this.#spec.name) return this.notice(schedule, notice)
    const { publisher, subjects } = this.#host.broker
    const published = publisher.publish({
      subject: subjects.later(target, notice.message),
      payload: Buffer.from(JSON.stringify(notice)),
      headers: encodeHeaders([
        [H.dedupe, `after:${notice.cause.place}:${schedule}:${this.#salt}`],
        [H.after, schedule],
      ]),
      stream: subjects.mailboxStream(target),
      repeatMs: REPEAT_MS,
      awayMs: 0,
    })
    await published.catch((error: unknown) => {
      const isForbidden = error instanceof BrokerError && error.code === 'FORBIDDEN'
      throw isForbidden ? this.#forbidden(target, schedule, error) : error
    })
  }

  /** Told once; the notice is kept and tried again, less and less often: it goes when the right is given. */
  #forbidden(target: string, schedule: string, cause: Error): Refused {
    const key = `${target} ${schedule}`
    const { name } = this.#spec
    const detail = `expected workers of ${name} to be let send to ${target}, since it runs after their messages, but they may not. Give their user that right ("troupe permissions --role worker --actors ${name} --sends-to ${target}"): what has ended is kept until then.`
    if (!this.#refused.has(key)) this.#host.services.tell({ schedule, what: 'refused', detail })
    this.#refused.add(key)
    return new Refused(cause, false)
  }

  #begin(schedule: string, tries: number): Promise<void> {
    const looking = this.#look(schedule, tries).finally(() => {
      if (this.#now.get(schedule) === looking) this.#now.delete(schedule)
    })
    this.#now.set(schedule, looking)
    return looking
  }

  async #look(schedule: string, tries: number): Promise<void> {
    const notices = this.#notices.get(schedule) ?? []
    this.#notices.delete(schedule)
    do {
      await this.#lookWith(schedule, notices.splice(0, MAX_NOTICES), tries)
    } while (notices.length > 0)
  }

  async #lookWith(schedule: string, notices: readonly Notice[], tries: number): Promise<void> {
    const { broker } = this.#host
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { record, revision } = await readStored(broker, this.#spec.name, schedule)
      this.links.saw(schedule, record)
      if (record === undefined) return
      if (isBroken(record)) return this.#tellBroken(schedule, revision, record.broken)
      if (await this.#lookAt(schedule, record, revision, { notices, tries, isAgain: round > 0 })) return
    }
    throw new Error(`schedule ${schedule} was changed ${MAX_ROUNDS} times while it was looked at`)
  }

  /** False: the record is another by now, or there is more to do. */
  async #lookAt(
    schedule: string,
    stored: ScheduleRecord,
    revision: number,
    { notices, tries, isAgain }: { notices: readonly Notice[]; tries: number; isAgain: boolean },
  ): Promise<boolean> {
    const { broker, clock, services } = this.#host
    const now = clock.now()
    const record = notices.reduce((before, notice) => withNotice(before, notice), stored)
    const planned = plan(schedule, record, now, await this.#ends(schedule, record), services)
    const done = await this.#carryOut(schedule, record, planned, tries)
    const next = carriedOut(record, planned, done)
    const at = nextLook(schedule, next, clock.now(), services)
    if (at !== undefined) await this.#park(schedule, at)
    // Where there was one: for the record as it was, or of ours, for a record that somebody else has changed.
    else if (isAgain || nextLook(schedule, stored, now, services) !== undefined)
      await removeTick(broker, this.#spec.name, schedule)
    if (planned.steps.length === 0 && isUnchanged(stored, next)) return this.#isStill(schedule, revision)
    if ((await store(broker, this.#spec.name, schedule, next, revision)) === undefined) return false
    this.#tell(schedule, planned, done)
    return !(await this.#hasEnded(schedule, next))
  }

  /** One that this timer holds for a moment as early does as well: ticks must not grow more by each end of a run. */
  async #park(schedule: string, at: number): Promise<void> {
    const { broker, clock, isHeld } = this.#host
    if (!isHeld(schedule, at)) await parkTick(broker, this.#spec.name, schedule, at, { now: clock.now() })
  }

  /** A run may have ended before the record said that it runs: the look that its end asked for has found nothing then. */
  async #hasEnded(schedule: string, record: ScheduleRecord): Promise<boolean> {
    return wantsEnds(record) && (await this.#ends(schedule, record)).size > 0
  }

  /** Nothing was stored, so nothing told whether the tick that was parked is the right one. */
  async #isStill(schedule: string, revision: number): Promise<boolean> {
    return (await readStored(this.#host.broker, this.#spec.name, schedule)).revision === revision
  }

  #ends(schedule: string, record: ScheduleRecord): Promise<Map<number, Ended>> {
    return endsOf(this.#host.broker, this.#spec, schedule, record)
  }

  async #carryOut(
    schedule: string,
    record: ScheduleRecord,
    { steps, cancel, lost, state }: Plan,
    tries: number,
  ): Promise<Done[]> {
    for (const planned of lost) await this.#giveUp(schedule, planned)
    for (const planned of cancel) await this.#cancel(schedule, planned)
    const scope = this.#scope(schedule, { ...record, state }, tries)
    const done: Done[] = []
    for (let start = 0; start < steps.length;) {
      // What is only noted goes together; what is sent goes in order, since each names the one before.
      const end = steps[start]?.kind === 'send' ? start + 1 : firstSend(steps, start)
      const some = steps.slice(start, Math.min(end, start + WINDOW))
      done.push(...(await Promise.all(some.map((step) => account(scope, step)))))
      start += some.length
    }
    return done
  }

  #scope(schedule: string, record: ScheduleRecord, tries: number): LookScope {
    const { broker, clock, services } = this.#host
    return {
      broker,
      actor: this.#spec.name,
      schedule,
      send: record.definition.send,
      salt: this.#salt,
      writer: services.writer,
      wake: wantsEnds(record),
      isHopeless: tries >= MAX_TRIES,
      now: () => Math.floor(clock.now()),
      last: record.state.last,
    }
  }

  /** No outcome came for so long that the run counts as ended; one that comes later is written over this. */
  async #giveUp(schedule: string, planned: number): Promise<void> {
    const { broker, clock, services } = this.#host
    const place = this.#place(schedule, planned)
    const known = await readAccount(broker, place)
    if (known === undefined || known.entry.step === 'ended') return
    const at = formatMoment(Math.floor(clock.now()))
    const outcome = { status: 'lost' as const, at, place: '' }
    await addEntry(
      broker,
      place,
      { ...known.entry, step: 'ended', at, writer: services.writer, outcome },
      known.sequence,
    )
  }

  /** As anybody cancels by id; what becomes of it is an outcome like any other. */
  async #cancel(schedule: string, planned: number): Promise<void> {
    const { publisher, subjects } = this.#host.broker
    const id = occurrenceId(schedule, planned)
    await publisher.publish({
      subject: subjects.cancel(this.#spec.name),
      payload: Buffer.from(JSON.stringify({ id, reason: `overlap cancelOther of schedule ${schedule}` })),
      headers: encodeHeaders([[H.dedupe, `overlap:${this.#spec.name}:${id}`]]),
      stream: subjects.cancelStream,
      repeatMs: REPEAT_MS,
    })
  }

  #tell(schedule: string, { pause, lost }: Plan, done: readonly Done[]): void {
    const { services } = this.#host
    const missed = done.filter(({ result }) => result === 'missed')
    const count = missed.reduce((sum, one) => sum + one.count, 0)
    const [first] = missed
    if (first !== undefined) services.tell({ schedule, what: 'missed', detail: reasonOf(first), count })
    for (const planned of lost)
      services.tell({ schedule, what: 'lost', detail: `no outcome of ${occurrenceId(schedule, planned)}` })
    if (pause !== undefined) services.tell({ schedule, what: 'paused', detail: pause.note ?? '' })
  }

  #tellBroken(schedule: string, revision: number, problem: string): void {
    if (this.#told.get(schedule) === revision) return
    this.#told.set(schedule, revision)
    this.#host.services.tell({ schedule, what: 'broken', detail: problem })
  }

  #place(schedule: string, planned: number): { actor: string; schedule: string; planned: number } {
    return { actor: this.#spec.name, schedule, planned }
  }
}

function firstSend(steps: Plan['steps'], from: number): number {
  const found = steps.findIndex((step, index) => index >= from && step.kind === 'send')
  return found === -1 ? steps.length : found
}

function reasonOf({ step }: Done): string {
  return step.kind === 'miss' || step.kind === 'missMany' || step.kind === 'skip'
    ? step.reason
    : 'its mailbox does not take it'
}

/** A record is only plain data. */
function isUnchanged(before: ScheduleRecord, after: ScheduleRecord): boolean {
  return JSON.stringify(before) === JSON.stringify(after)
}

/** With a message that ended, where the schedule runs after such a one: a stranger may write a notice too. */
function withNotice(record: ScheduleRecord, { cause, planned }: Notice): ScheduleRecord {
  const { after } = record.definition.rule
  const isMeant =
    after?.actor === cause.actor && after.message === cause.message && isCause(after, cause.status as Status)
  return (isMeant ? withCause(record, cause, planned) : undefined) ?? record
}

/** A notice's bytes; undefined for what is none. */
export function readNotice(data: Uint8Array): Notice | undefined {
  try {
    const { cause, planned, message } = JSON.parse(Buffer.from(data).toString()) as Partial<
      Record<keyof Notice, unknown>
    >
    if (typeof planned !== 'number' || !(planned >= 0 && planned <= LATEST_DUE) || typeof message !== 'string')
      return undefined
    return { cause: readCause(cause, 'the notice'), planned, message }
  } catch {
    return undefined
  }
}
