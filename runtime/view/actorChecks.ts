/** What may be wrong with the actors: who waits without being worked on, what grows, what nobody runs any more. Judging is pure where it can be. */
import { formatDuration } from '../time/duration.ts'
import { orWell, type Finding, type Patient } from './finding.ts'
import { askRunning } from './running.ts'
import { readOverview, type ActorOverview, type Overview } from './status.ts'

export async function checkActors({ link }: Patient): Promise<Finding[]> {
  return actorFindings(await readOverview(link.broker))
}

/** Pure. */
export function actorFindings({ actors, systems }: Overview): Finding[] {
  const findings = actors.flatMap((one) => actorFinding(one))
  const text = `${actors.length} actors, ${systems.length} systems: nothing waits without being worked on`
  return orWell(findings, 'actors', text)
}

function actorFinding(one: ActorOverview): Finding[] {
  const waits = `${one.actor}: ${one.waiting} messages wait, the oldest in the mailbox for ${formatDuration(Math.round((one.oldestMs ?? 0) / 1000) * 1000)}`
  switch (one.state) {
    case 'ok':
      return []
    case 'paused':
      return [
        {
          level: 'warning',
          check: 'actors',
          text: `${one.actor} is paused${one.pausedUntil === undefined ? '' : ` until ${one.pausedUntil.toISOString()}`}`,
          advice: `"troupe resume ${one.actor}" goes on.`,
        },
      ]
    case 'no workers':
      return [
        {
          level: 'error',
          check: 'actors',
          text: `${waits}, and no system runs it`,
          advice: 'Start one: "troupe start FILE".',
        },
      ]
    case 'stalled':
      return [
        {
          level: 'error',
          check: 'actors',
          text: `${waits}, ${one.slots - one.running} slots are free, and nothing ran for a minute`,
          advice: `Restart its worker ("troupe control restart ${one.actor}"), and look at its log.`,
        },
      ]
    case 'behind':
      return [
        {
          level: 'warning',
          check: 'actors',
          text: `${waits}; ${one.perSecond} end per second`,
          advice: `Run more: "troupe scale ${one.actor} N", or another system.`,
        },
      ]
    default:
      return one.state satisfies never
  }
}

/** More than that is worth a look. */
const MANY_DEAD = 1_000
const MANY_ARRIVING = 10_000

export async function checkGrowth({ link }: Patient): Promise<Finding[]> {
  const { actors } = await readOverview(link.broker)
  return growthFindings(actors)
}

/** Pure. */
export function growthFindings(actors: readonly Pick<ActorOverview, 'actor' | 'dead' | 'arriving'>[]): Finding[] {
  const findings = actors.flatMap(({ actor, dead, arriving }): Finding[] => [
    ...(dead < MANY_DEAD
      ? []
      : [
          {
            level: 'warning' as const,
            check: 'growth',
            text: `${actor} has ${dead} dead letters`,
            advice: `"troupe dead ls --actor ${actor}" says why; retry or purge them.`,
          },
        ]),
    ...(arriving < MANY_ARRIVING
      ? []
      : [
          {
            level: 'warning' as const,
            check: 'growth',
            text: `${arriving} delayed messages of ${actor} are due or wait to be parked`,
            advice: 'No timer takes them fast enough: does a system run this actor?',
          },
        ]),
  ])
  return orWell(findings, 'growth', 'no heap of dead or delayed messages')
}

/** A message that was handed out and that nobody says to run. */
export async function checkStuck({ link }: Patient): Promise<Finding[]> {
  const [{ actors }, running] = await Promise.all([readOverview(link.broker), askRunning(link.broker)])
  const findings = actors.flatMap((one): Finding[] => {
    const runs = running.filter(({ actor }) => actor === one.actor)
    const isOrphaned = one.delivered > 0 && one.systems.length === 0
    const text = `${one.actor}: ${one.delivered} messages were handed out and no system runs the actor`
    const advice = 'Their worker is gone: they come back after its lease (30 s by default), once a worker runs.'
    const long = runs.filter(({ stopping, remainingMs }) => stopping !== undefined && remainingMs === 0)
    return [
      ...(isOrphaned ? [{ level: 'warning' as const, check: 'stuck', text, advice }] : []),
      ...long.map(({ id, system, worker, forMs }) => ({
        level: 'warning' as const,
        check: 'stuck',
        text: `${id} runs in ${system} (${worker}) for ${formatDuration(forMs)}, beyond its limit: its handler ignores its signal`,
        advice: 'Let the handler heed ctx.signal, or isolate the actor so that it can be killed.',
      })),
    ]
  })
  return orWell(findings, 'stuck', 'nothing was handed out that nobody runs')
}
