/**
 * The bytes of a record: one JSON object, `nats kv get troupe-schedules-<actor> <schedule>`. Moments are epoch ms in the runtime and RFC 3339
 * there. People may write it by hand, so whatever stands there is read with care: a member that is not known, or is none, makes the
 * record a broken one, which says why and stops no other.
 */
import { TroupeError, toError } from '../errors.ts'
import { parseInstant } from '../time/duration.ts'
import { formatPlanned, readPlanned } from '../time/planned.ts'
import { readDefinition, readOverlap, type Definition } from './definition.ts'
import { formatMoment } from './moments.ts'
import {
  EMPTY_STATE,
  type Asked,
  type BrokenRecord,
  type Cause,
  type Counts,
  type Declared,
  type Maker,
  type Occurrence,
  type Paused,
  type Running,
  type ScheduleRecord,
  type Span,
  type State,
  type Stretch,
} from './record.ts'
import { invalid, readObject, readSome, readWhole, refuse } from './refuse.ts'
import { resolveRule, type ResolvedRule } from './rule.ts'

/** The bytes of a record. */
export function encodeRecord(record: ScheduleRecord): Uint8Array {
  const { state, past, since, createdAt, generation, ...rest } = record
  const { cursor, running, waiting, spans, asked, last, due, taken, ...more } = state
  const stored = {
    generation,
    ...rest,
    since: formatMoment(since),
    createdAt: formatMoment(createdAt),
    ...(past.length === 0 ? {} : { past: past.map(withMoments) }),
    state: {
      cursor: formatMoment(cursor),
      ...(last === undefined ? {} : { last: formatPlanned(last) }),
      ...(due === undefined ? {} : { due: formatMoment(due) }),
      ...lists({ running, waiting, spans, asked }),
      ...(taken.length === 0 ? {} : { taken }),
      ...more,
    },
  }
  return Buffer.from(JSON.stringify(stored))
}

function lists(named: Readonly<Record<string, readonly object[]>>): Record<string, object[]> {
  const filled = Object.entries(named).filter(([, list]) => list.length > 0)
  return Object.fromEntries(filled.map(([name, list]) => [name, list.map(withMoments)]))
}

const MOMENTS = ['planned', 'at', 'after', 'until', 'since'] as const

function withMoments(object: object): object {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [
      key,
      typeof value === 'number' && (MOMENTS as readonly string[]).includes(key) ? formatPlanned(value) : value,
    ]),
  )
}

/** A record as it was read, or why it is none: whatever somebody wrote there by hand. */
export function readRecord(name: string, bytes: Uint8Array, storedAt: number): ScheduleRecord | BrokenRecord {
  try {
    return parseRecord(name, JSON.parse(Buffer.from(bytes).toString()), storedAt)
  } catch (thrown) {
    const error = toError(thrown)
    return { broken: error instanceof TroupeError ? error.message : `the record is no JSON: ${error.message}` }
  }
}

const RECORD_KEYS = ['generation', 'definition', 'since', 'paused', 'past', 'declared', 'createdAt', 'state']

function parseRecord(name: string, value: unknown, storedAt: number): ScheduleRecord {
  const object = readObject(value, name, RECORD_KEYS)
  const { paused, past, declared, state } = object
  const since = at(object['since'], `${name}.since`, storedAt)
  return {
    generation: readWhole(object['generation'] ?? 1, `${name}.generation`, 1, Number.MAX_SAFE_INTEGER),
    definition: interned(object['definition'], `${name}.definition`),
    since,
    ...(paused === undefined ? {} : { paused: readPaused(paused, `${name}.paused`) }),
    past: listOf(past, `${name}.past`, readStretch),
    ...(declared === undefined ? {} : { declared: readDeclared(declared, `${name}.declared`) }),
    createdAt: at(object['createdAt'], `${name}.createdAt`, since),
    state: readState(state ?? {}, `${name}.state`, since),
  }
}

const STATE_KEYS = [
  'cursor', 'running', 'waiting', 'spans', 'asked', 'last', 'cause', 'due', 'taken', 'counts', 'limited',
] // prettier-ignore

function readState(value: unknown, name: string, since: number): State {
  const object = readObject(value, name, STATE_KEYS)
  const { last, due, cause, taken, counts } = object
  const list = <T>(key: string, read: (value: unknown, name: string) => T): T[] =>
    listOf(object[key], `${name}.${key}`, read)
  return {
    cursor: at(object['cursor'], `${name}.cursor`, since),
    running: list('running', readRunning),
    waiting: list('waiting', readOccurrence),
    spans: list('spans', readSpan),
    asked: list('asked', readAsked),
    ...(last === undefined ? {} : { last: at(last, `${name}.last`) }),
    ...(due === undefined ? {} : { due: at(due, `${name}.due`) }),
    ...(cause === undefined ? {} : { cause: readCause(cause, `${name}.cause`) }),
    taken: listOf(taken, `${name}.taken`, text),
    counts: readCounts(counts ?? EMPTY_STATE.counts, `${name}.counts`),
    limited: count(object['limited'] ?? 0, `${name}.limited`),
  }
}

function readCounts(value: unknown, name: string): Counts {
  const { sent = 0, skipped = 0, missed = 0 } = readObject(value, name, ['sent', 'skipped', 'missed'])
  return {
    sent: count(sent, `${name}.sent`),
    skipped: count(skipped, `${name}.skipped`),
    missed: count(missed, `${name}.missed`),
  }
}

function readRunning(value: unknown, name: string): Running {
  const object = readObject(value, name, ['planned', 'at'])
  return { planned: at(object['planned'], `${name}.planned`), at: at(object['at'], `${name}.at`) }
}

const MAKERS: readonly Maker[] = ['rule', 'catchUp', 'trigger', 'backfill', 'after']

function readOccurrence(value: unknown, name: string): Occurrence {
  const { by, key, cause, ...rest } = readObject(value, name, ['planned', 'by', 'key', 'cause', 'overlap'])
  return {
    planned: at(rest['planned'], `${name}.planned`),
    by: MAKERS.find((maker) => maker === by) ?? refuse(`${name}.by`, MAKERS.join(', '), by),
    ...(key === undefined ? {} : { key: text(key, `${name}.key`) }),
    ...(cause === undefined ? {} : { cause: readCause(cause, `${name}.cause`) }),
  }
}

function readAsked(value: unknown, name: string): Asked {
  const { key, by, ...occurrence } = readOccurrence(value, name)
  const { overlap } = value as { overlap?: unknown }
  if (key === undefined || (by !== 'trigger' && by !== 'after'))
    throw invalid(`expected ${name} to have a key and to be by trigger or after`, name)
  return {
    ...occurrence,
    key,
    by,
    ...(overlap === undefined ? {} : { overlap: readOverlap(overlap, `${name}.overlap`) }),
  }
}

function readSpan(value: unknown, name: string): Span {
  const object = readObject(value, name, ['by', 'after', 'until', 'at', 'paceMs', 'overlap'])
  const { by, overlap } = object
  if (by !== 'catchUp' && by !== 'backfill') return refuse(`${name}.by`, 'catchUp or backfill', by)
  return {
    by,
    after: at(object['after'], `${name}.after`),
    until: at(object['until'], `${name}.until`),
    at: at(object['at'], `${name}.at`),
    paceMs: count(object['paceMs'], `${name}.paceMs`),
    ...(overlap === undefined ? {} : { overlap: readOverlap(overlap, `${name}.overlap`) }),
  }
}

export function readCause(value: unknown, name: string): Cause {
  const object = readObject(value, name, ['actor', 'message', 'id', 'status', 'place'])
  const field = (key: string): string => text(object[key], `${name}.${key}`)
  return {
    actor: field('actor'),
    message: field('message'),
    id: field('id'),
    status: field('status'),
    place: field('place'),
  }
}

function readStretch(value: unknown, name: string): Stretch {
  const object = readObject(value, name, ['since', 'rule', 'jitter', 'from', 'until'])
  const { rule, jitter, from, until } = object
  return {
    since: at(object['since'], `${name}.since`),
    ...(rule === undefined ? {} : { rule: internedRule(rule, `${name}.rule`) }),
    ...(jitter === undefined ? {} : { jitter: text(jitter, `${name}.jitter`) }),
    ...(from === undefined ? {} : { from: text(from, `${name}.from`) }),
    ...(until === undefined ? {} : { until: text(until, `${name}.until`) }),
  }
}

function readPaused(value: unknown, name: string): Paused {
  const { at: when, note, onFailure } = readObject(value, name, ['at', 'note', 'onFailure'])
  return {
    at: text(when, `${name}.at`),
    ...(note === undefined ? {} : { note: text(note, `${name}.note`) }),
    ...(onFailure === true ? { onFailure } : {}),
  }
}

function readDeclared(value: unknown, name: string): Declared {
  const { by, as } = readObject(value, name, ['by', 'as'])
  if (by !== 'config' && by !== 'actor') return refuse(`${name}.by`, 'config or actor', by)
  return { by, as: interned(as, `${name}.as`) }
}

function listOf<T>(value: unknown, name: string, read: (value: unknown, name: string) => T): T[] {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? [] : readSome(value, name, read)
}

function at(value: unknown, name: string, otherwise?: number): number {
  if (value === undefined && otherwise !== undefined) return otherwise
  return (typeof value === 'string' ? readPlanned(value) : undefined) ?? parseInstant(value, name)
}

function count(value: unknown, name: string): number {
  return readWhole(value, name, 0, Number.MAX_SAFE_INTEGER)
}

function text(value: unknown, name: string): string {
  return typeof value === 'string' && value.length <= 4_096 ? value : refuse(name, 'text', value)
}

/**
 * Definitions and rules that were checked, by their text: timers read the same record again and again, and what was compiled from a
 * rule hangs on its object.
 */
const known = new Map<string, unknown>()
const MAX_KNOWN = 2_000

function intern<T>(value: unknown, kind: string, read: () => T): T {
  const key = `${kind} ${JSON.stringify(value)}`
  const found = known.get(key) as T | undefined
  if (found !== undefined) return found
  const made = read()
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(key, made)
  return made
}

function interned(value: unknown, name: string): Definition {
  return intern(value, 'definition', () => readDefinition(value, name, internedRule))
}

function internedRule(value: unknown, name: string): ResolvedRule {
  return intern(value, 'rule', () => resolveRule(value, name))
}
