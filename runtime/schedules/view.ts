/** Schedules and their runs as people see them: made of records and ledger entries. Pure. */
import { isDeepStrictEqual } from 'node:util'

import type { Failure } from '../errors.ts'
import type { Definition } from './definition.ts'
import type { Account, EntryStep, RunOutcome } from './ledger.ts'
import { first, plannedAfter } from './planned.ts'
import { isBroken, type BrokenRecord, type Cause, type Counts, type Maker, type ScheduleRecord } from './record.ts'
import type { StoredRecord } from './store.ts'
import { inWords } from './words.ts'

export interface Schedule {
  readonly id: string
  /** The actor that its messages are for. */
  readonly actor: string
  /** `finished`: nothing is planned any more. `broken`: the stored record can't be read; putting the schedule again repairs it. */
  readonly state: 'active' | 'paused' | 'finished' | 'broken'
  /** Why it is broken. */
  readonly problem: string | undefined
  /** Counts changes by people: for `put(…, { generation })`. 0 where it is broken. */
  readonly generation: number
  readonly definition: Definition | undefined
  /** The rule in words. */
  readonly words: string
  readonly paused: { readonly at: Date; readonly note: string | undefined; readonly onFailure: boolean } | undefined
  /** The next planned time. */
  readonly next: Date | undefined
  /** The planned time of the last one that was sent. */
  readonly last: Date | undefined
  /** Planned times of runs that are not known to have ended. Not followed where overlap is `allow`. */
  readonly running: readonly Date[]
  /** Planned times that wait for them. */
  readonly waiting: readonly Date[]
  /** Ranges that are being caught up or backfilled. */
  readonly spans: readonly { readonly by: 'catchUp' | 'backfill'; readonly after: Date; readonly until: Date }[]
  /** Since it was created. */
  readonly counts: Counts
  readonly createdAt: Date | undefined
  /** Where it is declared in code. */
  readonly declared: 'config' | 'actor' | undefined
  /** Whether it is other than its declaration says. */
  readonly isEdited: boolean
}

/** One occurrence as the ledger has it. */
export interface ScheduledRun {
  readonly planned: Date
  /** Why it is one: the rule, a catch-up, `trigger`, `backfill`, or a message that ended (`after`). */
  readonly by: Maker
  /** `intent`: being sent. `waiting`: for the run before it. `ended`: see `outcome`. */
  readonly state: EntryStep
  /** Why it was skipped or missed. */
  readonly reason: string | undefined
  /** Of many that were missed at once: the last of them, and how many (as far as they were counted). */
  readonly until: Date | undefined
  readonly count: number
  /** The message's id. */
  readonly id: string | undefined
  readonly sentAt: Date | undefined
  readonly outcome:
    | {
        readonly status: RunOutcome['status']
        readonly at: Date
        readonly attempts: number | undefined
        /** The handler's time of its last attempt: ms. */
        readonly ms: number | undefined
        readonly result: unknown
        readonly failure: Failure | undefined
      }
    | undefined
  readonly cause: Cause | undefined
}

export function scheduleOf(stored: StoredRecord): Schedule {
  const { record } = stored
  return isBroken(record) ? brokenView(stored, record) : viewOf(stored, record)
}

function brokenView({ id, actor }: StoredRecord, { broken }: BrokenRecord): Schedule {
  return {
    id,
    actor,
    state: 'broken',
    problem: broken,
    generation: 0,
    definition: undefined,
    words: '',
    paused: undefined,
    next: undefined,
    last: undefined,
    running: [],
    waiting: [],
    spans: [],
    counts: { sent: 0, skipped: 0, missed: 0 },
    createdAt: undefined,
    declared: undefined,
    isEdited: false,
  }
}

function viewOf({ id, actor }: StoredRecord, record: ScheduleRecord): Schedule {
  const { definition, state, paused, declared } = record
  const next = upcoming(id, record, 1)[0]?.planned
  const { last, running, waiting, spans } = state
  return {
    id,
    actor,
    state: stateOf(record, next),
    problem: undefined,
    generation: record.generation,
    definition,
    words: inWords(definition.rule),
    paused: paused && { at: new Date(paused.at), note: paused.note, onFailure: paused.onFailure === true },
    next,
    last: last === undefined ? undefined : new Date(last),
    running: running.map(({ planned }) => new Date(planned)),
    waiting: waiting.map(({ planned }) => new Date(planned)),
    spans: spans.map(({ by, after, until }) => ({ by, after: new Date(after), until: new Date(until) })),
    counts: state.counts,
    createdAt: new Date(record.createdAt),
    declared: declared?.by,
    isEdited: declared !== undefined && !isSame(declared.as, definition),
  }
}

function stateOf({ paused, definition, state }: ScheduleRecord, next: Date | undefined): Schedule['state'] {
  if (paused !== undefined) return 'paused'
  if (state.limited >= (definition.limit ?? Infinity)) return 'finished'
  const { spans, asked, waiting } = state
  const hasMore = next !== undefined || spans.length + asked.length + waiting.length > 0
  return hasMore || definition.rule.after !== undefined ? 'active' : 'finished'
}

/** The next planned times, and when each is to be sent. None while it is paused or after its limit. */
export function upcoming(id: string, record: ScheduleRecord, count: number): { planned: Date; at: Date }[] {
  const { definition, state } = record
  const left = (definition.limit ?? Infinity) - state.limited
  const next = first(plannedAfter(id, record, state.cursor), Math.max(0, Math.min(count, left)))
  return next.map(({ planned, at }) => ({ planned: new Date(planned), at: new Date(at) }))
}

export function isSame(a: Definition, b: Definition): boolean {
  return isDeepStrictEqual(a, b)
}

export function runOf(planned: number, { entry }: Account): ScheduledRun {
  const { outcome, sent } = entry
  return {
    planned: new Date(planned),
    by: entry.by,
    state: entry.step,
    reason: entry.reason,
    until: entry.until === undefined ? undefined : new Date(entry.until),
    count: entry.count ?? 1,
    id: entry.id,
    sentAt: sent && new Date(sent.at),
    outcome: outcome && {
      status: outcome.status,
      at: new Date(outcome.at),
      attempts: outcome.attempts,
      ms: outcome.ms,
      result: outcome.result,
      failure: outcome.failure,
    },
    cause: entry.cause,
  }
}
