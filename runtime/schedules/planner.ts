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
import { formatPlanned } from '../time/planned.ts'
import { admit, draftOf, isBusy, isLimited, isOver, isPaused, send, skip, type Draft, type Step } from './admission.ts'
import { takeDue } from './dueNow.ts'
import { formatMoment } from './moments.ts'
import { lostAfter, type Limits } from './nextLook.ts'
import { first, plannedAfter, plannedIn } from './planned.ts'
import type { Paused, Running, ScheduleRecord, Span, State } from './record.ts'

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

function sendWaiting(draft: Draft): void {
  const [next] = draft.waiting
  if (next === undefined || isBusy(draft) || isPaused(draft)) return
  draft.waiting.shift()
  const { limit = Infinity } = draft.record.definition
  if (isLimited(next) && draft.limited >= limit) skip(draft, next, `the limit of ${limit} is reached`)
  else send(draft, next)
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
