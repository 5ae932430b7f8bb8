/**
 * Actors as people define them: a name, and the messages that it accepts with a handler for each.
 *
 * The types of payload and result flow from here to `send`, `ask` and the handler. How: `P` is inferred from the schemas
 * (so that a handler's payload is typed by its schema) while `M` is inferred from the whole literal (so that results are
 * the handlers' own). Both from one argument, which is why `messages` has an intersection as its type.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'

import { resolveAutoscale, type Autoscale, type AutoscaleOptions } from './autoscaling.ts'
import { checkName, LANES, type Lane } from './broker/subjects.ts'
import { checkKeys, count, invalid, line, positive } from './checks.ts'
import type { Context, NoResources } from './context.ts'
import { ActorError, ConfigError, describe } from './errors.ts'
import type { EventLevel } from './events.ts'
import { callerOf } from './isolation/callSite.ts'
import { ISOLATION_KEYS, resolveIsolation, type Isolation, type IsolationOptions } from './isolation/options.ts'
import { checkLevel } from './observe/levels.ts'
import type { WorkerContext } from './place.ts'
import { isResource, type Resource, type ResourceMap, type ResourcesOf } from './resources.ts'
import { DEFAULT_RETRY, resolveRetry, type RetryOptions, type RetryRule } from './retryRule.ts'
import type { OwnSchedule } from './schedules/definition.ts'
import type { Duration } from './time/duration.ts'

/** A message's options and handler. */
export interface MessageOptions<Payload, Result, Resources = NoResources> {
  /** Any Standard Schema (zod, valibot, arktype): checked before the handler runs, and before sending where it is known. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what goes into a schema is inferred elsewhere (InputOf)
  payload?: StandardSchemaV1<any, Payload>
  /** Longest run of one attempt. After it `ctx.signal` aborts and the attempt has failed. Default: the actor's, else 5 minutes. */
  timeLimit?: Duration
  /** When a failed attempt is tried again. Default: the actor's. */
  retry?: RetryOptions | false
  /** One line for people; shown in the actor's NATS micro service. */
  description?: string
  handle(payload: Payload, ctx: Context<Resources>): Result
}

/** The short form: the handler alone. A method's type, so that the payload may be annotated. */
type ShortForm<Resources> = { handle(payload: unknown, ctx: Context<Resources>): unknown }['handle']
type MessageInput<Payload, Resources> = ShortForm<Resources> | MessageOptions<Payload, unknown, Resources>

export interface ActorOptions<Resources = NoResources> extends IsolationOptions {
  /** Called where its handlers run, with its resources open and before the first of them. Where it throws, the actor can't start. */
  onStart?(worker: WorkerContext<Resources>): unknown
  /** Called there after the last of them has ended, before its resources are closed. */
  onStop?(worker: WorkerContext<Resources>): unknown
  /** Longest time in which its resources are to be open and `onStart` is to end. Default 30 s. */
  startWithin?: Duration
  /** Messages that one worker runs at once. Default 10; of threads and processes, as many as the machine has cores. */
  concurrency?: number
  /**
   * Lets `concurrency` follow the work, between bounds: up by backlog, as far as that helps, down when it is calm. `true`: with the
   * bounds of its kind on this machine.
   */
  autoscale?: AutoscaleOptions | boolean
  /** Default 5 attempts, backoff from 1 s, doubled, to 10 minutes. */
  retry?: RetryOptions | false
  /** Longest run of one attempt of any of its messages. Default 5 minutes. */
  timeLimit?: Duration
  /** The lanes that the mailbox has. Default all three. */
  lanes?: readonly Lane[]
  /** Most messages that run at once in all workers together. Default none. With it lanes have no priority (DESIGN section 4). */
  limit?: number
  /** How long a worker owns a message without a heartbeat. Default 30 s; heartbeats come three times in it. */
  lease?: Duration
  /** A message in whose runs so many threads, processes or whole systems died is a dead letter, `poison`. Default 3. */
  crashes?: number
  /** A bounded mailbox refuses messages beyond these with `MAILBOX_FULL`. Default: no bound. */
  mailbox?: { maxMessages?: number; maxBytes?: number; dedupeWindow?: Duration }
  /** Which events of its messages are published: `off`, `failures` or `all`. Default: the setting `events`. */
  events?: EventLevel
  /**
   * Schedules of its own messages, by their ids: `{ nightly: { cron: '0 3 * * *', send: 'sweep' } }`. Put when a system that runs the
   * actor starts, and by `troupe deploy`; one that was edited by hand since is left as it is, and told of.
   */
  schedules?: Readonly<Record<string, OwnSchedule>>
  /** One line for people. */
  description?: string
}

/** A message that can be sent: `mailer.welcome`. */
export interface MessageRef<Input, Result> {
  readonly actor: string
  readonly message: string
  /** The definition that it comes from; absent in an `actorRef`. */
  readonly spec: ActorSpec | undefined
  /** The handler itself, for plain unit tests. Throws `ActorError` `NO_CODE` where only a reference is held. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a handler takes what its schema makes of the input
  handle(payload: any, ctx: Context): Result
  /** The message with its payload, for schedules and lists. */
  with(payload: Input): BoundMessage<Input, Result>
}

export interface BoundMessage<Input = unknown, Result = unknown> {
  readonly ref: MessageRef<Input, Result>
  readonly payload: Input
}

// oxlint-disable-next-line typescript/no-explicit-any -- inference only
type InputOf<M> = M extends { payload: StandardSchemaV1<infer I, any> } ? I : PayloadOf<M>
// oxlint-disable-next-line typescript/no-explicit-any -- inference only
type PayloadOf<M> = M extends (payload: infer P, ...rest: any[]) => any
  ? P
  : // oxlint-disable-next-line typescript/no-explicit-any -- inference only
    M extends { handle(payload: infer P, ...rest: any[]): any }
    ? P
    : never
// oxlint-disable-next-line typescript/no-explicit-any -- inference only
type ReturnOf<M> = M extends (...args: any[]) => infer R ? R : M extends { handle(...args: any[]): infer R } ? R : never

/**
 * What inference lets through and should not: a key that is no option, and a handler that was annotated with another payload
 * than its schema gives. Both then have to be `never`.
 */
type Fitting<M> = {
  readonly [K in keyof M]: M[K] extends { handle: unknown } ? { readonly [Key in WrongKey<M[K]>]: never } : unknown
}
type WrongKey<Message> =
  | Exclude<keyof Message, keyof MessageOptions<unknown, unknown>>
  | (IsFitting<Message> extends false ? 'payload' : never)
// oxlint-disable-next-line typescript/no-explicit-any -- inference only
type IsFitting<M> = M extends { payload: StandardSchemaV1<any, infer Output> }
  ? [Output] extends [PayloadOf<M>]
    ? true
    : false
  : true

/** What `defineActor` returns: each message under its name. */
export type Actor<Messages> = { readonly [SPEC]: ActorSpec } & {
  readonly [K in keyof Messages]: MessageRef<InputOf<Messages[K]>, ReturnOf<Messages[K]>>
}
// oxlint-disable-next-line typescript/no-explicit-any -- any actor
export type AnyActor = { readonly [SPEC]: ActorSpec } & Record<string, any>

/** An actor's definition, checked and with its defaults: what the runtime works with. */
export interface ActorSpec {
  readonly name: string
  readonly concurrency: number | undefined
  readonly autoscale: Autoscale | undefined
  readonly lanes: readonly Lane[]
  readonly limit: number | undefined
  readonly leaseMs: number | undefined
  /** Crashes after which a message is poison. */
  readonly crashes: number
  /** Where its handlers run; undefined: on this process's event loop. */
  readonly isolation: Isolation | undefined
  readonly resources: ReadonlyMap<string, Resource<unknown>>
  readonly onStart: Hook | undefined
  readonly onStop: Hook | undefined
  readonly startWithinMs: number
  readonly maxMessages: number | undefined
  readonly maxBytes: number | undefined
  readonly dedupeWindowMs: number | undefined
  /** Undefined: as the setting says. */
  readonly events: EventLevel | undefined
  /** As they are declared; checked when they are put. */
  readonly schedules: Readonly<Record<string, unknown>>
  readonly description: string | undefined
  /** Its workers are no part of Troupe (declared.ts): here it is sent to, and its timer runs. */
  readonly isElsewhere: boolean
  readonly messages: ReadonlyMap<string, MessageSpec>
}

type Hook = (worker: WorkerContext) => unknown

export interface MessageSpec {
  readonly name: string
  readonly schema: StandardSchemaV1 | undefined
  readonly timeLimitMs: number | undefined
  readonly retry: RetryRule
  readonly description: string | undefined
  readonly handle: (payload: unknown, ctx: Context) => unknown
}

const SPEC = Symbol.for('troupe.actor')
const ACTOR_KEYS = [
  'concurrency',
  'autoscale',
  'retry',
  'timeLimit',
  'lanes',
  'limit',
  'lease',
  'crashes',
  'mailbox',
  'events',
  'schedules',
  'description',
  'resources',
  'onStart',
  'onStop',
  'startWithin',
  'messages',
  ...ISOLATION_KEYS,
]
const START_WITHIN_MS = 30_000
const DEFAULT_CRASHES = 3
const MESSAGE_KEYS = ['payload', 'timeLimit', 'retry', 'description', 'handle']
const MAILBOX_KEYS = ['maxMessages', 'maxBytes', 'dedupeWindow']

/** Defines an actor. Throws `ConfigError` (`INVALID_NAME`, `INVALID_OPTION`) with what was expected and what came. */
export function defineActor<P, M, R extends ResourceMap = NoResources>(
  name: string,
  options: { resources?: R } & ActorOptions<ResourcesOf<R>> & {
      messages: { [K in keyof P]: MessageInput<P[K], ResourcesOf<R>> } & M & Fitting<M>
    },
): Actor<M> {
  return actorOf(actorSpec(checkName(name, 'actor'), options, () => callerOf(defineActor)))
}

/** An actor of a specification. */
export function actorOf<M>(spec: ActorSpec): Actor<M> {
  const refs = [...spec.messages.values()].map(
    (message) => [message.name, messageRef(spec.name, message.name, spec)] as const,
  )
  // Without a prototype, since a message may be called `constructor`.
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(refs), { [SPEC]: spec })) as Actor<M>
}

/**
 * A reference for senders that don't hold the actor's code: `actorRef<typeof import('./mailer.ts').mailer>('mailer')`.
 * Payloads are not checked against the schema before they leave; the worker does that.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says what the actor is: there is nothing to infer it from
export function actorRef<A = Record<string, MessageRef<unknown, unknown>>>(name: string): A {
  checkName(name, 'actor')
  const refs = new Map<string, MessageRef<unknown, unknown>>()
  return new Proxy(Object.create(null), {
    get(_target, key) {
      // `then` is asked of everything that is awaited.
      if (typeof key === 'symbol' || key === 'then') return undefined
      const ref = refs.get(key) ?? messageRef(name, checkName(key, 'message'), undefined)
      refs.set(key, ref)
      return ref
    },
  }) as A
}

/** The definition behind an actor. Throws `ConfigError` `NOT_AN_ACTOR`. */
export function specOf(actor: unknown): ActorSpec {
  if (isActor(actor)) return actor[SPEC]
  throw new ConfigError('NOT_AN_ACTOR', `expected an actor made by defineActor(…), got: ${describe(actor)}`)
}

export function isActor(value: unknown): value is AnyActor {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, SPEC)
}

function messageRef(actor: string, message: string, spec: ActorSpec | undefined): MessageRef<unknown, unknown> {
  const ref: MessageRef<unknown, unknown> = {
    actor,
    message,
    spec,
    handle(payload, ctx) {
      const found = spec?.messages.get(message)
      if (found !== undefined) return found.handle(payload, ctx)
      throw new ActorError(
        'NO_CODE',
        `expected the code of ${actor}.${message}, but only a reference (actorRef) is held here`,
      )
    },
    with: (payload) => ({ ref, payload }),
  }
  return Object.freeze(ref)
}

type ActorInput = ActorOptions & { resources?: ResourceMap; messages: Record<string, unknown> }

function actorSpec(name: string, options: ActorInput, caller: () => string | undefined): ActorSpec {
  if (typeof options !== 'object' || options === null) throw invalid(name, 'options with messages', options)
  checkKeys(options, ACTOR_KEYS, name)
  const { messages, mailbox = {}, lanes = LANES } = options
  if (typeof mailbox !== 'object' || mailbox === null)
    throw invalid(`${name}.mailbox`, `an object with ${MAILBOX_KEYS.join(', ')}`, mailbox)
  checkKeys(mailbox, MAILBOX_KEYS, `${name}.mailbox`)
  if (typeof messages !== 'object' || messages === null || Object.keys(messages).length === 0) {
    throw invalid(`${name}.messages`, 'at least one message with a handler', messages)
  }
  if (!Array.isArray(lanes) || lanes.length === 0 || lanes.some((lane) => !LANES.includes(lane as Lane))) {
    throw invalid(`${name}.lanes`, `a list of ${LANES.join(', ')}`, lanes)
  }
  const entries = Object.entries(messages).map(([key, input]) => [key, messageSpec(name, key, input, options)] as const)
  return {
    name,
    concurrency: count(options.concurrency, `${name}.concurrency`),
    autoscale: resolveAutoscale(options.autoscale, `${name}.autoscale`),
    lanes: LANES.filter((lane) => lanes.includes(lane)),
    limit: count(options.limit, `${name}.limit`),
    leaseMs: positive(options.lease, `${name}.lease`),
    crashes: count(options.crashes, `${name}.crashes`) ?? DEFAULT_CRASHES,
    isolation: resolveIsolation(name, options, caller),
    resources: resourcesIn(options.resources, `${name}.resources`),
    onStart: hook(options, 'onStart', name),
    onStop: hook(options, 'onStop', name),
    startWithinMs: positive(options.startWithin, `${name}.startWithin`) ?? START_WITHIN_MS,
    maxMessages: count(mailbox.maxMessages, `${name}.mailbox.maxMessages`),
    maxBytes: count(mailbox.maxBytes, `${name}.mailbox.maxBytes`),
    dedupeWindowMs: positive(mailbox.dedupeWindow, `${name}.mailbox.dedupeWindow`),
    events: options.events === undefined ? undefined : checkLevel(options.events, `${name}.events`),
    schedules: schedulesOf(options.schedules, `${name}.schedules`),
    description: line(options.description, `${name}.description`),
    isElsewhere: false,
    messages: new Map(entries),
  }
}

function messageSpec(actor: string, key: string, input: unknown, defaults: ActorOptions): MessageSpec {
  const name = checkName(key, 'message')
  const path = `${actor}.${name}`
  const options = typeof input === 'function' ? { handle: input as MessageSpec['handle'] } : input
  if (typeof options !== 'object' || options === null)
    throw invalid(path, 'a handler, or options with a handler', input)
  checkKeys(options, MESSAGE_KEYS, path)
  const { payload, timeLimit, retry, description, handle } = options as Partial<MessageOptions<unknown, unknown>>
  if (typeof handle !== 'function') throw invalid(`${path}.handle`, 'a function (payload, ctx)', handle)
  if (payload !== undefined && !isSchema(payload)) {
    throw invalid(`${path}.payload`, 'a Standard Schema (zod 3.24+, valibot 1, arktype 2, …)', payload)
  }
  const actorRetry = resolveRetry(defaults.retry, DEFAULT_RETRY, `${actor}.retry`)
  return {
    name,
    schema: payload,
    timeLimitMs: positive(timeLimit ?? defaults.timeLimit, `${path}.timeLimit`),
    retry: resolveRetry(retry, actorRetry, `${path}.retry`),
    description: line(description, `${path}.description`),
    handle: handle.bind(options),
  }
}

function resourcesIn(given: ResourceMap | undefined, path: string): ReadonlyMap<string, Resource<unknown>> {
  if (given === undefined) return new Map()
  if (typeof given !== 'object' || given === null) throw invalid(path, 'an object with resources by name', given)
  const wrong = Object.entries(given).find(([, value]) => !isResource(value))
  if (wrong === undefined) return new Map(Object.entries(given))
  throw invalid(`${path}.${wrong[0]}`, 'made by resource({ open, close })', wrong[1])
}

function hook(options: ActorInput, key: 'onStart' | 'onStop', name: string): Hook | undefined {
  const { [key]: given }: { onStart?: unknown; onStop?: unknown } = options
  if (given === undefined) return undefined
  if (typeof given !== 'function') throw invalid(`${name}.${key}`, 'a function', given)
  return (given as Hook).bind(options)
}

function schedulesOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (value === undefined) return {}
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw invalid(name, 'an object with schedules by their ids', value)
}

function isSchema(value: unknown): boolean {
  // arktype's schemas are functions.
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value
}
