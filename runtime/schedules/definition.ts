/**
 * A schedule as people write it, and its normal form: what is checked at `put`, stored, compared, exported.
 *
 * Owns: everything of a schedule but its rule (`rule.ts`) and what has become of it (`record.ts`). The normal form is plain JSON that
 * `readDefinition` takes back and leaves as it is: a record written by hand is refused by the same errors as a bad `put`.
 */
import type { ActorSpec, BoundMessage, MessageRef } from '../actor.ts'
import type { Lane } from '../broker/subjects.ts'
import type { Status } from '../outcome.ts'
import type { RetryOverride } from '../retryRule.ts'
import { formatDuration, parseDuration, parseInstant, type Duration } from '../time/duration.ts'
import { kindOf } from './kinds.ts'
import { formatMoment } from './moments.ts'
import { nextAfter } from './occurrences.ts'
import { invalid, readBy, readObject, readWhole, readWord, refuse } from './refuse.ts'
import { resolveRule, ruleKeys, type AfterRule, type Moment, type ResolvedRule, type ScheduleRule } from './rule.ts'
import { readSend, readStoredSend, type KnownActors, type StoredSend } from './send.ts'

/** What becomes of an occurrence while the run before it is not finished. */
export type Overlap =
  /** It is sent all the same. */
  | 'allow'
  /** It is skipped. The default. */
  | 'skip'
  /** One waits and is sent when the run has ended; more are skipped. */
  | 'bufferOne'
  /** All wait, up to 1,000, and are sent one after the other. */
  | 'bufferAll'
  /** The run is cancelled; when it has ended, the newest is sent. */
  | 'cancelOther'

/** What becomes of occurrences that came due while no timer ran. */
export interface CatchUp {
  /**
   * `latest` (the default): the newest of them is sent, the others are missed. `all`: each is sent, one after the other at `pace`. `skip`:
   * as latest, but only what is hardly late (`within`, default 1 minute).
   */
  readonly policy: 'skip' | 'latest' | 'all'
  /** What is later than that is missed. Default: any lateness, with `skip` 1 minute. */
  readonly within?: Duration
  /** With `all`: at most one in so long. Default 1 s. */
  readonly pace?: Duration
}

/** Options of the messages that a schedule sends; the same as those of `send`. Durations count from the moment of sending. */
export interface ScheduledSendOptions {
  readonly lane?: Lane
  readonly expires?: Duration
  readonly deadline?: Duration
  readonly keep?: Duration
  readonly retry?: RetryOverride
  readonly headers?: Readonly<Record<string, string>>
  readonly format?: 'json' | 'msgpack'
}

/** Everything of a schedule but when it is due. */
export interface ScheduleOptions {
  /** What it sends: `mailer.digest.with({ list: 'all' })`, or `'mailer.digest'` with `payload` beside it. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a message of any actor
  readonly send: BoundMessage<any, any> | MessageRef<any, any> | string
  /** The payload, where `send` has none. */
  readonly payload?: unknown
  readonly options?: ScheduledSendOptions
  readonly overlap?: Overlap
  /** Default `latest`, however late. */
  readonly catchUp?: CatchUp | CatchUp['policy']
  /** Each is sent up to so much later, by an amount that its planned time decides, and before the next one. Default 0. */
  readonly jitter?: Duration
  /** Nothing is planned before this moment. */
  readonly from?: Moment
  /** Nothing is planned at or after this moment. */
  readonly until?: Moment
  /** It ends after so many were sent by the rule. Default: never. */
  readonly limit?: number
  /** A run that becomes a dead letter pauses the schedule. Default false. */
  readonly pauseOnFailure?: boolean
  /** A run without an outcome counts as running for so long. Default: the setting `timer.lostAfter`, 1 day. */
  readonly lostAfter?: Duration
  /** One line for people. */
  readonly note?: string
}

/**
 * A schedule as it is put: its rule, and what it sends. With `after` alone it runs each time that such a message has ended; with a time
 * rule too, each planned time waits until one has ended since the last run.
 */
export type ScheduleInput = ScheduleOptions & ScheduleRule

/** A schedule in an actor's own definition: it sends a message of that actor, by its name. */
export type OwnSchedule = Omit<ScheduleOptions, 'send'> & ScheduleRule & { readonly send: string }

/** The normal form: plain JSON. */
export interface Definition {
  readonly rule: ResolvedRule
  readonly send: StoredSend
  readonly overlap: Overlap
  readonly catchUp: { readonly policy: CatchUp['policy']; readonly within?: string; readonly pace?: string }
  readonly jitter?: string
  readonly from?: string
  readonly until?: string
  readonly limit?: number
  readonly pauseOnFailure?: true
  readonly lostAfter?: string
  readonly note?: string
}

/** A definition and where it belongs: the actor that its message is for. */
export interface Resolved {
  readonly actor: string
  readonly definition: Definition
  /** The actor's definition, where it is known here. */
  readonly spec: ActorSpec | undefined
}

const ID = /^[a-zA-Z0-9_-]{1,128}$/
const OVERLAPS = ['allow', 'skip', 'bufferOne', 'bufferAll', 'cancelOther'] as const
const POLICIES = ['skip', 'latest', 'all'] as const
const OPTION_KEYS = [
  'send', 'payload', 'options', 'overlap', 'catchUp', 'jitter', 'from', 'until', 'limit', 'pauseOnFailure', 'lostAfter', 'note',
] // prettier-ignore
const STORED_KEYS = [
  'rule', ...OPTION_KEYS.filter((key) => key !== 'payload' && key !== 'options'),
] // prettier-ignore
/** Longest jitter: a day. */
export const MAX_JITTER_MS = 86_400_000

/** Throws `ConfigError` `INVALID_SCHEDULE` unless `id` can be a schedule's. */
export function checkScheduleId(id: unknown): string {
  if (typeof id === 'string' && ID.test(id)) return id
  return refuse("the schedule's id", '1 to 128 letters, digits, "_" or "-"', id)
}

/** Checks what a person wrote. Throws `ConfigError` `INVALID_SCHEDULE` with what is wrong and where, `PayloadError` for its payload. */
export async function resolveSchedule(id: string, input: unknown, known: KnownActors = {}): Promise<Resolved> {
  const name = `schedules.${checkScheduleId(id)}`
  const object = readObject(input, name, [...ruleKeys, ...OPTION_KEYS])
  const ruleOnly = Object.fromEntries(ruleKeys.flatMap((key) => (key in object ? [[key, object[key]]] : [])))
  const rule = resolveRule(ruleOnly, name)
  const { actor, send, spec } = await readSend(object, name, known)
  const definition = normal({ ...object, rule, send }, name)
  checkReach(definition, name)
  return { actor, definition, spec }
}

/** Reads the normal form back, as strictly. Throws `ConfigError` `INVALID_SCHEDULE`. */
export function readDefinition(value: unknown, name: string, ruleOf = resolveRule): Definition {
  const object = readObject(value, name, STORED_KEYS)
  const rule = ruleOf(object['rule'], `${name}.rule`)
  const send = readStoredSend(object['send'], `${name}.send`)
  return normal({ ...object, rule, send }, name)
}

/** The checked parts in one order, without those that are at their default. */
function normal(object: Readonly<Record<string, unknown>>, name: string): Definition {
  const { rule, jitter, from, until, limit, pauseOnFailure, lostAfter, note } = object
  const jitterMs = jitter === undefined ? 0 : duration(jitter, `${name}.jitter`, 0)
  if (jitterMs > MAX_JITTER_MS) refuse(`${name}.jitter`, 'at most 1 day', jitter)
  const bounds = {
    ...(from === undefined ? {} : { from: moment(from, `${name}.from`) }),
    ...(until === undefined ? {} : { until: moment(until, `${name}.until`) }),
  }
  if (bounds.from !== undefined && bounds.until !== undefined && Date.parse(bounds.from) >= Date.parse(bounds.until))
    throw invalid(`expected ${name}.from to be before ${name}.until, got: ${bounds.from} and ${bounds.until}`, name)
  return {
    rule: rule as ResolvedRule,
    send: object['send'] as StoredSend,
    overlap: readOverlap(object['overlap'] ?? 'skip', `${name}.overlap`),
    catchUp: readCatchUp(object['catchUp'] ?? 'latest', `${name}.catchUp`),
    ...(jitterMs === 0 ? {} : { jitter: formatDuration(jitterMs) }),
    ...bounds,
    ...(limit === undefined ? {} : { limit: readWhole(limit, `${name}.limit`, 1, 1_000_000_000) }),
    ...(readFlag(pauseOnFailure ?? false, `${name}.pauseOnFailure`) ? { pauseOnFailure: true as const } : {}),
    ...(lostAfter === undefined ? {} : { lostAfter: formatDuration(duration(lostAfter, `${name}.lostAfter`, 1_000)) }),
    ...(note === undefined ? {} : { note: readNote(note, `${name}.note`) }),
  }
}

/** Whether it can be due at all within its bounds. */
function checkReach({ rule, from, until }: Definition, name: string): void {
  if (!hasTimes(rule)) return
  const first = nextAfter(rule, from === undefined ? -1 : Date.parse(from) - 1)
  if (first !== undefined && (until === undefined || first < Date.parse(until))) return
  const bounds = [from === undefined ? '' : ` from ${from}`, until === undefined ? '' : ` until ${until}`].join('')
  throw invalid(`expected ${name} to be due at some time${bounds}, but its rule never is`, name)
}

export function readOverlap(value: unknown, name: string): Overlap {
  if (OVERLAPS.includes(value as Overlap)) return value as Overlap
  return refuse(name, `one of ${OVERLAPS.join(', ')}`, value)
}

function readCatchUp(value: unknown, name: string): Definition['catchUp'] {
  const object = typeof value === 'string' ? { policy: value } : readObject(value, name, ['policy', 'within', 'pace'])
  const policy = readWord(object['policy'], `${name}.policy`, POLICIES)
  const { within, pace } = object
  if (pace !== undefined && policy !== 'all')
    throw invalid(`${name}.pace means nothing beside the policy ${policy}: leave it out`, `${name}.pace`)
  return {
    policy,
    ...(within === undefined ? {} : { within: formatDuration(duration(within, `${name}.within`, 1)) }),
    ...(pace === undefined ? {} : { pace: formatDuration(duration(pace, `${name}.pace`, 1)) }),
  }
}

/** Whether it plans times of its own, and is not only due after something else. */
export function hasTimes(rule: ResolvedRule): boolean {
  return kindOf(rule) !== undefined
}

/** Whether a message that ended so is a cause. `any` is also cancelled and expired. */
export function isCause(after: Required<AfterRule>, status: Status): boolean {
  return after.status === 'any' || after.status === status
}

function duration(value: unknown, name: string, least: number): number {
  const ms = readBy(parseDuration, value, name)
  return ms >= least ? ms : refuse(name, `a duration of at least ${formatDuration(least)}`, value)
}

function moment(value: unknown, name: string): string {
  return formatMoment(readBy(parseInstant, value, name))
}

function readFlag(value: unknown, name: string): boolean {
  return typeof value === 'boolean' ? value : refuse(name, 'true or false', value)
}

function readNote(value: unknown, name: string): string {
  // oxlint-disable-next-line no-control-regex -- a note is one line
  if (typeof value === 'string' && value.length <= 1_000 && !/[\u0000-\u001F\u007F]/.test(value)) return value
  return refuse(name, 'one line of text, at most 1,000 characters', value)
}
