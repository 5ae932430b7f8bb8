/** What a schedule sends: as people write it, as it is stored, and as the bytes of a message. */
import type { ActorSpec, BoundMessage, MessageRef } from '../actor.ts'
import { checkName, LANES, type Lane } from '../broker/subjects.ts'
import { CONTENT_TYPES, optionHeaders, type SendOptions } from '../client/options.ts'
import { decode, encode } from '../codec/codec.ts'
import { ActorError, didYouMean } from '../errors.ts'
import type { RetryOverride } from '../retryRule.ts'
import { payloadError, validate } from '../schema.ts'
import { formatDuration, parseDuration } from '../time/duration.ts'
import { invalid, readBy, readObject, readWord, refuse } from './refuse.ts'

/** A message in its normal form: plain JSON, readable where the payload is JSON. */
export interface StoredSend {
  readonly actor: string
  readonly message: string
  /** The payload, where the format is JSON. Absent: no body. */
  readonly payload?: unknown
  /** The encoded payload in base64, where the format is another. */
  readonly body?: string
  readonly options?: StoredSendOptions
}

export interface StoredSendOptions {
  readonly lane?: Lane
  readonly expires?: string
  readonly deadline?: string
  readonly keep?: string
  readonly retry?: RetryOverride
  readonly headers?: Readonly<Record<string, string>>
  readonly format?: 'json' | 'msgpack'
}

interface Read {
  readonly actor: string
  readonly send: StoredSend
  readonly spec: ActorSpec | undefined
}

/** Definitions that are at hand where a message is named by text. */
export interface KnownActors {
  /** The actor in whose definition the schedule stands: its messages need no more than their name. */
  readonly own?: ActorSpec
  readonly known?: ReadonlyMap<string, ActorSpec>
}

const OPTION_KEYS = ['lane', 'expires', 'deadline', 'keep', 'retry', 'headers', 'format']
const STORED_KEYS = ['actor', 'message', 'payload', 'body', 'options']

/**
 * Reads `send`, `payload` and `options`. Throws `ConfigError` `INVALID_SCHEDULE`,
 * `ActorError` `UNKNOWN_MESSAGE`, `PayloadError` `INVALID_PAYLOAD`.
 */
export async function readSend(
  { send, payload, options }: Readonly<Record<string, unknown>>,
  name: string,
  actors: KnownActors,
): Promise<Read> {
  const { own } = actors
  const { ref, payload: bound } = target(send, payload, name, actors)
  const { actor, message, spec } = ref
  if (own !== undefined && actor !== own.name)
    throw invalid(`expected ${name}.send to be a message of ${own.name} itself, got: ${actor}.${message}`, name)
  await checkPayload(ref, bound)
  const storedOptions = options === undefined ? undefined : readOptions(options, `${name}.options`)
  const stored = { actor, message, ...encoded(bound, storedOptions?.format ?? 'json'), ...optional(storedOptions) }
  if (spec !== undefined && !spec.lanes.includes(storedOptions?.lane ?? 'normal'))
    throw invalid(`expected ${name}.options.lane to be one of ${spec.lanes.join(', ')}: the lanes of ${actor}`, name)
  return { actor, send: stored, spec }
}

/** Reads the normal form back. Throws `ConfigError` `INVALID_SCHEDULE`. */
export function readStoredSend(value: unknown, name: string): StoredSend {
  const object = readObject(value, name, STORED_KEYS)
  const { payload, body, options } = object
  const stored = options === undefined ? undefined : readOptions(options, `${name}.options`)
  if (body !== undefined && typeof body !== 'string') refuse(`${name}.body`, 'text in base64', body)
  const read = {
    actor: readBy((given) => checkName(given, 'actor'), object['actor'], `${name}.actor`),
    message: readBy((given) => checkName(given, 'message'), object['message'], `${name}.message`),
    ...(payload === undefined ? {} : { payload }),
    ...(body === undefined ? {} : { body }),
    ...optional(stored),
  }
  // What no worker could decode would become a dead letter each time.
  readBy(() => decode(CONTENT_TYPES[stored?.format ?? 'json'], bodyOf(read)), body, `${name}.body`)
  return read
}

/** The body of the message. */
export function bodyOf({ payload, body, options }: StoredSend): Uint8Array {
  if (body !== undefined) return Buffer.from(body, 'base64')
  return encode(CONTENT_TYPES[options?.format ?? 'json'], payload)
}

function target(send: unknown, payload: unknown, name: string, actors: KnownActors): { ref: Ref; payload: unknown } {
  if (typeof send === 'string') return { ref: named(send, `${name}.send`, actors), payload }
  if (isBound(send)) {
    if (payload === undefined) return { ref: send.ref, payload: send.payload }
    throw invalid(`${name}.payload means nothing beside send: ….with(…): leave one of them out`, `${name}.payload`)
  }
  if (isRef(send)) return { ref: send, payload }
  return refuse(`${name}.send`, 'a message such as mailer.digest.with({ … }) or "mailer.digest"', send)
}

type Ref = Pick<MessageRef<never, unknown>, 'actor' | 'message' | 'spec'>

/** `mailer.digest`; in an actor's own definition `digest` alone. */
function named(text: string, name: string, { own, known }: KnownActors): Ref {
  const [first = '', second] = text.split('.', 2)
  if (second === undefined && own === undefined) refuse(name, 'an actor and its message, like "mailer.digest"', text)
  const [actor, message] = second === undefined ? [own?.name, first] : [first, second]
  return {
    actor: readBy((given) => checkName(given, 'actor'), actor, name),
    message: readBy((given) => checkName(given, 'message'), message, name),
    spec: actor === own?.name ? own : known?.get(actor ?? ''),
  }
}

async function checkPayload({ actor, message, spec }: Ref, payload: unknown): Promise<void> {
  if (spec === undefined) return
  const found = spec.messages.get(message)
  if (found === undefined) {
    const known = [...spec.messages.keys()]
    const text = `expected one of the messages of actor ${actor} (${known.join(', ')}), got: ${JSON.stringify(message)}${didYouMean(message, known)}`
    throw new ActorError('UNKNOWN_MESSAGE', text, { data: { actor, message } })
  }
  if (found.schema === undefined) return
  const checked = await validate(found.schema, payload)
  if (checked.issues !== undefined) throw payloadError(actor, message, checked.issues)
}

function encoded(payload: unknown, format: 'json' | 'msgpack'): Pick<StoredSend, 'payload' | 'body'> {
  if (payload === undefined) return {}
  const bytes = encode(CONTENT_TYPES[format], payload)
  if (format === 'json') return { payload: JSON.parse(Buffer.from(bytes).toString()) as unknown }
  return { body: Buffer.from(bytes).toString('base64') }
}

function optional(options: StoredSendOptions | undefined): Pick<StoredSend, 'options'> {
  return options === undefined || Object.keys(options).length === 0 ? {} : { options }
}

function readOptions(value: unknown, name: string): StoredSendOptions {
  const object = readObject(value, name, OPTION_KEYS)
  const { lane, format, retry, headers } = object
  if (lane !== undefined && !LANES.includes(lane as Lane)) refuse(`${name}.lane`, LANES.join(', '), lane)
  const read: StoredSendOptions = {
    ...(lane === undefined ? {} : { lane: lane as Lane }),
    ...span(object, 'expires', name),
    ...span(object, 'deadline', name),
    ...span(object, 'keep', name),
    ...(retry === undefined ? {} : { retry: retry as RetryOverride }),
    ...(headers === undefined ? {} : { headers: headers as Record<string, string> }),
    ...(format === undefined ? {} : { format: readWord(format, `${name}.format`, ['json', 'msgpack'] as const) }),
  }
  // Everything else is refused as `send` would refuse it.
  readBy((options) => optionHeaders(options as SendOptions, () => 0), read, name)
  return read
}

function span<K extends 'expires' | 'deadline' | 'keep'>(
  object: Readonly<Record<string, unknown>>,
  key: K,
  name: string,
): { [key in K]?: string } {
  const value = object[key]
  if (value === undefined) return {}
  return { [key]: formatDuration(readBy(parseDuration, value, `${name}.${key}`)) } as { [key in K]?: string }
}

function isBound(value: unknown): value is BoundMessage & { ref: Ref } {
  return typeof value === 'object' && value !== null && 'ref' in value && isRef(value.ref)
}

function isRef(value: unknown): value is Ref {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<Ref>).actor === 'string' &&
    typeof (value as Partial<Ref>).message === 'string'
  )
}
