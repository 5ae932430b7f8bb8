/**
 * `troupe.schedules`: what people and programs do with schedules.
 *
 * Every change is one compare-and-set of the record, then a tick that makes a timer look at it. Who dies in between leaves a
 * record whose tick is late by at most `timer.check`: timers look whether every schedule has one. Nothing here sends messages;
 * what is asked for (`trigger`, `backfill`) stands in the record until a timer has done it.
 */
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import type { ServerClock } from '../broker/serverClock.ts'
import { explainRefusal } from '../client/refusals.ts'
import { ActorError, BrokerError, ConfigError, PayloadError, UnavailableError, didYouMean } from '../errors.ts'
import { nextId, random } from '../time/chance.ts'
import { parseDuration, parseInstant, type Duration } from '../time/duration.ts'
import { plannedAt } from '../time/planned.ts'
import { linkOf, putLink, removeLink } from './chains.ts'
import {
  checkScheduleId,
  hasTimes,
  readDefinition,
  readOverlap,
  resolveSchedule,
  type Definition,
  type Overlap,
  type Resolved,
  type ScheduleInput,
} from './definition.ts'
import { listAccounts, type HistoryOptions } from './history.ts'
import { nextLook } from './nextLook.ts'
import { first, plannedAfter, plannedIn } from './planned.ts'
import { changed, isBroken, newRecord, type Declared, type ScheduleRecord, type Span } from './record.ts'
import { invalid, readBy, readObject, readWhole, refuse } from './refuse.ts'
import type { Moment } from './rule.ts'
import { bodyOf } from './send.ts'
import { actorsWithSchedules, conflict, ifCurrent, listStored, readStored, store, type StoredRecord } from './store.ts'
import { parkTick, removeTick, wakeSchedule } from './ticks.ts'
import { isSame, runOf, scheduleOf, upcoming, type Schedule, type ScheduledRun } from './view.ts'

export interface WhichSchedule {
  /** The actor that it belongs to; needed only where two actors have a schedule of that id. */
  readonly actor?: string
}

export interface PutOptions {
  /** The generation that was read: a change by somebody else since then is a conflict. 0: it must be new. */
  readonly generation?: number
}

export interface TriggerOptions extends WhichSchedule {
  /** What if a run is not finished. Default: the schedule's own policy. */
  readonly overlap?: Overlap
}

export interface BackfillOptions extends WhichSchedule {
  /** What was planned from this moment on … */
  readonly from: Moment
  /** … and before this one. At most now. */
  readonly until: Moment
  /** At most one in so long. Default 1 s. */
  readonly pace?: Duration
  /** Default: the schedule's own policy; all but `allow` wait until nothing runs. */
  readonly overlap?: Overlap
}

export interface PreviewTimesOptions {
  /** Default: now, by this machine's clock. */
  readonly from?: Moment
  readonly until?: Moment
  /** 1 to 10,000. Default 10. */
  readonly count?: number
}

export interface ScheduleDescription extends Schedule {
  /** The next planned times, and when each is to be sent. */
  readonly upcoming: readonly { readonly planned: Date; readonly at: Date }[]
  /** The last runs, newest first. */
  readonly runs: readonly ScheduledRun[]
}

/** Schedules as `export` writes and `import` reads them: definitions by id, without what has become of them. */
export interface ExportedSchedules {
  readonly version: 1
  readonly schedules: Readonly<Record<string, Definition>>
}

/** What a `put` did. */
export type PutResult = Schedule & { readonly was: 'created' | 'changed' | 'same' }

interface PutDeclared {
  readonly declared?: Declared
  readonly isConfined?: boolean
}

/** What the API needs of its process. */
export interface SchedulesHost {
  readonly broker: Broker
  readonly clock: ServerClock
  readonly lostAfterMs: number
}

const DESCRIBED = 10
const MAX_ROUNDS = 100
const TICK_AWAY_MS = 1_000
const MESSAGE_RESERVE = 20_480
const PACE_MS = 1_000
const MAX_ASKED = 100

export class Schedules {
  readonly #host: SchedulesHost

  constructor(host: SchedulesHost) {
    this.#host = host
  }

  /**
   * Creates a schedule, or changes it in place: what the old rule planned until now is still accounted for, and the new one holds from
   * now on. Putting what is there already changes nothing. Throws `ConfigError` `INVALID_SCHEDULE` with what is wrong and where,
   * `ActorError` (`UNKNOWN_ACTOR`, `UNKNOWN_MESSAGE`, `SCHEDULE_ELSEWHERE`), `PayloadError` (`INVALID_PAYLOAD`, `TOO_LARGE`),
   * `UnavailableError` `SCHEDULE_CONFLICT`.
   */
  async put(id: string, input: ScheduleInput, options: PutOptions = {}): Promise<PutResult> {
    return this.putResolved(id, await resolveSchedule(id, input), options)
  }

  /** One schedule. Throws `ActorError` `NO_SCHEDULE`, or `AMBIGUOUS_SCHEDULE` where two actors have one of that id. */
  async get(id: string, which: WhichSchedule = {}): Promise<Schedule> {
    return scheduleOf(await this.#find(id, which))
  }

  /** All schedules, broken ones too. */
  async list(which: WhichSchedule = {}): Promise<Schedule[]> {
    const actors = which.actor === undefined ? await actorsWithSchedules(this.#host.broker) : [which.actor]
    const stored = await Promise.all(actors.map((actor) => listStored(this.#host.broker, actor)))
    return stored.flat().map(scheduleOf)
  }

  /** One schedule with its next ten times and its last ten runs. Throws as `get`. */
  async describe(id: string, which: WhichSchedule = {}): Promise<ScheduleDescription> {
    const stored = await this.#find(id, which)
    const { record } = stored
    const runs = await this.history(id, { actor: stored.actor, limit: DESCRIBED })
    return {
      ...scheduleOf(stored),
      upcoming: isBroken(record) ? [] : upcoming(id, record, DESCRIBED),
      runs,
    }
  }

  /** Stops planning; what was sent goes on. Throws as `get`, `ConfigError` where the record is broken. */
  async pause(id: string, { note, ...which }: WhichSchedule & { readonly note?: string } = {}): Promise<Schedule> {
    const { now } = await this.#now()
    return this.#change(id, which, (record) => {
      if (record.paused !== undefined && note === undefined) return record
      const at = record.paused?.at ?? new Date(now()).toISOString()
      return changed(record, now(), { paused: { at, ...(note === undefined ? {} : { note }) } })
    })
  }

  /** Plans again from now on. What would have been planned meanwhile is not caught up: `backfill` does that. */
  async resume(id: string, { note, ...which }: WhichSchedule & { readonly note?: string } = {}): Promise<Schedule> {
    const { now } = await this.#now()
    return this.#change(id, which, (record) => {
      if (record.paused === undefined) return record
      const definition = note === undefined ? record.definition : { ...record.definition, note }
      return changed(record, now(), { definition, paused: undefined })
    })
  }

  /** Runs it now, paused or not. Resolves when that is stored: a timer does it as soon as one runs. */
  async trigger(id: string, { overlap, ...which }: TriggerOptions = {}): Promise<{ key: string }> {
    const { now } = await this.#now()
    const key = nextId()
    const checked = overlap === undefined ? {} : { overlap: readOverlap(overlap, 'overlap') }
    await this.#change(id, which, (record) => {
      const { state } = record
      if (state.asked.length >= MAX_ASKED) throw tooManyAsked(id)
      const asked = {
        planned: plannedAt(Math.floor(now()), 1 + Math.floor(random() * 999)),
        by: 'trigger' as const,
        key,
        ...checked,
      }
      return { ...record, state: { ...state, asked: [...state.asked, asked] } }
    })
    return { key }
  }

  /**
   * Sends what was planned in a past range, by the rule as it is now, one by one. What was sent before is not sent again; what was missed or
   * skipped is. Throws as `get`, `ConfigError` `INVALID_SCHEDULE` for a range that is none or not over yet.
   */
  async backfill(id: string, options: BackfillOptions): Promise<Schedule> {
    const { now } = await this.#now()
    const from = readBy(parseInstant, options.from, 'backfill.from')
    const until = readBy(parseInstant, options.until, 'backfill.until')
    if (from >= until) throw invalid('expected backfill.from to be before backfill.until', 'backfill.from')
    if (until > now()) throw invalid('expected backfill.until not to lie in the future', 'backfill.until')
    const paceMs = options.pace === undefined ? PACE_MS : readBy(parseDuration, options.pace, 'backfill.pace')
    const overlap = options.overlap === undefined ? {} : { overlap: readOverlap(options.overlap, 'backfill.overlap') }
    return this.#change(id, options, (record) => {
      const { rule } = record.definition
      if (!hasTimes(rule)) throw invalid(`expected schedule ${id} to have times to backfill by`, 'backfill')
      if (plannedIn({ since: 0, rule }, from - 1, until - 1) === undefined)
        throw invalid('expected backfill to name a range in which something is planned, but nothing is', 'backfill')
      const span: Span = {
        by: 'backfill',
        after: from - 1,
        until: until - 1,
        at: Math.floor(now()),
        paceMs,
        ...overlap,
      }
      return { ...record, state: { ...record.state, spans: [...record.state.spans, span] } }
    })
  }

  /** Removes it, broken or not. What was sent goes on, and its accounts are kept (`retention.ledger`). */
  async remove(id: string, which: WhichSchedule = {}): Promise<void> {
    const { broker } = this.#host
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { actor, revision, record } = await this.#find(id, which)
      if (!isBroken(record)) await removeLink(broker, actor, id, record.definition)
      if ((await ifCurrent(() => broker.schedules(actor).delete(id, revision))) === undefined) continue
      return removeTick(broker, actor, id).catch(ifNoTimer)
    }
    throw conflict(id, undefined, undefined)
  }

  /** Its accounts, newest first, as far back as the ledger is kept. */
  async history(id: string, options: HistoryOptions & WhichSchedule = {}): Promise<ScheduledRun[]> {
    const { broker } = this.#host
    const actor = options.actor ?? (await this.#actorOf(id))
    const accounts = await listAccounts(broker, actor, checkScheduleId(id), options)
    return accounts.map(({ planned, account }) => runOf(planned, account))
  }

  /** When a schedule would plan its runs, without storing it. Throws as `put` for what is wrong with it. */
  async preview(id: string, input: ScheduleInput, options: PreviewTimesOptions = {}): Promise<Date[]> {
    const { definition } = await resolveSchedule(id, input)
    const from =
      options.from === undefined ? this.#host.clock.now() : readBy(parseInstant, options.from, 'preview.from')
    const until = options.until === undefined ? Infinity : readBy(parseInstant, options.until, 'preview.until')
    const count = readWhole(options.count ?? 10, 'preview.count', 1, 10_000)
    const times = first(
      plannedAfter(id, newRecord(definition, from - 1), from - 1),
      Math.min(count, definition.limit ?? count),
    )
    return times.flatMap(({ planned }) => (planned < until ? [new Date(planned)] : []))
  }

  /** All definitions, or those of one actor. Broken ones are left out. */
  async export(which: WhichSchedule = {}): Promise<ExportedSchedules> {
    const found = await this.list(which)
    const entries = found.flatMap(({ id, definition }) => (definition === undefined ? [] : [[id, definition] as const]))
    return { version: 1, schedules: Object.fromEntries(entries) }
  }

  /** Puts what `export` wrote. Each is checked before any is stored. Throws as `put`. */
  async import(exported: ExportedSchedules): Promise<PutResult[]> {
    const entries = Object.entries(readExported(exported))
    const resolved = entries.map(([id, value]) => {
      const definition = readDefinition(value, `schedules.${checkScheduleId(id)}`)
      return [id, { actor: definition.send.actor, definition, spec: undefined }] as const
    })
    const results: PutResult[] = []
    for (const [id, one] of resolved) results.push(await this.putResolved(id, one, {}))
    return results
  }

  /**
   * `put` of what was checked already; with where it is declared. For `troupe deploy` and for systems that start. `isConfined`: nothing of
   * other actors is touched; throws `BrokerError` `FORBIDDEN` for what needs that.
   */
  async putResolved(
    id: string,
    resolved: Resolved,
    { generation, declared, isConfined = false }: PutOptions & PutDeclared,
  ): Promise<PutResult> {
    const { broker } = this.#host
    const { actor, definition } = resolved
    checkSize(id, definition, broker.publisher.maxPayload)
    await this.#prepare(id, resolved, isConfined)
    const { now } = await this.#now()
    let seen = generation
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { revision, record: found } = await readStored(broker, actor, id)
      const record = found === undefined || isBroken(found) ? undefined : found
      const isThere = record !== undefined && isSame(record.definition, definition) && hasDeclared(record, declared)
      if (isThere && generation === undefined) return this.#putDone(actor, id, revision, record, 'same')
      if (isConfined) checkOwn(id, actor, [definition, record?.definition])
      seen ??= record?.generation ?? 0
      if (seen !== (record?.generation ?? 0)) throw conflict(id, seen, record?.generation)
      const next =
        record === undefined
          ? newRecord(definition, now(), declared)
          : changed(record, now(), { definition, ...(declared === undefined ? {} : { declared }) })
      const stored = await store(broker, actor, id, next, revision)
      if (stored === undefined) continue
      if (record !== undefined) await removeLink(broker, actor, id, record.definition, definition)
      return this.#putDone(actor, id, stored, next, record === undefined ? 'created' : 'changed')
    }
    throw conflict(id, seen, undefined)
  }

  async #putDone(
    actor: string,
    id: string,
    revision: number,
    record: ScheduleRecord,
    was: PutResult['was'],
  ): Promise<PutResult> {
    const link = linkOf(record.definition)
    if (link !== undefined) await putLink(this.#host.broker, actor, id, link)
    if (was !== 'same') await this.#park(actor, id, revision, record)
    return { ...scheduleOf({ actor, id, revision, record, storedAt: record.createdAt }), was }
  }

  /** What has to be there before the record is. */
  async #prepare(id: string, { actor, definition, spec }: Resolved, isConfined: boolean): Promise<void> {
    const { broker } = this.#host
    if (spec === undefined) await this.#checkActor(actor, definition)
    else await broker.assets.streams(spec)
    if (!isConfined) await this.#checkElsewhere(id, actor)
    await broker.assets.schedules(actor)
  }

  async #checkActor(actor: string, { send }: Definition): Promise<void> {
    const { api, subjects } = this.#host.broker
    try {
      await api.streamInfo(subjects.mailboxStream(actor))
    } catch (error) {
      throw await explainRefusal(this.#host.broker, { actor, message: send.message }, error)
    }
  }

  /** One id is one schedule. Who may not list buckets is not kept from putting his own. */
  async #checkElsewhere(id: string, actor: string): Promise<void> {
    const other = (await this.#holders(id).catch(() => [])).find((holder) => holder !== actor)
    if (other === undefined) return
    const text = `expected schedule ${id} to send to ${other}, to which it belongs, got: ${actor}. Choose another id, or remove that one first.`
    throw new ActorError('SCHEDULE_ELSEWHERE', text, { data: { schedule: id, actor: other } })
  }

  async #change(
    id: string,
    which: WhichSchedule,
    change: (record: ScheduleRecord) => ScheduleRecord,
  ): Promise<Schedule> {
    const { broker } = this.#host
    let seen: number | undefined
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const found = await this.#find(id, which)
      if (isBroken(found.record)) throw brokenSchedule(id, found.record.broken)
      const { generation } = found.record
      seen ??= generation
      if (generation !== seen) throw conflict(id, seen, generation)
      const record = change(found.record)
      if (record === found.record) return scheduleOf(found)
      const revision = await store(broker, found.actor, id, record, found.revision)
      if (revision === undefined) continue
      await this.#park(found.actor, id, revision, record)
      return scheduleOf({ ...found, revision, record })
    }
    throw conflict(id, seen, undefined)
  }

  /** Parks the tick for this record, and again as long as another record stands there by then. */
  async #park(actor: string, id: string, revision: number, record: ScheduleRecord): Promise<void> {
    const { broker, clock } = this.#host
    let [parked, current] = [revision, record]
    try {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const now = clock.now()
        const at = nextLook(id, current, now, this.#host)
        if (at !== undefined && at <= now) await wakeSchedule(broker, actor, id, now, `${parked}`, TICK_AWAY_MS)
        else if (at !== undefined) await parkTick(broker, actor, id, at, { now, awayMs: TICK_AWAY_MS })
        const found = await readStored(broker, actor, id)
        if (found.record === undefined || isBroken(found.record) || found.revision === parked) return
        parked = found.revision
        current = found.record
      }
    } catch (error) {
      ifNoTimer(error)
    }
  }

  async #find(id: string, { actor }: WhichSchedule): Promise<StoredRecord> {
    checkScheduleId(id)
    const owner = actor ?? (await this.#actorOf(id))
    const found = await readStored(this.#host.broker, owner, id)
    if (found.record === undefined) throw await this.#unknown(id, actor)
    return found
  }

  async #actorOf(id: string): Promise<string> {
    const [actor, other] = await this.#holders(checkScheduleId(id))
    if (actor === undefined) throw await this.#unknown(id, undefined)
    if (other === undefined) return actor
    const text = `expected one schedule ${id}, but ${actor} and ${other} have one each. Name the actor.`
    throw new ActorError('AMBIGUOUS_SCHEDULE', text, { data: { schedule: id, actors: [actor, other] } })
  }

  /** The actors that have a schedule of that id. */
  async #holders(id: string): Promise<string[]> {
    const { broker } = this.#host
    const actors = await actorsWithSchedules(broker)
    const found = await Promise.all(actors.map((actor) => broker.schedules(actor).read(id)))
    return actors.filter((_, index) => found[index]?.data !== undefined)
  }

  async #unknown(id: string, actor: string | undefined): Promise<ActorError> {
    const known = await this.list(actor === undefined ? {} : { actor }).catch(() => [])
    const ids = known.map((one) => one.id)
    const of = actor === undefined ? '' : ` of actor ${actor}`
    const text = `expected a schedule${of}, got: ${JSON.stringify(id)}${didYouMean(id, ids)} (${ids.length === 0 ? 'there is none' : `there are: ${ids.slice(0, 20).join(', ')}`})`
    return new ActorError('NO_SCHEDULE', text, { data: { schedule: id } })
  }

  /** The server's clock, asked when it is needed first. */
  async #now(): Promise<{ now: () => number }> {
    const { clock, broker } = this.#host
    if (!clock.isKnown) {
      await broker.assets.shared()
      await clock.start()
    }
    return { now: () => clock.now() }
  }
}

/** What runs after messages of another actor has its link there (chains.ts): refused before anything is stored. */
function checkOwn(id: string, actor: string, definitions: readonly (Definition | undefined)[]): void {
  const other = definitions.map((one) => one?.rule.after?.actor).find((one) => one !== undefined && one !== actor)
  if (other === undefined) return
  const text = `expected schedule ${id} to be put by who may write to ${other}, after whose messages it runs, but with nats.manage off a worker of ${actor} may not. Run "troupe deploy" as an operator.`
  throw new BrokerError('FORBIDDEN', text, { data: { schedule: id, actor: other } })
}

function hasDeclared(record: ScheduleRecord, declared: Declared | undefined): boolean {
  if (declared === undefined) return true
  return record.declared?.by === declared.by && isSame(record.declared.as, declared.as)
}

function checkSize(id: string, { send }: Definition, maxPayload: number): void {
  const [size, limit] = [bodyOf(send).length, Math.max(maxPayload - MESSAGE_RESERVE, maxPayload >> 1)]
  if (size <= limit) return
  const text = `expected the payload of schedule ${id} to have at most ${limit} bytes, got: ${size}. Store the data elsewhere and send where it is.`
  throw new PayloadError('TOO_LARGE', text, { data: { size, limit } })
}

/** No timer has ever run for the actor: the first that does looks for schedules without a tick. */
function ifNoTimer(error: unknown): void {
  if (error instanceof JetStreamError && (error.refusal === 'away' || error.refusal === 'gone')) return
  throw error
}

function readExported(exported: unknown): Readonly<Record<string, unknown>> {
  const { version, schedules } = readObject(exported, 'the export', ['version', 'schedules'])
  if (version !== 1) refuse("the export's version", '1', version)
  if (typeof schedules !== 'object' || schedules === null)
    return refuse("the export's schedules", 'an object', schedules)
  return schedules as Readonly<Record<string, unknown>>
}

function brokenSchedule(id: string, problem: string): ConfigError {
  const text = `expected schedule ${id} to have a record that can be read, but: ${problem}. Put it again, or remove it.`
  return new ConfigError('BROKEN_SCHEDULE', text, { data: { schedule: id } })
}

function tooManyAsked(id: string): UnavailableError {
  const text = `expected schedule ${id} to have at most ${MAX_ASKED} runs that were asked for and not begun. Do its timers run?`
  return new UnavailableError('BUSY', text, { data: { schedule: id } })
}
