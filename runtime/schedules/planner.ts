/**
 * What a timer has to do for a schedule now: pure. It sees the record, the time, and which runs have ended; it says which
 * occurrences are sent, skipped, missed or wait, in order, and what the record will say when that is done.
 *
 * Rules, in the order in which they are applied:
 * 1. Runs that ended leave `running`; one without an outcome for `lostAfter` counts as ended (`lost`). A dead one pauses the schedule
 *    where it says so.
 * 2. What waits goes first, when nothing runs; then what was asked for; then what the rule made due; then one of each span.
 * 3. Of several that the rule made due at once (nothing ran in between), the catch-up policy decides; then overlap for each.
 * 4. While paused nothing is sent but what is triggered by hand: what was due before is skipped, what waits goes on waiting.
 * 5. Everything that leaves `cursor` behind is in `steps` or in the state: nothing is dropped without a word. (But after `limit`
 *    nothing is an occurrence any more.)
 */
import { formatDuration, parseDuration } from '../time/duration.ts'
import { formatPlanned } from '../time/planned.ts'
import { hasTimes, MAX_JITTER_MS, type Overlap } from './definition.ts'
import { formatMoment } from './moments.ts'
import { first, plannedAfter, plannedBefore, plannedIn, type Planned } from './planned.ts'
import {
  changed,
  type Asked,
  type Cause,
  type Occurrence,
  type Paused,
  type Running,
  type ScheduleRecord,
  type Span,
  type State,
} from './record.ts'

export type Step =
  | { readonly kind: 'send'; readonly occurrence: Occurrence }
  | { readonly kind: 'wait'; readonly occurrence: Occurrence }
  | { readonly kind: 'skip' | 'miss'; readonly occurrence: Occurrence; readonly reason: string }
  /** From its occurrence on, all that was planned up to a time: too many to list. `count`: as far as they were counted. */
  | {
      readonly kind: 'missMany'
      readonly occurrence: Occurrence
      readonly until: number
      readonly count: number
      readonly reason: string
    }

export interface Plan {
  readonly steps: readonly Step[]
  /** Runs that are cancelled: their planned times. */
  readonly cancel: readonly number[]
  /** Runs that are given up as lost. */
  readonly lost: readonly number[]
  /** Set where the schedule pauses itself. */
  readonly pause: Paused | undefined
  /** As it will be when the steps are done, without what they send. */
  readonly state: State
}

/** How a run ended; `gone`: the ledger knows nothing of it any more. */
export type Ended = 'done' | 'dead' | 'cancelled' | 'expired' | 'gone'

export interface Limits {
  /** For schedules that set none: ms. */
  readonly lostAfterMs: number
}

/** More that are missed at once have one entry together, with the first and the last of them. */
const MAX_DUE = 1_000
/** Those beyond are not counted. */
const MAX_COUNTED = 20_000
const MAX_WAITING = 1_000
const MAX_TRACKED = 1_000
const SKIP_WITHIN_MS = 60_000
const PACE_MS = 1_000
/** A schedule of which something waits for the end of a run is looked at so often. */
const LOOK_MS = 60_000
const MAX_TAKEN = 100

interface Draft {
  readonly id: string
  readonly record: ScheduleRecord
  readonly now: number
  readonly steps: Step[]
  readonly cancel: number[]
  running: Running[]
  waiting: Occurrence[]
  spans: Span[]
  cursor: number
  due: number | undefined
  cause: Cause | undefined
  pause: Paused | undefined
  /** Sent by these steps. */
  sending: number
  limited: number
}

export function plan(
  id: string,
  record: ScheduleRecord,
  now: number,
  ends: ReadonlyMap<number, Ended>,
  limits: Limits,
): Plan {
  const draft = draftOf(id, record, now)
  const lost = leaveRunning(draft, ends, limits)
  sendWaiting(draft)
  for (const asked of record.state.asked) admit(draft, asked, asked.overlap)
  takeDue(draft)
  draft.spans = draft.spans.flatMap((span) => advance(draft, span) ?? [])
  const { last, taken, counts } = record.state
  const { steps, cancel, pause, cursor, running, waiting, spans, due, cause, limited } = draft
  const state = {
    cursor,
    running,
    waiting,
    spans,
    asked: [],
    ...(last === undefined ? {} : { last }),
    ...(due === undefined ? {} : { due }),
    ...(cause === undefined ? {} : { cause }),
    taken,
    counts,
    limited,
  }
  return { steps, cancel, lost, pause, state }
}

function draftOf(id: string, record: ScheduleRecord, now: number): Draft {
  const { running, waiting, spans, cursor, due, cause, limited } = record.state
  return {
    id,
    record,
    now,
    steps: [],
    cancel: [],
    running: [...running],
    waiting: [...waiting],
    spans: [...spans],
    cursor,
    due,
    cause,
    pause: undefined,
    sending: 0,
    limited,
  }
}

/** Rule 1. Returns those that are given up. */
function leaveRunning(draft: Draft, ends: ReadonlyMap<number, Ended>, limits: Limits): number[] {
  const { definition, paused } = draft.record
  const lostAfterMs = lostAfter(draft.record, limits)
  const isLost = ({ planned, at }: Running): boolean => !ends.has(planned) && draft.now - at >= lostAfterMs
  const lost = draft.running.filter(isLost).map(({ planned }) => planned)
  const dead = draft.running.find(({ planned }) => ends.get(planned) === 'dead')
  draft.running = draft.running.filter((run) => !ends.has(run.planned) && !isLost(run))
  if (dead !== undefined && definition.pauseOnFailure === true && paused === undefined)
    draft.pause = {
      at: formatMoment(draft.now),
      note: `the run of ${formatPlanned(dead.planned)} became a dead letter`,
      onFailure: true,
    }
  return lost
}

function lostAfter({ definition: { lostAfter: own } }: ScheduleRecord, { lostAfterMs }: Limits): number {
  return own === undefined ? lostAfterMs : parseDuration(own, 'lostAfter')
}

const isPaused = ({ record, pause }: Draft): boolean => record.paused !== undefined || pause !== undefined
const isBusy = ({ running, sending }: Draft): boolean => running.length + sending > 0

/** Whether its limit leaves no room for one more. What waits has its place; but with `cancelOther` it would make room. */
function isOver({ record, limited, waiting }: Draft): boolean {
  const { limit = Infinity, overlap } = record.definition
  const held = overlap === 'cancelOther' ? 0 : waiting.filter(isLimited).length
  return limited + held >= limit
}

function sendWaiting(draft: Draft): void {
  const [next] = draft.waiting
  if (next === undefined || isBusy(draft) || isPaused(draft)) return
  draft.waiting.shift()
  const { limit = Infinity } = draft.record.definition
  if (isLimited(next) && draft.limited >= limit) skip(draft, next, `the limit of ${limit} is reached`)
  else send(draft, next)
}

/** One occurrence whose time has come meets what still runs. */
function admit(draft: Draft, occurrence: Occurrence, overlap: Overlap = draft.record.definition.overlap): void {
  if (isPaused(draft) && occurrence.by !== 'trigger') return skip(draft, occurrence, 'the schedule is paused')
  if (isLimited(occurrence) && isOver(draft)) return
  if (overlap === 'allow' || !isBusy(draft)) return send(draft, occurrence)
  switch (overlap) {
    case 'skip':
      return skip(draft, occurrence, `overlap skip: ${stillRuns(draft)}`)
    case 'bufferOne':
      if (draft.waiting.length > 0)
        return skip(draft, occurrence, `overlap bufferOne: ${stillRuns(draft)}, and one waits already`)
      return wait(draft, occurrence)
    case 'bufferAll':
      if (draft.waiting.length >= MAX_WAITING)
        return skip(draft, occurrence, `overlap bufferAll: ${MAX_WAITING} wait already`)
      return wait(draft, occurrence)
    case 'cancelOther':
      draft.cancel.push(...draft.running.map(({ planned }) => planned))
      for (const other of draft.waiting.splice(0))
        skip(draft, other, `overlap cancelOther: ${formatPlanned(occurrence.planned)} takes its place`)
      return wait(draft, occurrence)
    default:
      return overlap satisfies never
  }
}

function stillRuns({ running, steps }: Draft): string {
  const sent = steps.find(({ kind }) => kind === 'send')?.occurrence.planned
  const planned = running[0]?.planned ?? sent
  return `the run of ${planned === undefined ? 'before' : formatPlanned(planned)} is not finished`
}

/** Whether it counts towards `limit`: what people ask for by hand does not. */
function isLimited({ by }: Occurrence): boolean {
  return by === 'rule' || by === 'catchUp' || by === 'after'
}

function send(draft: Draft, occurrence: Occurrence): void {
  draft.steps.push({ kind: 'send', occurrence })
  draft.sending++
  if (isLimited(occurrence)) draft.limited++
}

function skip(draft: Draft, occurrence: Occurrence, reason: string): void {
  draft.steps.push({ kind: 'skip', occurrence, reason })
}

function wait(draft: Draft, occurrence: Occurrence): void {
  draft.waiting.push(occurrence)
  draft.steps.push({ kind: 'wait', occurrence })
}

/** Rule 3. */
function takeDue(draft: Draft): void {
  const { id, record, now } = draft
  const [oldest, second] = first(plannedAfter(id, record, draft.cursor), 2)
  if (oldest !== undefined && oldest.at <= now) {
    const newest = second !== undefined && second.at <= now ? newestDue(draft, second) : oldest
    if (isOver(draft)) draft.cursor = newest.planned
    else if (record.definition.rule.after !== undefined) awaitCause(draft, newest)
    else if (record.definition.catchUp.policy === 'all') catchUpAll(draft, newest)
    else onlyNewest(draft, newest)
  }
  meetCause(draft)
}

/** Backwards from now: there may be any number between. */
function newestDue({ id, record, now, cursor }: Draft, otherwise: Planned): Planned {
  for (const next of plannedBefore(id, record, now + 1)) {
    if (next.planned <= cursor) break
    if (next.at <= now) return next
  }
  return otherwise
}

function onlyNewest(draft: Draft, newest: Planned): void {
  const { policy } = draft.record.definition.catchUp
  missBefore(draft, newest.planned, `catchUp ${policy}: ${formatMoment(newest.planned)} came due before a timer ran`)
  draft.cursor = newest.planned
  const occurrence = { planned: newest.planned, by: 'rule' as const }
  if (draft.now - newest.at > windowOf(draft)) miss(draft, occurrence, late(draft))
  else admit(draft, occurrence)
}

/** The newest at once, those before it one by one, those before the window not at all. */
function catchUpAll(draft: Draft, newest: Planned): void {
  const { pace } = draft.record.definition.catchUp
  const earliest = draft.now - windowOf(draft)
  const oldest = firstSince(draft, earliest)
  if (oldest === undefined || oldest.planned >= newest.planned) {
    missBefore(draft, newest.planned, late(draft))
    draft.cursor = newest.planned
    const occurrence = { planned: newest.planned, by: 'rule' as const }
    return newest.at < earliest ? miss(draft, occurrence, late(draft)) : admit(draft, occurrence)
  }
  missBefore(draft, oldest.planned, late(draft))
  draft.cursor = newest.planned
  const paceMs = pace === undefined ? PACE_MS : parseDuration(pace, 'pace')
  caughtUp(draft, { by: 'catchUp', after: oldest.planned - 1, until: newest.planned - 1, at: draft.now, paceMs })
  admit(draft, { planned: newest.planned, by: 'rule' })
}

/** One range, however often timers fall behind: what was accounted for in between is found in the ledger, and passed over. */
function caughtUp(draft: Draft, span: Span): void {
  const open = draft.spans.findIndex(({ by }) => by === 'catchUp')
  const before = draft.spans[open]
  if (before === undefined) draft.spans.push(span)
  else draft.spans[open] = { ...before, until: span.until, paceMs: span.paceMs }
}

/** The first that is due since a moment. */
function firstSince({ id, record, cursor }: Draft, earliest: number): Planned | undefined {
  const from = earliest === -Infinity ? cursor : Math.max(cursor, earliest - MAX_JITTER_MS - 1)
  for (const next of plannedAfter(id, record, from)) if (next.at >= earliest) return next
  return undefined
}

/** Everything before a planned time that the cursor has not passed. */
function missBefore(draft: Draft, planned: number, reason: string): void {
  const older: number[] = []
  for (const next of plannedAfter(draft.id, draft.record, draft.cursor)) {
    if (next.planned >= planned || older.push(next.planned) >= MAX_COUNTED) break
  }
  const [oldest] = older
  if (oldest === undefined) return
  if (older.length > MAX_DUE) {
    const occurrence = { planned: oldest, by: 'rule' as const }
    draft.steps.push({ kind: 'missMany', occurrence, until: planned - 1, count: older.length, reason })
  } else {
    for (const each of older) miss(draft, { planned: each, by: 'rule' }, reason)
  }
}

function miss(draft: Draft, occurrence: Occurrence, reason: string): void {
  draft.steps.push({ kind: 'miss', occurrence, reason })
}

function windowOf({ record }: Draft): number {
  const { policy, within } = record.definition.catchUp
  if (within !== undefined) return parseDuration(within, 'within')
  return policy === 'skip' ? SKIP_WITHIN_MS : Infinity
}

function late(draft: Draft): string {
  const { policy } = draft.record.definition.catchUp
  return `catchUp ${policy}: more than ${formatDuration(windowOf(draft))} late`
}

/** With a rule and `after`: the newest planned time waits for its cause, those before it had none. */
function awaitCause(draft: Draft, newest: Planned): void {
  const { after } = draft.record.definition.rule
  const reason = `no ${after?.actor}.${after?.message} had ended ${after?.status === 'any' ? '' : `as ${after?.status} `}before ${formatMoment(newest.planned)}`
  if (draft.due !== undefined) skip(draft, { planned: draft.due, by: 'rule' }, reason)
  missBefore(draft, newest.planned, reason)
  draft.cursor = newest.planned
  draft.due = newest.planned
}

function meetCause(draft: Draft): void {
  const { due: planned, cause } = draft
  if (planned === undefined || cause === undefined || isPaused(draft)) return
  draft.due = undefined
  draft.cause = undefined
  admit(draft, { planned, by: 'rule', cause })
}

/** One of a span, when its time has come and nothing runs before it. Undefined when there is no more. */
function advance(draft: Draft, span: Span): Span | undefined {
  const planned = nextOfSpan(draft, span)
  if (planned === undefined || (span.by === 'catchUp' && isOver(draft))) return undefined
  const overlap = span.overlap ?? draft.record.definition.overlap
  const isHeldUp = isPaused(draft) || (overlap !== 'allow' && isBusy(draft))
  if (span.at > draft.now || isHeldUp) return span
  send(draft, { planned, by: span.by })
  return { ...span, after: planned, at: draft.now + span.paceMs }
}

/**
 * The next of a range that does not wait already. An entry `waiting` alone does not say so: who wrote it may not have got as far as
 * storing the record.
 */
function nextOfSpan(draft: Draft, span: Span): number | undefined {
  let planned = nextPlanned(draft, span)
  while (planned !== undefined && draft.waiting.some((one) => one.planned === planned))
    planned = nextPlanned(draft, { ...span, after: planned })
  return planned
}

function nextPlanned({ id, record }: Draft, { by, after, until }: Span): number | undefined {
  if (by === 'backfill') {
    return plannedIn({ since: 0, rule: record.definition.rule }, after, until)
  }
  const [next] = first(plannedAfter(id, record, after), 1)
  return next !== undefined && next.planned <= until ? next.planned : undefined
}

/** What one step came to, when it was carried out. */
export interface Done {
  readonly step: Step
  /** `known`: a range met one that was accounted for before, for another reason. */
  readonly result: 'sent' | 'skipped' | 'missed' | 'waiting' | 'known'
  /** As it stands in the ledger: one that was asked for may have moved to a free millisecond. */
  readonly occurrence: Occurrence
  /** Where it was sent and has not ended: when. */
  readonly runningSince: number | undefined
  /** How many it accounts for. */
  readonly count: number
}

/** The record when the steps were carried out. What they came to may differ from the plan: the ledger has the last word. */
export function carriedOut(record: ScheduleRecord, { state, pause }: Plan, done: readonly Done[]): ScheduleRecord {
  const { past, definition } = record
  const running = done.flatMap(({ occurrence: { planned }, runningSince: at }) =>
    at === undefined ? [] : [{ planned, at }],
  )
  const sent = done.filter(({ result }) => result === 'sent')
  const known = done.filter(({ result }) => result === 'known').map(({ occurrence }) => occurrence)
  const last = sent.at(-1)?.occurrence.planned
  const counted = (result: Done['result']): number =>
    done.reduce((sum, one) => (one.result === result ? sum + one.count : sum), 0)
  const { counts } = state
  const next: State = {
    ...state,
    running: isTracked(definition) ? [...state.running, ...running].slice(-MAX_TRACKED) : [],
    // What was to wait and stands otherwise in the ledger (another look had skipped it, whose record was not stored) waits no more.
    waiting: state.waiting.flatMap((one) => {
      const found = done.find(({ step }) => step.occurrence === one)
      return found === undefined ? [one] : found.result === 'waiting' ? [found.occurrence] : []
    }),
    // What a range passes over takes none of its time, and no place within the limit.
    spans: state.spans.map((span) =>
      known.some(({ planned }) => planned === span.after) ? { ...span, at: span.at - span.paceMs } : span,
    ),
    limited: state.limited - known.filter(isLimited).length,
    ...(last === undefined ? {} : { last }),
    counts: {
      sent: counts.sent + counted('sent'),
      skipped: counts.skipped + counted('skipped'),
      missed: counts.missed + counted('missed'),
    },
  }
  const kept = past.filter((_, index) => isNeeded(next, past[index + 1]?.since ?? record.since))
  const carried = { ...record, past: kept, state: next }
  return pause === undefined ? carried : changed(carried, Date.parse(pause.at), { paused: pause })
}

/** Whether it matters when a run ends. */
function isTracked({ overlap, pauseOnFailure }: ScheduleRecord['definition']): boolean {
  return overlap !== 'allow' || pauseOnFailure === true
}

/** Whether a stretch that ended then has anything that is not accounted for. */
function isNeeded({ cursor, spans }: State, until: number): boolean {
  return cursor < until || spans.some(({ by, after }) => by === 'catchUp' && after < until)
}

/** When the record has to be looked at next; undefined: only when something happens to it. */
export function nextLook(id: string, record: ScheduleRecord, now: number, limits: Limits): number | undefined {
  const { state, definition, paused } = record
  const { running, waiting, spans, asked, cursor, limited } = state
  const isOpen = limited < (definition.limit ?? Infinity)
  const [next] = isOpen ? first(plannedAfter(id, record, cursor), 1) : []
  const isHeld = running.length > 0
  const ofSpans =
    paused === undefined
      ? spans.map(({ at, overlap = definition.overlap }) =>
          isHeld && overlap !== 'allow' ? Math.max(at, now + PACE_MS) : at,
        )
      : []
  const needsEnd = isHeld && (waiting.length > 0 || definition.pauseOnFailure === true)
  // The end of a run wakes it; but a run that was sent before the schedule wanted to know does not say so.
  const ofRuns = needsEnd ? running.map(({ at }) => Math.min(at + lostAfter(record, limits), now + LOOK_MS)) : []
  const times = [...(asked.length > 0 ? [now] : []), ...(next === undefined ? [] : [next.at]), ...ofSpans, ...ofRuns]
  return times.length === 0 ? undefined : Math.max(Math.min(...times), 0)
}

/** Whether timers must look at it as soon as a run of it has ended. */
export function wantsEnds({ definition, state }: ScheduleRecord): boolean {
  const { overlap, pauseOnFailure } = definition
  return pauseOnFailure === true || (overlap !== 'allow' && overlap !== 'skip') || state.spans.length > 0
}

/** A message ended that the schedule runs after. Undefined: that is known already, or none of its concern. */
export function withCause(record: ScheduleRecord, cause: Cause, planned: number): ScheduleRecord | undefined {
  const { definition, state, paused } = record
  if (definition.rule.after === undefined || state.taken.includes(cause.place)) return undefined
  const taken = [...state.taken, cause.place].slice(-MAX_TAKEN)
  if (hasTimes(definition.rule)) return { ...record, state: { ...state, cause, taken } }
  if (paused !== undefined) return undefined
  const asked: Asked = { planned, by: 'after', key: cause.place, cause }
  return { ...record, state: { ...state, asked: [...state.asked, asked], taken } }
}
