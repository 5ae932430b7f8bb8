/**
 * `troupe.schedules`: what people and programs do with schedules.
 *
 * Here stands what they say and what they are told; changing.ts is how a record is changed, putting.ts how a definition is. Nothing here
 * sends messages: what is asked for (`trigger`, `backfill`) stands in the record until a timer has done it.
 */
import { UnavailableError } from '../errors.ts'
import { nextId, random } from '../time/chance.ts'
import { parseDuration, parseInstant, type Duration } from '../time/duration.ts'
import { plannedAt } from '../time/planned.ts'
import { removeLink } from './chains.ts'
import { changeSchedule, ifNoTimer, MAX_ROUNDS, serverNow, type SchedulesHost } from './changing.ts'
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
import { actorOf, findSchedule, listSchedules, type WhichSchedule } from './finding.ts'
import { listAccounts, type HistoryOptions } from './history.ts'
import { first, plannedAfter, plannedIn } from './planned.ts'
import { putResolved, type PutDeclared, type PutOptions, type PutResult } from './putting.ts'
import { changed, isBroken, newRecord, type Span } from './record.ts'
import { invalid, readBy, readObject, readWhole, refuse } from './refuse.ts'
import type { Moment } from './rule.ts'
import { conflict, ifCurrent } from './store.ts'
import { removeTick } from './ticks.ts'
import { runOf, scheduleOf, upcoming, type Schedule, type ScheduledRun } from './view.ts'

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

const DESCRIBED = 10
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
    return scheduleOf(await findSchedule(this.#host.broker, id, which))
  }

  /** All schedules, broken ones too. */
  async list(which: WhichSchedule = {}): Promise<Schedule[]> {
    return (await listSchedules(this.#host.broker, which)).map(scheduleOf)
  }

  /** One schedule with its next ten times and its last ten runs. Throws as `get`. */
  async describe(id: string, which: WhichSchedule = {}): Promise<ScheduleDescription> {
    const stored = await findSchedule(this.#host.broker, id, which)
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
    const { now } = await serverNow(this.#host)
    return changeSchedule(this.#host, id, which, (record) => {
      if (record.paused !== undefined && note === undefined) return record
      const at = record.paused?.at ?? new Date(now()).toISOString()
      return changed(record, now(), { paused: { at, ...(note === undefined ? {} : { note }) } })
    })
  }

  /** Plans again from now on. What would have been planned meanwhile is not caught up: `backfill` does that. */
  async resume(id: string, { note, ...which }: WhichSchedule & { readonly note?: string } = {}): Promise<Schedule> {
    const { now } = await serverNow(this.#host)
    return changeSchedule(this.#host, id, which, (record) => {
      if (record.paused === undefined) return record
      const definition = note === undefined ? record.definition : { ...record.definition, note }
      return changed(record, now(), { definition, paused: undefined })
    })
  }

  /** Runs it now, paused or not. Resolves when that is stored: a timer does it as soon as one runs. */
  async trigger(id: string, { overlap, ...which }: TriggerOptions = {}): Promise<{ key: string }> {
    const { now } = await serverNow(this.#host)
    const key = nextId()
    const checked = overlap === undefined ? {} : { overlap: readOverlap(overlap, 'overlap') }
    await changeSchedule(this.#host, id, which, (record) => {
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
    const { now } = await serverNow(this.#host)
    const from = readBy(parseInstant, options.from, 'backfill.from')
    const until = readBy(parseInstant, options.until, 'backfill.until')
    if (from >= until) throw invalid('expected backfill.from to be before backfill.until', 'backfill.from')
    if (until > now()) throw invalid('expected backfill.until not to lie in the future', 'backfill.until')
    const paceMs = options.pace === undefined ? PACE_MS : readBy(parseDuration, options.pace, 'backfill.pace')
    const overlap = options.overlap === undefined ? {} : { overlap: readOverlap(options.overlap, 'backfill.overlap') }
    return changeSchedule(this.#host, id, options, (record) => {
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
      const { actor, revision, record } = await findSchedule(broker, id, which)
      if (!isBroken(record)) await removeLink(broker, actor, id, record.definition)
      if ((await ifCurrent(() => broker.schedules(actor).delete(id, revision))) === undefined) continue
      return removeTick(broker, actor, id).catch(ifNoTimer)
    }
    throw conflict(id, undefined, undefined)
  }

  /** Its accounts, newest first, as far back as the ledger is kept. */
  async history(id: string, options: HistoryOptions & WhichSchedule = {}): Promise<ScheduledRun[]> {
    const { broker } = this.#host
    const actor = options.actor ?? (await actorOf(broker, id))
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

  /** `put` of what was checked already (putting.ts). For `troupe deploy` and for systems that start. */
  putResolved(id: string, resolved: Resolved, options: PutOptions & PutDeclared): Promise<PutResult> {
    return putResolved(this.#host, id, resolved, options)
  }
}

function readExported(exported: unknown): Readonly<Record<string, unknown>> {
  const { version, schedules } = readObject(exported, 'the export', ['version', 'schedules'])
  if (version !== 1) refuse("the export's version", '1', version)
  if (typeof schedules !== 'object' || schedules === null)
    return refuse("the export's schedules", 'an object', schedules)
  return schedules as Readonly<Record<string, unknown>>
}

function tooManyAsked(id: string): UnavailableError {
  const text = `expected schedule ${id} to have at most ${MAX_ASKED} runs that were asked for and not begun. Do its timers run?`
  return new UnavailableError('BUSY', text, { data: { schedule: id } })
}
