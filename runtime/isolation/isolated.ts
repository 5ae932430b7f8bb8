/**
 * An isolated actor in its system: its definition with handlers that run in a pool, and what its members ask of the system.
 *
 * The one point where a run leaves this process is the handler itself: middleware, schemas, leases and outcomes are here.
 */
import { availableParallelism } from 'node:os'

import type { ActorSpec } from '../actor.ts'
import type { NatsSettings } from '../broker/dial.ts'
import { SAFE_SHARE } from '../broker/leases.ts'
import type { Sender } from '../client/sender.ts'
import type { SentMessage } from '../client/sent.ts'
import type { Target } from '../client/store.ts'
import type { Context, RunContext } from '../context.ts'
import { ConfigError, toFailure, type AbortedError } from '../errors.ts'
import type { SystemEvent, SystemEvents } from '../events.ts'
import type { Telling } from '../flow/telling.ts'
import type { Logger } from '../log.ts'
import type { Message } from '../message.ts'
import type { RunOccurrence } from '../schedules/accounts.ts'
import { systemClock, type Clock } from '../time/clock.ts'
import { isPlain } from './carry.ts'
import { fromErrorData, toErrorData } from './errorData.ts'
import type { Member } from './member.ts'
import type { Isolation } from './options.ts'
import { Pool } from './pool.ts'
import { messageOf, type Call, type FromMember, type TargetData } from './protocol.ts'

export interface IsolatedParts {
  readonly worker: string
  readonly concurrency: number
  readonly graceMs: number
  readonly leaseMs: number
  /** The time that handlers see. */
  readonly clock: Clock
  readonly log: Logger
  readonly nats: NatsSettings
  /** Values that stand for resources of these names. */
  readonly given: Readonly<Record<string, unknown>>
  /** A sender whose messages are children of this one; of none without one. */
  senderFor(message: Message | undefined): Sender
  /** The run before that one, of its schedule. */
  runBefore(occurrence: RunOccurrence): Promise<unknown>
  tellSystem<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void
}

/** What the pool tells of messages goes where their worker's does, which is made later. */
export interface IsolatedHost {
  readonly telling: Telling
  /** There are more or fewer places for messages than before. */
  onCapacity(): void
  /** No member is left, and none starts. */
  fail(error: Error): void
}

/** Messages that an isolated actor runs at once: as many as it says, else as it has workers, else as the machine has cores. */
export function isolatedConcurrency({ concurrency }: ActorSpec, { workers }: Isolation): number {
  return concurrency ?? workers ?? availableParallelism()
}

export class IsolatedActor {
  readonly pool: Pool
  /** Its definition, with handlers that run in the pool. */
  readonly spec: ActorSpec
  readonly #parts: IsolatedParts
  #host: IsolatedHost | undefined

  constructor(spec: ActorSpec, isolation: Isolation, parts: IsolatedParts) {
    this.#parts = parts
    this.pool = this.#pool(spec, isolation)
    const messages = Array.from(spec.messages, ([name, message]) => {
      const handle = (payload: unknown, ctx: Context): unknown => this.pool.run(name, payload, ctx as RunContext)
      return [name, { ...message, handle }] as const
    })
    this.spec = { ...spec, messages: new Map(messages) }
  }

  /** Before it starts. */
  attach(host: IsolatedHost): void {
    this.#host = host
  }

  #pool(spec: ActorSpec, isolation: Isolation): Pool {
    const actor = spec.name
    const { worker, concurrency, log, clock, nats } = this.#parts
    const { module, kind, connection, memoryLimitBytes, recycle } = isolation
    const tellsMemory = recycle?.aboveBytes !== undefined || (kind === 'thread' && memoryLimitBytes !== undefined)
    const given = carriedResources(spec, this.#parts.given)
    const { startWithinMs } = spec
    const start = { actor, module, worker, tellsMemory, startWithinMs, given, nats: connection ? nats : undefined }
    return new Pool(
      { actor, isolation, worker, concurrency, start },
      {
        log,
        skewMs: () => Math.round(clock.now() - systemClock.now()),
        graceFor: (reason) => this.#graceFor(reason),
        onSaid: (member, message) => this.#heard(member, message),
        onKill: (member, { ctx }) => this.#told('killed', ctx.source, { member: member.name, reason: reasonOf(ctx) }),
        onStarted: (member) => this.#tellSystem(actor, 'member-started', member, { tookMs: Math.round(member.ageMs) }),
        onEnded: (member, why, report) =>
          this.#tellSystem(actor, 'member-ended', member, { why, ...(report === undefined ? {} : { report }) }),
        onCapacity: () => this.#host?.onCapacity(),
        onHopeless: (error) => this.#host?.fail(error),
      },
    )
  }

  /** A lost lease ends with its member before another worker may have begun. */
  #graceFor({ why }: AbortedError): number {
    const { graceMs, leaseMs } = this.#parts
    return why === 'lease-lost' ? Math.min(graceMs, (leaseMs * (1 - SAFE_SHARE)) / 2) : graceMs
  }

  #heard(member: Member, said: FromMember): void {
    if (said.kind === 'log') this.#parts.log[said.record.level](said.record.message, said.record.fields)
    else if (said.kind === 'call') void this.#answer(member, said)
    else if (said.kind === 'leak') this.#leaked(said)
  }

  async #answer(member: Member, call: Extract<FromMember, { kind: 'call' }>): Promise<void> {
    try {
      const value = await this.#act(call)
      member.send({ kind: 'answer', call: call.call, value })
    } catch (error) {
      member.send({ kind: 'answer', call: call.call, error: toErrorData(error) })
    }
  }

  #act(call: Extract<FromMember, { kind: 'call' }>): Promise<unknown> {
    if (call.ask === 'previous') return this.#parts.runBefore(call.occurrence)
    return sent(this.#parts.senderFor(call.message && messageOf(call.message)), call)
  }

  /** As in this process: a bug of the handler's, but no reason to end anything. */
  #leaked({ about, error: data }: Extract<FromMember, { kind: 'leak' }>): void {
    const error = fromErrorData(data)
    const { log } = this.#parts
    if (about === undefined) return log.error('a promise was rejected and nobody handled it', { error })
    const { name: message, ...rest } = about
    log.error('a handler left a rejected promise behind', { ...rest, message, error })
    this.#told('leak', about, { failure: toFailure(error) })
  }

  #told(...told: Parameters<Telling['tell']>): void {
    this.#host?.telling.tell(...told)
  }

  #tellSystem<K extends 'member-started' | 'member-ended'>(
    actor: string,
    event: K,
    { name, pid }: Member,
    detail: Omit<SystemEvents[K], keyof SystemEvent | 'actor' | 'member' | 'pid'>,
  ): void {
    const data = { actor, member: name, ...(pid === undefined ? {} : { pid }), ...detail }
    this.#parts.log.debug(event, data)
    this.#parts.tellSystem(event, data as unknown as Omit<SystemEvents[K], keyof SystemEvent>)
  }
}

/** Of the values that stand for resources, those that this actor names. Throws `ConfigError` `NOT_CARRIED`. */
function carriedResources({ name, resources }: ActorSpec, given: IsolatedParts['given']): Record<string, unknown> {
  const own = Object.entries(given).filter(([key]) => resources.has(key))
  const stuck = own.find(([, value]) => !isPlain(value))
  if (stuck === undefined) return Object.fromEntries(own)
  const text = `expected resource ${stuck[0]} to be data that can be given to the threads or processes of actor ${name}, but it is code, or an instance of a class. Let the actor open it there.`
  throw new ConfigError('NOT_CARRIED', text, { data: { actor: name, resource: stuck[0] } })
}

function reasonOf({ aborted }: RunContext): string {
  return aborted?.message ?? 'it was told to end'
}

/** Through the system's connection: as the handler would itself. */
async function sent(sender: Sender, call: Exclude<Call, { ask: 'previous' }>): Promise<unknown> {
  switch (call.ask) {
    case 'send': {
      const stored = await sender.send(targetOf(call.to), call.payload, call.options)
      return (stored as unknown as SentMessage).place
    }
    case 'ask':
      return sender.ask(targetOf(call.to), call.payload, call.options)
    case 'result':
      return sender.sentBefore(call.sent).result(call.timeout === undefined ? {} : { timeout: call.timeout })
    case 'cancel':
      return sender.sentBefore(call.sent).cancel(call.options)
    default:
      return call satisfies never
  }
}

/** Its payload was checked where its schema is. */
function targetOf({ actor, message, spec }: TargetData): never {
  const target: Target = {
    actor,
    message,
    spec: spec === undefined ? undefined : ({ messages: new Map(), resources: new Map(), ...spec } as ActorSpec),
  }
  return target as never
}
