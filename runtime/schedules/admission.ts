/**
 * One occurrence whose time has come meets what still runs: it is sent, waits or is skipped, as overlap, pause and limit say. Pure; what is
 * decided is collected in a draft, which planner.ts and dueNow.ts go on with.
 */
import { formatPlanned } from '../time/planned.ts'
import type { Overlap } from './definition.ts'
import type { Cause, Occurrence, Paused, Running, ScheduleRecord, Span } from './record.ts'

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

const MAX_WAITING = 1_000

/** A plan that is being made. */
export interface Draft {
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

export function draftOf(id: string, record: ScheduleRecord, now: number): Draft {
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

export const isPaused = ({ record, pause }: Draft): boolean => record.paused !== undefined || pause !== undefined
export const isBusy = ({ running, sending }: Draft): boolean => running.length + sending > 0

/** Whether its limit leaves no room for one more. What waits has its place; but with `cancelOther` it would make room. */
export function isOver({ record, limited, waiting }: Draft): boolean {
  const { limit = Infinity, overlap } = record.definition
  const held = overlap === 'cancelOther' ? 0 : waiting.filter(isLimited).length
  return limited + held >= limit
}

/** One occurrence whose time has come meets what still runs. */
export function admit(draft: Draft, occurrence: Occurrence, overlap: Overlap = draft.record.definition.overlap): void {
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
export function isLimited({ by }: Occurrence): boolean {
  return by === 'rule' || by === 'catchUp' || by === 'after'
}

export function send(draft: Draft, occurrence: Occurrence): void {
  draft.steps.push({ kind: 'send', occurrence })
  draft.sending++
  if (isLimited(occurrence)) draft.limited++
}

export function skip(draft: Draft, occurrence: Occurrence, reason: string): void {
  draft.steps.push({ kind: 'skip', occurrence, reason })
}

function wait(draft: Draft, occurrence: Occurrence): void {
  draft.waiting.push(occurrence)
  draft.steps.push({ kind: 'wait', occurrence })
}

export function miss(draft: Draft, occurrence: Occurrence, reason: string): void {
  draft.steps.push({ kind: 'miss', occurrence, reason })
}
