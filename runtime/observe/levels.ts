/**
 * Which events of an actor's messages are published: by its definition, else by the setting `events`, and changed live by
 * operators (`troupe events`). A live change holds for this process until it ends, also over restarts of the actor.
 */
import { checkName } from '../broker/subjects.ts'
import { ConfigError, describe, didYouMean } from '../errors.ts'
import { EVENT_LEVELS, type EventLevel } from '../events.ts'

interface Defined {
  readonly events: EventLevel | undefined
}

export class EventLevels {
  readonly #default: EventLevel
  readonly #live = new Map<string, EventLevel>()

  constructor(level: EventLevel) {
    this.#default = level
  }

  /** Asked for every message that is sent: two look-ups at most. */
  of(actor: string, spec: Defined | undefined): EventLevel {
    const live = this.#live.size === 0 ? undefined : this.#live.get(actor)
    return live ?? spec?.events ?? this.#default
  }

  /** From now on, or as defined again where there is no level. */
  set(actor: string, level: EventLevel | undefined): void {
    if (level === undefined) this.#live.delete(actor)
    else this.#live.set(actor, level)
  }
}

/** What is asked of a system by the verb `events`; without a level it only says which one holds. */
export interface LevelRequest {
  readonly actor: string
  readonly level?: EventLevel | 'default'
}

export interface LevelAnswer {
  /** Whether the actor runs in that system. */
  readonly runs: boolean
  readonly level: EventLevel
}

/** Throws `ConfigError` (`INVALID_NAME`, `INVALID_OPTION`). */
export function readLevelRequest(body: unknown): LevelRequest {
  const { actor, level } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const name = checkName(actor, 'actor')
  if (level === undefined) return { actor: name }
  return { actor: name, level: level === 'default' ? level : checkLevel(level, 'level') }
}

/** Throws `ConfigError` `INVALID_OPTION`. */
export function checkLevel(value: unknown, name: string): EventLevel {
  const level = EVENT_LEVELS.find((one) => one === value)
  if (level !== undefined) return level
  const hint = typeof value === 'string' ? didYouMean(value, EVENT_LEVELS) : ''
  const text = `expected ${name} to be one of ${EVENT_LEVELS.join(', ')}, got: ${describe(value)}${hint}`
  throw new ConfigError('INVALID_OPTION', text, { data: { name } })
}
