/**
 * Looks: what a timer does for schedules. A look at one schedule reads its record, works out what is due (runtime/schedules/planner.ts, pure),
 * carries that out, parks the next tick, stores the record. Ticks, the ends of runs, notices and the check now and then
 * all come down to looks; any number of timers may look at once.
 *
 *     read the record ─▶ which runs have ended? (ends.ts) ─▶ plan ─▶ each step: ledger, message, ledger (steps.ts, account.ts)
 *        ▲                                                              │
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
import type { ServerClock } from '../../runtime/broker/serverClock.ts'
import type { ScheduleServices } from '../../runtime/hosted.ts'
import type { Notice } from '../../runtime/schedules/accounts.ts'
import { carriedOut, type Done } from '../../runtime/schedules/carried.ts'
import { nextLook, wantsEnds } from '../../runtime/schedules/nextLook.ts'
import { occurrenceId } from '../../runtime/schedules/occurrenceMessage.ts'
import { plan, type Ended, type Plan } from '../../runtime/schedules/planner.ts'
import { isBroken, type ScheduleRecord } from '../../runtime/schedules/record.ts'
import { readStored, store } from '../../runtime/schedules/store.ts'
import { parkTick, removeTick } from '../../runtime/schedules/ticks.ts'
import { systemClock } from '../../runtime/time/clock.ts'
import { Refused, type LookScope } from './account.ts'
import { endsOf } from './ends.ts'
import { Links } from './links.ts'
import { Notices, withNotice } from './notices.ts'
import { Patience } from './patience.ts'
import { carryOut } from './steps.ts'

export interface LooksHost {
  readonly broker: Broker
  readonly clock: ServerClock
  readonly services: ScheduleServices
  /** Whether a tick of the schedule waits in this process for that time or an earlier one. */
  readonly isHeld: (schedule: string, at: number) => boolean
}

/** Somebody else stored the record each time; that many got on meanwhile. */
const MAX_ROUNDS = 50
/** Notices that are taken together. */
const MAX_NOTICES = 100

export class Looks {
  readonly links: Links
  readonly #spec: ActorSpec
  readonly #host: LooksHost
  readonly #patience = new Patience()
  /** What is being looked at; and who comes meanwhile shares the next look. */
  readonly #now = new Map<string, Promise<void>>()
  readonly #next = new Map<string, Promise<void>>()
  readonly #notices: Notices
  /** Revisions of broken records that were told of. */
  readonly #told = new Map<string, number>()
  #salt = ''

  constructor(spec: ActorSpec, host: LooksHost) {
    this.#spec = spec
    this.#host = host
    this.links = new Links(host.broker, spec.name)
    this.#notices = new Notices(spec.name, host)
  }

  /** The word in the keys of what timers put into the mailbox. */
  set salt(salt: string) {
    this.#salt = salt
    this.#notices.salt = salt
  }

  /**
   * Looks at a schedule. Resolves when everything that is due by now is accounted for and the next tick is parked. Throws what the broker
   * throws, and `Refused` where the mailbox does not take a message; `tries` counts deliveries of the tick (patience.ts).
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

  /** A message ended that a schedule runs after: of this actor, and then it is taken by the next look, or of another. */
  async forward(target: string, schedule: string, notice: Notice): Promise<void> {
    if (target !== this.#spec.name) return this.#notices.forward(target, schedule, notice)
    this.#notices.add(schedule, notice)
    return this.look(schedule)
  }

  #begin(schedule: string, tries: number): Promise<void> {
    const looking = this.#look(schedule, tries)
      .catch((error: unknown) => {
        if (!(error instanceof Refused)) this.#patience.wasAway(systemClock.monotonic())
        throw error
      })
      .finally(() => {
        if (this.#now.get(schedule) === looking) this.#now.delete(schedule)
      })
    this.#now.set(schedule, looking)
    return looking
  }

  async #look(schedule: string, tries: number): Promise<void> {
    const notices = this.#notices.take(schedule)
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
    const done = await carryOut(this.#scope(schedule, { ...record, state: planned.state }, tries), planned)
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
      isHopeless: this.#patience.isWornOut(tries, systemClock.monotonic()),
      now: () => Math.floor(clock.now()),
      last: record.state.last,
    }
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
