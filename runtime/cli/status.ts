/** `troupe status`. */
import { systemClock } from '../time/clock.ts'
import { formatDuration } from '../time/duration.ts'
import { readOverview, type ActorOverview, type ActorState, type Overview } from '../view/status.ts'
import type { SystemStatus } from '../view/systems.ts'
import { command } from './command.ts'
import { note, say, sayJson, table } from './print.ts'
import { withTroupe } from './session.ts'

export const status = command({
  usage: '[ACTOR…]',
  count: [0, Infinity],
  flags: {
    check: { meaning: 'exit with 1 where an actor is not ok: for scripts and alarms' },
    lanes: { meaning: 'one line for each lane' },
  },
  details: `Shows the systems that run, and of each actor what waits, runs, is parked and dead, how many end per second (over the last minute), how old the
oldest message is, and a state: ok, behind (the oldest waits for over a minute), stalled (slots are free and nothing ran for a minute), no workers,
paused. All of it is read from what nats stream, nats consumer and the systems themselves say.

Examples:
  troupe status
  troupe status mailer --lanes
  troupe status --check --json`,
  async run({ args, flags, isJson, ...rest }) {
    const actors = args.length === 0 ? undefined : args
    const overview = await withTroupe(rest, (_troupe, { broker }) => readOverview(broker, actors))
    if (isJson) sayJson(overview)
    else tell(overview, flags.lanes)
    return flags.check && overview.actors.some(({ state }) => state !== 'ok') ? 1 : 0
  },
})

function tell({ systems, actors }: Overview, withLanes: boolean): void {
  if (systems.length === 0) note('no system runs')
  else say(`${systemTable(systems)}\n`)
  if (actors.length === 0) note('no actor has a mailbox yet')
  else say(withLanes ? laneTable(actors) : actorTable(actors))
}

export function systemTable(systems: readonly SystemStatus[]): string {
  return table(
    ['SYSTEM', 'HOST', 'PID', 'APPLICATION', 'UP', 'MEMORY', 'RUNNING', 'ACTORS'],
    systems.map((one) => [
      one.stopping ? `${one.system} (stopping)` : one.system,
      one.host,
      String(one.pid),
      `${one.application} ${one.version}`,
      age(systemClock.now() - Date.parse(one.startedAt)),
      `${Math.round(one.memory / 1024 / 1024)} MiB`,
      String(one.actors.reduce((sum, { running }) => sum + running, 0)),
      one.actors.map(({ actor }) => actor).join(', '),
    ]),
  )
}

export const actorHeadings = ['ACTOR', 'STATE', 'WAITING', 'RUNNING', 'SLOTS', 'PARKED', 'DEAD', 'PER SECOND', 'OLDEST']

export function actorRow(one: ActorOverview): string[] {
  return [
    one.actor,
    stateText(one),
    String(one.waiting),
    String(one.running),
    String(one.slots),
    String(one.parked + one.arriving),
    String(one.dead),
    one.perSecond.toFixed(1),
    one.oldestMs === undefined ? '-' : age(one.oldestMs),
  ]
}

export function actorTable(actors: readonly ActorOverview[]): string {
  return table(actorHeadings, actors.map(actorRow))
}

function laneTable(actors: readonly ActorOverview[]): string {
  return table(
    ['ACTOR', 'LANE', 'WAITING', 'DELIVERED', 'REDELIVERED', 'PULLS', 'PAUSED UNTIL'],
    actors.flatMap(({ actor, lanes }) =>
      lanes.map(({ lane, waiting, unsettled, redelivered, pulls, pausedUntil }) => [
        actor,
        lane,
        String(waiting),
        String(unsettled),
        String(redelivered),
        String(pulls),
        pausedUntil === undefined ? '-' : new Date(pausedUntil).toISOString(),
      ]),
    ),
  )
}

function stateText({ state, pausedUntil }: { state: ActorState; pausedUntil: Date | undefined }): string {
  return pausedUntil === undefined ? state : `${state} until ${pausedUntil.toISOString().slice(0, 19)}Z`
}

/** Two units at most: a person reads it. */
export function age(ms: number): string {
  const whole = ms < 1000 ? Math.round(ms) : Math.round(ms / 1000) * 1000
  return formatDuration(ms >= 3_600_000 ? Math.round(ms / 60_000) * 60_000 : whole)
}
