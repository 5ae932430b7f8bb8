/** Schedules and their runs as people see them. */
import { describe } from '../../errors.ts'
import { formatMoment, formatWall } from '../../schedules/moments.ts'
import type { Schedule, ScheduledRun } from '../../schedules/view.ts'
import { findZone, wallAt } from '../../schedules/zone.ts'
import { formatDuration } from '../../time/duration.ts'
import { table } from '../print.ts'

/** `2027-03-28T01:00:00Z` */
export const utc = (date: Date): string => formatMoment(date.getTime())

const or = (text: string | undefined): string => text ?? '-'

/** One a line. */
export function scheduleTable(schedules: readonly Schedule[]): string {
  return table(
    ['ID', 'SENDS', 'STATE', 'NEXT', 'LAST', 'SENT', 'SKIPPED', 'MISSED', 'RULE'],
    schedules.map((one) => [
      one.id,
      sends(one),
      one.isEdited ? `${one.state}, edited` : one.state,
      or(one.next && utc(one.next)),
      or(one.last && utc(one.last)),
      ...[one.counts.sent, one.counts.skipped, one.counts.missed].map(String),
      one.problem === undefined ? one.words : one.problem,
    ]),
  )
}

/** `mailer.digest` */
export function sends({ actor, definition }: Schedule): string {
  return definition === undefined ? `${actor}.?` : `${actor}.${definition.send.message}`
}

/** Times on the clocks of a zone, with its offset, and in UTC. */
export function timeTable(times: readonly Date[], zone: string): string {
  return table(
    ['LOCAL', 'UTC'],
    times.map((time) => [wallClock(zone, time.getTime()), utc(time)]),
  )
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** `Sun 2027-03-28 03:00:00 +02:00` */
export function wallClock(name: string, ms: number): string {
  const zone = findZone(name)
  if (zone === undefined) return utc(new Date(ms))
  const wallMs = wallAt(zone, ms)
  return `${weekdays[new Date(wallMs).getUTCDay()]} ${formatWall(wallMs).replace('T', ' ')} ${offsetText(wallMs - ms)}`
}

/** `+05:30` */
function offsetText(offsetMs: number): string {
  const minutes = Math.round(Math.abs(offsetMs) / 60_000)
  const parts = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0'))
  return `${offsetMs < 0 ? '-' : '+'}${parts.join(':')}`
}

/** One a line, newest first. */
export function runTable(runs: readonly ScheduledRun[]): string {
  return table(
    ['PLANNED', 'BY', 'STATE', 'OUTCOME', 'DURATION', 'ATTEMPTS', 'LATE', 'WHY'],
    runs.map((run) => [
      run.until === undefined ? utc(run.planned) : `${utc(run.planned)} to ${utc(run.until)} (${run.count})`,
      run.by,
      run.state,
      or(run.outcome?.status),
      or(durationOf(run)),
      or(run.outcome?.attempts?.toString()),
      run.sentAt === undefined ? '-' : short(run.sentAt.getTime() - run.planned.getTime()),
      whyOf(run),
    ]),
  )
}

/** The handler's own time, or, where that is not known, from sending to the end. */
function durationOf({ outcome, sentAt }: ScheduledRun): string | undefined {
  if (outcome === undefined) return undefined
  const ms = outcome.ms ?? (sentAt === undefined ? undefined : outcome.at.getTime() - sentAt.getTime())
  return ms === undefined ? undefined : short(ms)
}

/** Below a minute in ms, else in seconds. */
const short = (ms: number): string => formatDuration(ms < 60_000 ? Math.round(ms) : Math.round(ms / 1000) * 1000)

function whyOf({ reason, outcome, cause }: ScheduledRun): string {
  const failure = outcome?.failure
  if (failure !== undefined) return `${failure.name}: ${failure.message}`
  if (reason !== undefined) return reason
  if (cause !== undefined) return `${cause.actor}.${cause.message} ${cause.id} was ${cause.status}`
  return outcome?.result === undefined ? '' : describe(outcome.result)
}
