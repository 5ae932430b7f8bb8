/** `troupe schedules show`. */
import type { ScheduleDescription } from '../../schedules/schedules.ts'
import type { ScheduledRun } from '../../schedules/view.ts'
import { formatDuration } from '../../time/duration.ts'
import { command } from '../command.ts'
import { given } from '../input.ts'
import { fields, say, sayJson, table, toJson } from '../print.ts'
import { revealFlag } from '../reveal.ts'
import { withTroupe } from '../session.ts'
import { runTable, sends, utc, wallClock } from './shown.ts'
import { whichFlag } from './which.ts'

/** So many of the newest runs are looked at for what failed. */
const LOOKED_AT = 1_000

export const show = command({
  usage: 'ID',
  count: [1, 1],
  flags: { ...whichFlag, ...revealFlag },
  details: `Shows its rule in words, what it sends, the next ten times, the last ten runs and how many there were. What is named like a secret
(password, token, …, and the words of the setting "secrets") is hidden, unless --reveal is given.

Example:
  troupe schedules show daily-digest`,
  async run({ args: [id = ''], flags: { actor, reveal }, isJson, ...rest }) {
    const [shown, failures] = await withTroupe(rest, async ({ schedules }, { secrets }) => {
      const found = await schedules.describe(id, given({ actor }))
      const runs = await schedules.history(id, { actor: found.actor, limit: LOOKED_AT })
      return [reveal ? found : (secrets.hide(found) as ScheduleDescription), failuresOf(runs)] as const
    })
    if (isJson) return sayJson({ ...shown, failures })
    say(text(shown, failures))
  },
})

interface Failures {
  /** Runs that became dead letters, or of which no outcome came, … */
  readonly failed: number
  /** … of so many that have ended, the newest in the ledger. */
  readonly of: number
}

function failuresOf(runs: readonly ScheduledRun[]): Failures {
  const ended = runs.flatMap(({ outcome }) => outcome?.status ?? [])
  return { failed: ended.filter((status) => status === 'dead' || status === 'lost').length, of: ended.length }
}

function text(shown: ScheduleDescription, failures: Failures): string {
  const zone = shown.definition?.rule.timeZone ?? 'UTC'
  return [
    fields(factsOf(shown, failures)),
    ...(shown.upcoming.length === 0 ? [] : ['', 'Next', upcomingTable(shown, zone)]),
    ...(shown.runs.length === 0 ? [] : ['', 'Last runs', runTable(shown.runs)]),
  ].join('\n')
}

function factsOf(shown: ScheduleDescription, failures: Failures): [string, string][] {
  const { definition, paused, running, waiting, spans, counts, declared, isEdited, createdAt, problem } = shown
  const facts: (readonly [string, string | undefined])[] = [
    ['id', shown.id],
    ['state', stateText(shown)],
    ['problem', problem],
    ['rule', shown.words === '' ? undefined : shown.words],
    ['sends', sends(shown)],
    ['payload', definition?.send.payload === undefined ? undefined : toJson(definition.send.payload)],
    ['options', definition?.send.options && toJson(definition.send.options)],
    ...policyFacts(shown),
    ['running', running.length === 0 ? undefined : running.map(utc).join(', ')],
    ['waiting', waiting.length === 0 ? undefined : waiting.map(utc).join(', ')],
    ...spans.map(({ by, after, until }) => [by, `${utc(after)} to ${utc(until)}`] as const),
    ['counts', countText(counts, failures)],
    ['paused', paused && pausedText(paused)],
    ['declared', declared && `in the ${declared}${isEdited ? ', and edited since' : ''}`],
    ['note', definition?.note],
    ['created', createdAt && utc(createdAt)],
    ['generation', problem === undefined ? String(shown.generation) : undefined],
  ]
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as [string, string]]))
}

function stateText({ state, next }: ScheduleDescription): string {
  return next === undefined ? state : `${state}, next at ${utc(next)}`
}

function policyFacts({ definition }: ScheduleDescription): (readonly [string, string | undefined])[] {
  if (definition === undefined) return []
  const { overlap, catchUp, jitter, from, until, limit, pauseOnFailure, lostAfter } = definition
  const bounds = [catchUp.within && `within ${catchUp.within}`, catchUp.pace && `one each ${catchUp.pace}`]
  return [
    ['overlap', overlap],
    ['catch-up', [catchUp.policy, ...bounds.filter((bound) => bound !== undefined)].join(', ')],
    ['jitter', jitter && `up to ${jitter}`],
    ['from', from],
    ['until', until],
    ['limit', limit?.toString()],
    ['on failure', pauseOnFailure === true ? 'it pauses' : undefined],
    ['lost after', lostAfter],
  ]
}

function countText({ sent, skipped, missed }: ScheduleDescription['counts'], { failed, of }: Failures): string {
  const ended = of === 0 ? 'failed 0' : `failed ${failed} of the last ${of} that ended`
  return `sent ${sent}, skipped ${skipped}, missed ${missed}, ${ended}`
}

function pausedText({ at, note, onFailure }: NonNullable<ScheduleDescription['paused']>): string {
  return [
    `since ${utc(at)}`,
    ...(onFailure ? ['because a run failed'] : []),
    ...(note === undefined ? [] : [note]),
  ].join(', ')
}

function upcomingTable({ upcoming }: ScheduleDescription, zone: string): string {
  const hasJitter = upcoming.some(({ planned, at }) => planned.getTime() !== at.getTime())
  return table(
    ['LOCAL', 'UTC', ...(hasJitter ? ['JITTER'] : [])],
    upcoming.map(({ planned, at }) => [
      wallClock(zone, planned.getTime()),
      utc(planned),
      ...(hasJitter ? [`+${formatDuration(at.getTime() - planned.getTime())}`] : []),
    ]),
  )
}
