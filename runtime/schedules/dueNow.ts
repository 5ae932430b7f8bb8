/**
 * What a rule made due since timers looked last. Usually that is one occurrence; after an outage it is many, and the catch-up policy
 * decides which are sent at once, which one by one, and which are missed. With `after` in the rule, the newest waits for its cause.
 */
import { formatDuration, parseDuration } from '../time/duration.ts'
import { admit, isOver, isPaused, miss, skip, type Draft } from './admission.ts'
import { MAX_JITTER_MS } from './definition.ts'
import { formatMoment } from './moments.ts'
import { first, plannedAfter, plannedBefore, type Planned } from './planned.ts'
import type { Span } from './record.ts'

/** More that are missed at once have one entry together, with the first and the last of them. */
const MAX_DUE = 1_000

/** Those beyond are not counted. */
const MAX_COUNTED = 20_000

const SKIP_WITHIN_MS = 60_000
const PACE_MS = 1_000

/** Rule 3 of planner.ts. */
export function takeDue(draft: Draft): void {
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
