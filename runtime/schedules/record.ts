/**
 * A schedule as it is stored: one record in its actor's bucket, what it says and how people change it. Its bytes are recordBytes.ts.
 *
 * `definition` is what people decide, `state` what timers have made of it. `generation` counts changes of what people decide, so that two
 * who edit at once find out, while timers go on storing their state. A record may be written by hand: `definition` is all it needs.
 *
 * When an occurrence is whose: the rule that held at its planned time decides, whenever it is looked at. So a change leaves what
 * it replaces behind in `past` until all of that is accounted for; a pause is a stretch of time without a rule.
 */
import type { Definition, Overlap } from './definition.ts'
import type { ResolvedRule } from './rule.ts'

export interface ScheduleRecord {
  /** Counts changes of definition and pause, from 1. */
  readonly generation: number
  readonly definition: Definition
  /** Epoch ms from which the definition holds. */
  readonly since: number
  readonly paused?: Paused
  /** What held before `since` and is not all accounted for, oldest first. */
  readonly past: readonly Stretch[]
  /** Where it is declared in code, and as what. */
  readonly declared?: Declared
  readonly createdAt: number
  readonly state: State
}

export interface Paused {
  /** RFC 3339. */
  readonly at: string
  readonly note?: string
  /** A run became a dead letter (`pauseOnFailure`). */
  readonly onFailure?: true
}

export interface Declared {
  /** Where: `config`, or the `actor`'s definition. */
  readonly by: 'config' | 'actor'
  /** As it was declared last, to tell what was edited live. */
  readonly as: Definition
}

/** A time with one rule, or none, from `since` until the next stretch begins. */
export interface Stretch {
  readonly since: number
  /** Absent: nothing is planned. */
  readonly rule?: ResolvedRule
  readonly jitter?: string
  readonly from?: string
  readonly until?: string
}

/** What timers know. All times are epoch ms here and RFC 3339 in the record. */
export interface State {
  /** Every occurrence that was planned up to here is in the ledger, or stands below. */
  readonly cursor: number
  /** Sent, and not known to have ended. */
  readonly running: readonly Running[]
  /** Waits for what runs. */
  readonly waiting: readonly Occurrence[]
  /** Ranges of past occurrences that are sent one by one. */
  readonly spans: readonly Span[]
  /** Runs that were asked for and are not yet accounted for. */
  readonly asked: readonly Asked[]
  /** Planned time of the last one sent. */
  readonly last?: number
  /** With a rule and `after`: the message that ended since the last run. */
  readonly cause?: Cause
  /** With a rule and `after`: the planned time that waits for its cause. */
  readonly due?: number
  /** Places of the causes that were taken last: one that is told again is not taken again. */
  readonly taken: readonly string[]
  readonly counts: Counts
  /** How many count towards `limit`: those that the rule made and that were sent. */
  readonly limited: number
}

export interface Counts {
  readonly sent: number
  readonly skipped: number
  readonly missed: number
}

export interface Running {
  readonly planned: number
  /** When it was sent. */
  readonly at: number
}

/** Why an occurrence is one. */
export type Maker = 'rule' | 'catchUp' | 'trigger' | 'backfill' | 'after'

export interface Occurrence {
  readonly planned: number
  readonly by: Maker
  /** Tells one that was asked for from another that falls on the same millisecond. */
  readonly key?: string
  readonly cause?: Cause
}

export interface Asked extends Occurrence {
  readonly by: 'trigger' | 'after'
  readonly key: string
  readonly overlap?: Overlap
}

export interface Span {
  readonly by: 'catchUp' | 'backfill'
  /** What was planned after this and up to `until`, both epoch ms. */
  readonly after: number
  readonly until: number
  /** When its next one is to be sent. */
  readonly at: number
  readonly paceMs: number
  readonly overlap?: Overlap
}

/** The message that a schedule runs after. */
export interface Cause {
  readonly actor: string
  readonly message: string
  readonly id: string
  readonly status: string
  /** `<stream>:<sequence>` of the delivery that ended. */
  readonly place: string
}

/** What is known of a record that cannot be read. */
export interface BrokenRecord {
  readonly broken: string
}

export const EMPTY_STATE: Omit<State, 'cursor'> = {
  running: [],
  waiting: [],
  spans: [],
  asked: [],
  taken: [],
  counts: { sent: 0, skipped: 0, missed: 0 },
  limited: 0,
}

/** A new schedule from that moment on. */
export function newRecord(definition: Definition, now: number, declared?: Declared): ScheduleRecord {
  return {
    generation: 1,
    definition,
    since: now,
    past: [],
    ...(declared === undefined ? {} : { declared }),
    createdAt: now,
    state: { ...EMPTY_STATE, cursor: now },
  }
}

/** The stretch that holds now. */
export function present({ definition, since, paused }: ScheduleRecord): Stretch {
  const { rule, jitter, from, until } = definition
  if (paused !== undefined) return { since }
  return {
    since,
    rule,
    ...(jitter === undefined ? {} : { jitter }),
    ...(from === undefined ? {} : { from }),
    ...(until === undefined ? {} : { until }),
  }
}

/** The record after people changed it: what held until now is kept as long as something of it is not accounted for. */
export function changed(
  record: ScheduleRecord,
  now: number,
  change: { definition?: Definition; paused?: Paused | undefined; declared?: Declared | undefined },
): ScheduleRecord {
  const { paused: _paused, declared: _declared, ...rest } = record
  const paused = 'paused' in change ? change.paused : record.paused
  const declared = 'declared' in change ? change.declared : record.declared
  const next = {
    ...rest,
    ...(change.definition === undefined ? {} : { definition: change.definition }),
    ...(paused === undefined ? {} : { paused }),
    ...(declared === undefined ? {} : { declared }),
    generation: record.generation + 1,
  }
  const before = present(record)
  const isSame = JSON.stringify(present(next)) === JSON.stringify(before)
  return isSame ? next : { ...next, since: now, past: [...record.past, before].slice(-MAX_PAST) }
}

/** Changes that are remembered while nothing runs to account for what they left. */
const MAX_PAST = 50

export function isBroken(record: ScheduleRecord | BrokenRecord): record is BrokenRecord {
  return 'broken' in record
}
