/**
 * When a schedule is looked at next, and what wakes it before: pure. `undefined` and `false` mean that nothing has to be looked at: what
 * changes that (an edit, a message that ended) asks for a look itself.
 */
import { parseDuration } from '../time/duration.ts'
import { first, plannedAfter } from './planned.ts'
import type { ScheduleRecord } from './record.ts'

export interface Limits {
  /** For schedules that set none: ms. */
  readonly lostAfterMs: number
}

/** A range whose next one has to wait for a run is looked at so often. */
const HELD_MS = 1_000
/** A schedule of which something waits for the end of a run is looked at so often. */
const LOOK_MS = 60_000

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
          isHeld && overlap !== 'allow' ? Math.max(at, now + HELD_MS) : at,
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

export function lostAfter({ definition: { lostAfter: own } }: ScheduleRecord, { lostAfterMs }: Limits): number {
  return own === undefined ? lostAfterMs : parseDuration(own, 'lostAfter')
}
