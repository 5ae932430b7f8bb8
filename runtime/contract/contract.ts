/**
 * The contract of actors: all that a service needs to know which sends to them and does not hold their code. Pure data, made from
 * definitions; TypeScript types (typescript.ts) and AsyncAPI (asyncapi.ts) are made from it.
 */
import type { ActorSpec, MessageSpec } from '../actor.ts'
import type { Application } from '../application.ts'
import { Subjects, type Lane } from '../broker/subjects.ts'
import type { JsonSchema, SchemaText } from '../jsonSchema.ts'

export interface Contract {
  /** Version of this format. */
  readonly contract: 1
  readonly application: Application
  readonly namespace: string
  readonly actors: readonly ActorContract[]
}

export interface ActorContract {
  readonly name: string
  readonly description?: string | undefined
  /** The stream that holds its mailbox. */
  readonly stream: string
  /** Its NATS micro service. */
  readonly service: string
  readonly lanes: readonly Lane[]
  readonly limits: Limits
  /** Those that have places in braces are filled with one token each, percent-encoded. */
  readonly subjects: {
    readonly cancel: string
    readonly dead: string
    readonly event: string
    readonly result: string
  }
  readonly messages: readonly MessageContract[]
}

export interface Limits {
  /** Messages that one worker runs at once. */
  readonly concurrency: number
  /** Messages that all workers run at once. */
  readonly runningAtOnce?: number | undefined
  /** How long a message stays with a worker that says nothing. */
  readonly leaseMs: number
  /** How long the same id is the same message. */
  readonly dedupeWindowMs: number
  /** Beyond these the mailbox refuses. */
  readonly maxMessages?: number | undefined
  readonly maxBytes?: number | undefined
}

export interface MessageContract {
  readonly name: string
  readonly description?: string | undefined
  /** JSON Schema of the payload, a document of its own; absent where there is none. */
  readonly payload?: JsonSchema | undefined
  /** Why there is none. */
  readonly payloadMissing?: string | undefined
  /** Longest run of one attempt. */
  readonly timeLimitMs: number
  readonly retry: {
    readonly attempts: number
    readonly baseMs: number
    readonly factor: number
    readonly maxMs: number
  }
  readonly subjects: { readonly [Kind in Lane | 'later' | 'call' | 'broadcast']?: string }
}

/** What holds where an actor's definition says nothing. */
export interface ContractSettings {
  readonly namespace: string
  readonly application: Application
  readonly concurrency: number
  readonly leaseMs: number
  readonly dedupeWindowMs: number
  readonly timeLimitMs: number
  readonly maxMessages?: number | undefined
  readonly maxBytes?: number | undefined
}

/** Finds the JSON Schema of a message; asynchronous work is done before the contract is made. */
export type SchemaOf = (actor: string, message: string) => SchemaText

export function contractOf(specs: readonly ActorSpec[], settings: ContractSettings, schemaOf: SchemaOf): Contract {
  const subjects = new Subjects(settings.namespace)
  const { application, namespace } = settings
  return {
    contract: 1,
    application,
    namespace,
    actors: specs.map((spec) => actorContract(spec, settings, subjects, schemaOf)),
  }
}

function actorContract(
  spec: ActorSpec,
  settings: ContractSettings,
  subjects: Subjects,
  schemaOf: SchemaOf,
): ActorContract {
  const { name, description, lanes } = spec
  return {
    name,
    description,
    stream: subjects.mailboxStream(name),
    service: subjects.service(name),
    lanes,
    limits: limitsOf(spec, settings),
    subjects: {
      cancel: subjects.cancel(name),
      dead: subjects.form('dead', name, ['message', 'id']),
      event: subjects.form('event', name, ['message', 'event']),
      result: subjects.form('result', name, ['sender', 'id']),
    },
    messages: Array.from(spec.messages.values(), (message) =>
      messageContract(spec, message, settings, subjects, schemaOf(name, message.name)),
    ),
  }
}

function limitsOf(spec: ActorSpec, settings: ContractSettings): Limits {
  return {
    concurrency: spec.concurrency ?? settings.concurrency,
    leaseMs: spec.leaseMs ?? settings.leaseMs,
    dedupeWindowMs: spec.dedupeWindowMs ?? settings.dedupeWindowMs,
    runningAtOnce: spec.limit,
    maxMessages: spec.maxMessages ?? settings.maxMessages,
    maxBytes: spec.maxBytes ?? settings.maxBytes,
  }
}

function messageContract(
  { name: actor, lanes }: ActorSpec,
  { name, description, timeLimitMs, retry }: MessageSpec,
  settings: ContractSettings,
  subjects: Subjects,
  { schema, missing }: SchemaText,
): MessageContract {
  const { baseMs, factor, maxMs } = retry.backoff
  return {
    name,
    description,
    payload: schema,
    payloadMissing: missing,
    timeLimitMs: timeLimitMs ?? settings.timeLimitMs,
    retry: { attempts: retry.attempts, baseMs, factor, maxMs },
    subjects: {
      ...Object.fromEntries(lanes.map((lane) => [lane, subjects.message(actor, name, lane)])),
      later: subjects.later(actor, name),
      call: subjects.call(actor, name),
      broadcast: subjects.broadcast(actor, name),
    },
  }
}
