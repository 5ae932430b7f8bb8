/**
 * Schedules that are declared in code: `schedules` in an actor's definition or in troupe.config. They are put when a system starts, and by
 * `troupe deploy`.
 *
 * | in the code      | as stored                    | what becomes of it                                                          |
 * | ---------------- | ---------------------------- | --------------------------------------------------------------------------- |
 * | as before        | as declared                  | nothing                                                                     |
 * | changed          | as declared before           | changed in place                                                            |
 * | either           | edited by hand since         | left as it is, and the difference is told; `deploy --overwrite` puts it back  |
 * | new              | not there                    | created                                                                     |
 * | new              | there, put by hand           | taken over where it is the same, else as edited                             |
 * | gone             | declared before              | told, and removed only by `deploy --prune`                                  |
 *
 * Pausing is no edit: who paused a schedule by hand does not want it started again by a deployment.
 */
import { isDeepStrictEqual } from 'node:util'

import type { ActorSpec } from '../actor.ts'
import type { Broker } from '../broker/broker.ts'
import { describe, toError } from '../errors.ts'
import type { SystemEvent, SystemEvents } from '../events.ts'
import type { Logger } from '../log.ts'
import { resolveSchedule, type Definition, type Resolved } from './definition.ts'
import { isBroken, type Declared } from './record.ts'
import type { Schedules } from './schedules.ts'
import { listStored, readStored } from './store.ts'
import { isSame } from './view.ts'

/** A declaration that was checked. */
export interface Declaration extends Resolved {
  readonly id: string
  readonly by: Declared['by']
}

/** What became of one. */
export interface DeclaredSchedule {
  readonly actor: string
  readonly id: string
  readonly by: Declared['by']
  /** `edited`: left as it is. `undeclared`: its declaration is gone. `refused`: see `problem`. */
  readonly state: 'created' | 'changed' | 'same' | 'edited' | 'overwritten' | 'undeclared' | 'pruned' | 'refused'
  /** Where the stored one is other than the declared one. */
  readonly differences: readonly ScheduleDifference[]
  readonly problem?: string
}

export interface ScheduleDifference {
  readonly key: string
  /** As declared. */
  readonly want: unknown
  /** As stored. */
  readonly have: unknown
}

export interface DeclareOptions {
  /** Say what would be done, and do nothing. */
  readonly dryRun?: boolean
  /** Put what the code says over what was edited by hand. */
  readonly overwrite?: boolean
  /** Remove what is declared no more. */
  readonly prune?: boolean
  /** Touch nothing but what belongs to the actors themselves, as workers of few rights must (`nats.manage` off). */
  readonly isConfined?: boolean
}

/**
 * The declarations of these actors, checked: their own, and those of the configuration that send to them. Throws as `schedules.put` does for
 * what is wrong with one.
 */
export async function declarationsOf(
  specs: readonly ActorSpec[],
  configured: Readonly<Record<string, unknown>>,
): Promise<Declaration[]> {
  const known = new Map(specs.map((spec) => [spec.name, spec]))
  const own = specs.flatMap((spec) =>
    Object.entries(spec.schedules).map(async ([id, input]): Promise<Declaration> => {
      return { id, by: 'actor', ...(await resolveSchedule(id, input, { own: spec, known })) }
    }),
  )
  const ofConfig = Object.entries(configured).map(async ([id, input]): Promise<Declaration> => {
    return { id, by: 'config', ...(await resolveSchedule(id, input, { known })) }
  })
  return (await Promise.all([...own, ...ofConfig])).filter(({ actor }) => known.has(actor))
}

/** Brings what is stored in line with what is declared, as the table says. Never throws for one of them. */
export async function declareSchedules(
  broker: Broker,
  schedules: Schedules,
  actors: readonly string[],
  declarations: readonly Declaration[],
  options: DeclareOptions = {},
): Promise<DeclaredSchedule[]> {
  const declared = await Promise.all(declarations.map((one) => declare(broker, schedules, one, options)))
  const gone = await Promise.all(actors.map((actor) => undeclared(broker, schedules, actor, declarations, options)))
  return [...declared, ...gone.flat()]
}

async function declare(
  broker: Broker,
  schedules: Schedules,
  declaration: Declaration,
  options: DeclareOptions,
): Promise<DeclaredSchedule> {
  const { id, actor, by, definition } = declaration
  const told = { actor, id, by }
  try {
    const { record } = await readStored(broker, actor, id)
    const stored = record === undefined || isBroken(record) ? undefined : record
    const differences = stored === undefined ? [] : differencesOf(definition, stored.definition)
    const isDeclared = stored?.declared !== undefined && isSame(stored.declared.as, stored.definition)
    const isEdited = differences.length > 0 && !isDeclared
    if (isEdited && options.overwrite !== true) return { ...told, state: 'edited', differences }
    const state =
      stored === undefined ? 'created' : isEdited ? 'overwritten' : differences.length > 0 ? 'changed' : 'same'
    const isLeft = options.dryRun === true || (options.isConfined === true && state === 'same')
    const how = { declared: { by, as: definition }, isConfined: options.isConfined ?? false }
    if (!isLeft) await schedules.putResolved(id, declaration, how)
    return { ...told, state, differences }
  } catch (error) {
    return { ...told, state: 'refused', differences: [], problem: toError(error).message }
  }
}

async function undeclared(
  broker: Broker,
  schedules: Schedules,
  actor: string,
  declarations: readonly Declaration[],
  { prune, dryRun }: DeclareOptions,
): Promise<DeclaredSchedule[]> {
  const ids = new Set(declarations.flatMap((one) => (one.actor === actor ? [one.id] : [])))
  const stored = await listStored(broker, actor)
  const gone = stored.flatMap(({ id, record }) =>
    isBroken(record) || record.declared === undefined || ids.has(id) ? [] : [{ id, by: record.declared.by }],
  )
  return Promise.all(
    gone.map(async ({ id, by }): Promise<DeclaredSchedule> => {
      const told = { actor, id, by, differences: [] }
      if (prune !== true) return { ...told, state: 'undeclared' }
      try {
        if (dryRun !== true) await schedules.remove(id, { actor })
        return { ...told, state: 'pruned' }
      } catch (error) {
        return { ...told, state: 'refused', problem: toError(error).message }
      }
    }),
  )
}

function differencesOf(want: Definition, have: Definition): ScheduleDifference[] {
  const keys = new Set([...Object.keys(want), ...Object.keys(have)]) as Set<keyof Definition>
  return [...keys].flatMap((key) =>
    isDeepStrictEqual(want[key], have[key]) ? [] : [{ key, want: want[key], have: have[key] }],
  )
}

/** `rule: {"cron":"0 8 * * *"} in the code, {"cron":"0 9 * * *"} stored`. */
export function differenceText({ key, want, have }: ScheduleDifference): string {
  const text = (value: unknown): string => (value === undefined ? 'nothing' : describe(value))
  return `${key}: ${text(want)} in the code, ${text(have)} stored`
}

/** What a system that starts needs for it. */
export interface DeclaringHost {
  readonly broker: Broker
  readonly schedules: Schedules
  readonly log: Logger
  tell(event: 'schedule', data: Omit<SystemEvents['schedule'], keyof SystemEvent>): void
}

/**
 * Puts what is declared when a system starts. What was edited by hand, is declared no more or is refused is told; none of it keeps
 * the system from starting.
 */
export async function declareAtStart(
  host: DeclaringHost,
  actors: readonly string[],
  declarations: readonly Declaration[],
): Promise<void> {
  const { broker, schedules, log } = host
  const options = { isConfined: !broker.assets.settings.manage }
  const results = await declareSchedules(broker, schedules, actors, declarations, options).catch((error: unknown) => {
    log.error('declared schedules could not be looked at', { error: toError(error) })
    return []
  })
  for (const { state, actor, id, differences, problem } of results) {
    if (state !== 'edited' && state !== 'undeclared' && state !== 'refused') continue
    const detail = problem ?? (state === 'edited' ? differences.map(differenceText).join('; ') : GONE)
    log.warn(`a declared schedule is ${state}`, { actor, schedule: id, detail })
    host.tell('schedule', { actor, schedule: id, what: state, detail })
  }
}

const GONE = 'it is declared no more, and goes on: "troupe deploy --prune" removes it'
