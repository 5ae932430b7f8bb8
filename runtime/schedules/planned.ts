/** When a schedule plans its runs: its rule within its bounds, through all changes of it. Pure. */
import { parseDuration } from '../time/duration.ts'
import { jitterOf } from './jitter.ts'
import { nextAfter, previousBefore } from './occurrences.ts'
import { present, type ScheduleRecord, type Stretch } from './record.ts'

/** One planned time, and when it is to be sent. */
export interface Planned {
  readonly planned: number
  /** With its jitter: never before `planned`, never after the next one is planned. */
  readonly at: number
}

/** What a schedule plans after a moment, ascending, by the rule that held at each time. `at` ascends too. */
export function* plannedAfter(id: string, record: ScheduleRecord, after: number): Generator<Planned, void, undefined> {
  const stretches = [...record.past, present(record)]
  for (const [index, stretch] of stretches.entries()) {
    const until = stretches[index + 1]?.since ?? Infinity
    if (until > after) yield* inStretch(id, stretch, Math.max(after, stretch.since), until)
  }
}

/** The same before a moment, descending. */
export function* plannedBefore(
  id: string,
  record: ScheduleRecord,
  before: number,
): Generator<Planned, void, undefined> {
  const stretches = [...record.past, present(record)]
  for (const [index, stretch] of [...stretches.entries()].toReversed()) {
    const last = stretches[index + 1]?.since ?? Infinity
    for (let planned = previousIn(stretch, Math.min(before, last + 1)); planned !== undefined;) {
      yield { planned, at: sendAt(id, stretch, planned) }
      planned = previousIn(stretch, planned)
    }
  }
}

function previousIn({ rule, since, from, until }: Stretch, before: number): number | undefined {
  if (rule === undefined) return undefined
  const planned = previousBefore(rule, until === undefined ? before : Math.min(before, Date.parse(until)))
  const isWithin = planned !== undefined && planned > since && (from === undefined || planned >= Date.parse(from))
  return isWithin ? planned : undefined
}

/** With its jitter: deterministic, and before the next one. */
function sendAt(id: string, stretch: Stretch, planned: number): number {
  const jitterMs = stretch.jitter === undefined ? 0 : parseDuration(stretch.jitter, 'jitter')
  if (jitterMs === 0) return planned
  return Math.min(planned + jitterOf(id, planned, jitterMs), plannedIn(stretch, planned, Infinity) ?? Infinity)
}

/** What a rule plans after a moment and up to another, whatever held at that time: for ranges that people ask for. */
export function plannedIn({ rule, from, until }: Stretch, after: number, last: number): number | undefined {
  if (rule === undefined) return undefined
  const planned = nextAfter(rule, from === undefined ? after : Math.max(after, Date.parse(from) - 1))
  const isWithin = planned !== undefined && planned <= last && (until === undefined || planned < Date.parse(until))
  return isWithin ? planned : undefined
}

function* inStretch(id: string, stretch: Stretch, after: number, last: number): Generator<Planned, void, undefined> {
  for (let planned = plannedIn(stretch, after, last); planned !== undefined;) {
    yield { planned, at: sendAt(id, stretch, planned) }
    planned = plannedIn(stretch, planned, last)
  }
}

/** The first so many of a list that may have no end. */
export function first<T>(items: Iterable<T>, count: number): T[] {
  const taken: T[] = []
  if (count === 0) return taken
  for (const item of items) if (taken.push(item) === count) break
  return taken
}
