/** A supervision tree, checked and with its defaults, from what people write (definition.ts). */
import { isActor, specOf, type ActorSpec } from '../actor.ts'
import { checkKeys, count, invalid, oneOf, positive } from '../checks.ts'
import { ConfigError, describe } from '../errors.ts'
import { resolveBackoff } from '../time/backoff.ts'
import { parseDuration } from '../time/duration.ts'
import type { AutoShutdown, Restart, RestartBackoff, Strategy, SupervisorPolicy } from './decide.ts'
import {
  isChild,
  isSupervisor,
  type BackoffOptions,
  type ChildInput,
  type ChildOptions,
  type SupervisorOptions,
} from './definition.ts'

interface AnySpec {
  readonly id: string
  readonly restart: Restart
  readonly significant: boolean
  /** ms; absent: as the system says. */
  readonly stopWithinMs: number | undefined
}

export type TreeSpec = WorkerSpec | SupervisorSpec

export interface WorkerSpec extends AnySpec {
  readonly kind: 'worker'
  readonly actor: ActorSpec
}

export interface SupervisorSpec extends AnySpec {
  readonly kind: 'supervisor'
  readonly policy: SupervisorPolicy
  /** In the order of their start. */
  readonly children: readonly TreeSpec[]
}

/** The root's name in reports: no actor and no supervisor may be called so. */
export const ROOT = 'system'

const STRATEGIES: readonly Strategy[] = ['one_for_one', 'one_for_all', 'rest_for_one']
const RESTARTS: readonly Restart[] = ['permanent', 'transient', 'temporary']
const SHUTDOWNS: readonly AutoShutdown[] = ['never', 'any_significant', 'all_significant']
const KEYS = ['strategy', 'restarts', 'within', 'backoff', 'autoShutdown', 'children']
const BACKOFF_KEYS = ['base', 'factor', 'max', 'jitter', 'resetAfter']
const DEFAULTS = { restarts: 20, withinMs: 60_000, base: '200ms', maxMs: 30_000 } as const

/** The tree of a whole system. Throws `ConfigError` (`INVALID_OPTION`, `NOT_AN_ACTOR`) with what was expected and what came. */
export function treeSpec(options: SupervisorOptions): SupervisorSpec {
  const root = { id: ROOT, restart: 'temporary', significant: false, stopWithinMs: undefined } as const
  const tree = supervisorSpec(root, 'supervise', options, [])
  const names = namesOf(tree)
  const twice = names.find((name, place) => names.indexOf(name) !== place)
  if (twice === undefined) return tree
  const text = `expected each actor and each supervisor once, got ${describe(twice)} twice`
  throw new ConfigError('INVALID_OPTION', text, { data: { name: twice } })
}

/** All actors of a tree, in the order of their start. */
export function actorsOf(tree: TreeSpec): ActorSpec[] {
  return tree.kind === 'worker' ? [tree.actor] : tree.children.flatMap(actorsOf)
}

function namesOf(tree: TreeSpec): string[] {
  return tree.kind === 'worker' ? [tree.id] : [tree.id, ...tree.children.flatMap(namesOf)]
}

function supervisorSpec(
  base: AnySpec,
  path: string,
  options: SupervisorOptions,
  above: readonly SupervisorOptions[],
): SupervisorSpec {
  if (typeof options !== 'object' || options === null) throw invalid(path, 'an object with children', options)
  if (above.includes(options)) throw invalid(path, 'a tree', `${base.id}, which is below itself`)
  checkKeys(options, KEYS, path)
  const { children } = options
  if (!Array.isArray(children) || children.length === 0) {
    throw invalid(`${path}.children`, 'a list of at least one actor or supervisor', children)
  }
  const policy = policyOf(options, path)
  const nodes = children.map((one, place) => node(one, `${path}.children[${place}]`, policy, [...above, options]))
  return { ...base, kind: 'supervisor', policy, children: nodes }
}

function policyOf(options: SupervisorOptions, path: string): SupervisorPolicy {
  const { strategy = 'one_for_one', autoShutdown = 'never', restarts, within, backoff } = options
  return {
    strategy: oneOf(strategy, STRATEGIES, `${path}.strategy`),
    restarts: count(restarts, `${path}.restarts`, 0) ?? DEFAULTS.restarts,
    withinMs: positive(within, `${path}.within`) ?? DEFAULTS.withinMs,
    autoShutdown: oneOf(autoShutdown, SHUTDOWNS, `${path}.autoShutdown`),
    backoff: backoffOf(backoff ?? {}, `${path}.backoff`),
  }
}

function backoffOf(options: BackoffOptions | false, path: string): RestartBackoff {
  if (options === false) return { baseMs: 0, factor: 1, maxMs: 0, jitter: 0, resetAfterMs: 0 }
  if (typeof options !== 'object' || options === null)
    throw invalid(path, 'false, or an object such as { base: "200ms", max: "30s" }', options)
  checkKeys(options, BACKOFF_KEYS, path)
  const { resetAfter, base = DEFAULTS.base, ...rest } = options
  const max = rest.max ?? Math.max(DEFAULTS.maxMs, parseDuration(base, `${path}.base`))
  const resolved = resolveBackoff({ ...rest, base, max }, path)
  return { ...resolved, resetAfterMs: positive(resetAfter, `${path}.resetAfter`) ?? resolved.maxMs }
}

function node(
  input: ChildInput,
  path: string,
  policy: SupervisorPolicy,
  above: readonly SupervisorOptions[],
): TreeSpec {
  const { what, options } = isChild(input) ? input : { what: input, options: {} }
  if (isSupervisor(what))
    return supervisorSpec(childSpec(what.name, options, path, policy), what.name, what.options, above)
  if (!isActor(what)) {
    const text = `expected ${path} to be an actor made by defineActor(…), or a supervisor(…), got: ${describe(what)}`
    throw new ConfigError('NOT_AN_ACTOR', text)
  }
  const actor = specOf(what)
  return { ...childSpec(actor.name, options, path, policy), kind: 'worker', actor }
}

/** The combinations that OTP refuses are refused here too (supervisor.erl, validSignificant/3). */
function childSpec(id: string, options: ChildOptions, path: string, policy: SupervisorPolicy): AnySpec {
  const { restart = 'permanent', significant = false, stopWithin } = options
  oneOf(restart, RESTARTS, `${path}.restart`)
  if (typeof significant !== 'boolean') throw invalid(`${path}.significant`, 'true or false', significant)
  if (significant && restart === 'permanent') {
    throw invalid(
      `${path}.restart`,
      'transient or temporary for a significant child, since a permanent one never ends',
      restart,
    )
  }
  if (significant && policy.autoShutdown === 'never') {
    throw invalid(`${path}.significant`, 'false where autoShutdown is never: its end would mean nothing', significant)
  }
  const stopWithinMs = stopWithin === undefined ? undefined : parseDuration(stopWithin, `${path}.stopWithin`)
  return { id, restart, significant, stopWithinMs }
}
