/**
 * The record after something happened: the steps of a plan were carried out, or a message ended that the schedule runs after. Pure. What steps
 * came to may differ from the plan: the ledger has the last word.
 */
import { isLimited, type Step } from './admission.ts'
import { hasTimes } from './definition.ts'
import type { Plan } from './planner.ts'
import { changed, type Asked, type Cause, type Occurrence, type ScheduleRecord, type State } from './record.ts'

const MAX_TRACKED = 1_000
const MAX_TAKEN = 100

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
