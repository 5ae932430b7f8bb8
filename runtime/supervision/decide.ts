/**
 * What a supervisor does when a child has ended: a pure function of its policy, its children, what happened and the time.
 *
 * The rules are those of Erlang/OTP's supervisor (lib/stdlib/src/supervisor.erl, OTP 27; its functions are named beside ours), so its
 * manual is the manual of this file, with two additions: a wait before each restart, as in Pekko's BackoffSupervisor, and
 * so a child that could not be started is the same case as one that ended (OTP tries again at once).
 *
 * As in OTP: a restart of a group starts all of its children, also those that had ended normally or were stopped by hand; temporary ones
 * are stopped with their group and never started again; only a child that ends by itself can shut its supervisor down.
 */
import { nextDelay, type ResolvedBackoff } from '../time/backoff.ts'

/** Whom a failure concerns: the child alone, all children, or it and those that were started after it. */
export type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one'

/** When a child is restarted: always, unless it ended as it should, never. */
export type Restart = 'permanent' | 'transient' | 'temporary'

/** Whether significant children that end take their supervisor with them. */
export type AutoShutdown = 'never' | 'any_significant' | 'all_significant'

export interface SupervisorPolicy {
  readonly strategy: Strategy
  /** More restarts than these within `withinMs`, and the supervisor gives up. */
  readonly restarts: number
  readonly withinMs: number
  readonly autoShutdown: AutoShutdown
  readonly backoff: RestartBackoff
}

export interface RestartBackoff extends ResolvedBackoff {
  /** A child that ran so long has calmed down: its next failure waits the base again. */
  readonly resetAfterMs: number
}

/** A child as the decision sees it. */
export interface Member {
  readonly id: string
  readonly restart: Restart
  readonly significant: boolean
  /** `waiting`: it will be started when its wait is over. `stopped`: it ended, or was stopped, and is not to be started. */
  readonly state: 'running' | 'waiting' | 'stopped'
  /** How long it ran before it ended: ms; 0 where it could not be started. */
  readonly upMs: number
  /** Failures in a row without calm between them. */
  readonly failures: number
}

/** How a child ended, or that it could not be started. */
export type How = 'normal' | 'shutdown' | 'failed' | 'unstarted'

export type Decision =
  /** It stays ended. `remove`: it is forgotten. */
  | { readonly kind: 'leave'; readonly remove: readonly string[] }
  /** Stop these, in this order, forget those, wait, start these, in this order. */
  | {
      readonly kind: 'restart'
      readonly stop: readonly string[]
      readonly remove: readonly string[]
      readonly afterMs: number
      readonly start: readonly string[]
      /** Failures in a row of the child that ended, with this one. */
      readonly failures: number
      /** Restarts within the period, with this one: to be handed in at the next decision. */
      readonly history: readonly number[]
    }
  /** Stop all, in this order, and end: too many restarts, or significant children have ended. */
  | { readonly kind: 'end'; readonly because: 'intensity' | 'significant'; readonly stop: readonly string[] }

/** Which ends call for a restart (OTP: do_restart/3). */
const RESTARTED: Readonly<Record<Restart, Readonly<Record<How, boolean>>>> = {
  permanent: { normal: true, shutdown: true, failed: true, unstarted: true },
  transient: { normal: false, shutdown: false, failed: true, unstarted: true },
  temporary: { normal: false, shutdown: false, failed: false, unstarted: false },
}

/** The children that a restart of one concerns, in start order (OTP: restart/3, split_child/2). */
const GROUP: Readonly<Record<Strategy, (members: readonly Member[], place: number) => readonly Member[]>> = {
  one_for_one: (members, place) => members.slice(place, place + 1),
  rest_for_one: (members, place) => members.slice(place),
  one_for_all: (members) => members,
}

/**
 * @param members all children in start order, with the one that ended
 * @param history when it restarted before: as the last decision handed it out
 * @param now monotonic ms
 * @param chance 0 to below 1, for the jitter of the wait
 */
export function decide(
  policy: SupervisorPolicy,
  members: readonly Member[],
  history: readonly number[],
  event: { readonly id: string; readonly how: How },
  now: number,
  chance: number,
): Decision {
  const place = members.findIndex(({ id }) => id === event.id)
  const ended = members[place]
  if (ended === undefined) return { kind: 'leave', remove: [] }
  if (!RESTARTED[ended.restart][event.how]) return left(policy, members, ended)
  const restarts = addRestart(history, now, policy.withinMs)
  if (restarts.length > policy.restarts) return { kind: 'end', because: 'intensity', stop: stopOrder(members, ended) }
  const group = GROUP[policy.strategy](members, place)
  const failures = (ended.upMs >= policy.backoff.resetAfterMs ? 0 : ended.failures) + 1
  return {
    kind: 'restart',
    stop: stopOrder(group, ended),
    remove: ids(group.filter(({ restart }) => restart === 'temporary')),
    afterMs: nextDelay(policy.backoff, failures, chance),
    start: ids(group.filter(({ restart }) => restart !== 'temporary')),
    failures,
    history: restarts,
  }
}

/** The order in which children are stopped: that of their start, reversed; without those that don't run. */
export function stopOrder(members: readonly Member[], ended?: Member): readonly string[] {
  return ids(members.filter((member) => member !== ended && member.state === 'running')).toReversed()
}

/** OTP: do_auto_shutdown/2, after del_child/2. */
function left({ autoShutdown }: SupervisorPolicy, members: readonly Member[], ended: Member): Decision {
  const others = members.filter((member) => member !== ended)
  const isLast = !others.some(({ significant, state }) => significant && state !== 'stopped')
  const isOver =
    ended.significant && (autoShutdown === 'any_significant' || (autoShutdown === 'all_significant' && isLast))
  if (isOver) return { kind: 'end', because: 'significant', stop: stopOrder(others) }
  return { kind: 'leave', remove: ended.restart === 'temporary' ? [ended.id] : [] }
}

/** OTP: add_restart/3. One at the very edge of the period still counts. */
function addRestart(history: readonly number[], now: number, withinMs: number): readonly number[] {
  return [now, ...history.filter((at) => at >= now - withinMs)]
}

function ids(members: readonly Member[]): string[] {
  return members.map(({ id }) => id)
}
