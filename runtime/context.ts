/**
 * What a handler holds while it runs one message.
 *
 * One object per message on the fast path: what costs something (headers as an object, the signal, the logger) is made
 * when it is first asked for.
 */
import type { NatsConnection } from '@nats-io/transport-node'

import type { HeaderEntry } from './broker/headers.ts'
import type { Sender } from './client/sender.ts'
import type { AbortedError, Failure } from './errors.ts'
import type { Loss } from './isolation/crash.ts'
import type { Logger } from './log.ts'
import type { Message } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { RunOccurrence } from './schedules/accounts.ts'
import type { ScheduleContext } from './schedules/context.ts'
import { systemClock, type Clock } from './time/clock.ts'

export interface Context<Resources = NoResources> {
  /** The message's id, the same through all attempts. */
  readonly id: string
  readonly actor: string
  readonly message: string
  /** Number of this attempt, from 1. */
  readonly attempt: number
  /** All headers as they came. */
  readonly headers: Readonly<Record<string, string>>
  /** Id of the message that began this tree; its own id if it did. */
  readonly root: string
  /** Id of the message whose handler sent this one. */
  readonly parent: string | undefined
  /** When it was to be sent, for a delayed one. */
  readonly planned: Date | undefined
  /** When it was first stored. */
  readonly sent: Date
  /** For a message that a schedule made: which one, for when, and the run before it. */
  readonly schedule: ScheduleContext | undefined
  /** Name of the worker. */
  readonly worker: string
  /** Aborts at the time limit, on cancel, at the end of a shutdown, and when the lease is lost; `reason` is an `AbortedError`. */
  readonly signal: AbortSignal
  /** Whether the system is stopping: long work may stop at a good place and return `snooze(0)`. */
  readonly stopping: boolean
  /** Milliseconds until the time limit or the message's deadline, whichever is nearer. */
  remaining(): number
  /** The time, by the clock that the runtime uses: tests can move it. */
  now(): Date
  /** Tells those who watch `troupe.event.<actor>.<message>.progress` how far it is. Not stored. */
  progress(value: unknown): void
  /** A logger whose lines carry actor, message, id and attempt. */
  readonly log: Logger
  /** Sends a message as a child of this one: root, parent and trace are passed on. */
  readonly send: Sender['send']
  /** Sends a child and waits for its outcome. */
  readonly ask: Sender['ask']
  /** What the actor named in `resources`, open. */
  readonly resources: Resources
  /** The NATS connection of this system. */
  readonly connection: NatsConnection
}

// oxlint-disable-next-line typescript/no-empty-object-type -- what nothing was named in: the same as resources of no names
export type NoResources = {}

/** What a context needs of its worker. */
export interface ContextHost {
  readonly worker: string
  readonly clock: Clock
  readonly log: Logger
  readonly connection: NatsConnection
  readonly stopping: boolean
  /** By name, open. */
  readonly resources: Readonly<Record<string, unknown>>
  /** A sender whose messages are children of this one. */
  senderFor(message: Message): ChildSender
  scheduleOf(occurrence: RunOccurrence): ScheduleContext
  progress(run: RunContext, value: unknown): void
}

/** The span of a run: as headers, and as fields of log lines. */
export interface RunTrace {
  readonly headers: readonly HeaderEntry[]
  readonly ids: Readonly<Record<string, string>>
}

/** How a run ended. */
export interface RunEnd {
  readonly kind: Outcome['kind']
  readonly failure?: Failure
  readonly stack?: string | undefined
}

/** What of a sender a handler has. */
export type ChildSender = Pick<Sender, 'send' | 'ask'>

export class RunContext implements Context {
  readonly #host: ContextHost
  /** The message as read; `id`, `attempt` and the like come from it. */
  readonly source: Message
  /** Monotonic ms by which it must be over however long it waits first: the message's deadline. */
  readonly #latestAt: number
  #limitAt: number
  /** A broadcast: of an isolated actor it runs in every thread or process. */
  isForAll = false
  /** The next crash makes it poison: nothing else is to run beside it. */
  isSuspect = false
  /** What ran it is gone, and this is what is known of its end. */
  loss: Loss | undefined
  /** A live call or broadcast: nothing of it is stored. */
  isLive = false
  /** The span that it runs under, where there is one. */
  trace: RunTrace | undefined
  /** Told once, when the run has ended. */
  onEnd: ((end: RunEnd) => void) | undefined
  /** What was looked up of the schedule that made this message. */
  occurrence: RunOccurrence | undefined
  #schedule: ScheduleContext | undefined
  #controller: AbortController | undefined
  #aborted: AbortedError | undefined
  #abortListeners: Set<(reason: AbortedError) => void> | undefined
  #sender: ChildSender | undefined
  #log: Logger | undefined
  #headers: Record<string, string> | undefined

  constructor(host: ContextHost, source: Message, limitAt: number, latestAt = Infinity) {
    this.#host = host
    this.source = source
    this.#limitAt = limitAt
    this.#latestAt = latestAt
  }

  /** Monotonic ms at which the run must be over. */
  get limitAt(): number {
    return this.#limitAt
  }
  /** It waits for a place to run: its time limit begins when it has one. Returns what to call then. */
  holdLimit(): () => void {
    const leftMs = this.remaining()
    this.#limitAt = this.#latestAt
    return () => (this.#limitAt = Math.min(systemClock.monotonic() + leftMs, this.#latestAt))
  }

  get id(): string {
    return this.source.id
  }
  get actor(): string {
    return this.source.actor
  }
  get message(): string {
    return this.source.name
  }
  get attempt(): number {
    return this.source.attempt
  }
  get headers(): Readonly<Record<string, string>> {
    return (this.#headers ??= this.source.headers.toObject())
  }
  get root(): string {
    return this.source.root
  }
  get parent(): string | undefined {
    return this.source.parent
  }
  get planned(): Date | undefined {
    return this.source.planned === undefined ? undefined : new Date(this.source.planned)
  }
  get sent(): Date {
    return new Date(this.source.sentAt)
  }
  get schedule(): ScheduleContext | undefined {
    return this.occurrence && (this.#schedule ??= this.#host.scheduleOf(this.occurrence))
  }
  get worker(): string {
    return this.#host.worker
  }
  get stopping(): boolean {
    return this.#host.stopping
  }
  get connection(): NatsConnection {
    return this.#host.connection
  }
  get resources(): Readonly<Record<string, unknown>> {
    return this.#host.resources
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#aborted)
    }
    return this.#controller.signal
  }

  /** Why it was told to stop, if it was. */
  get aborted(): AbortedError | undefined {
    return this.#aborted
  }

  /** Tells the handler to stop; the first reason stands. */
  abort(reason: AbortedError): void {
    if (this.#aborted) return
    this.#aborted = reason
    this.#controller?.abort(reason)
    for (const tell of this.#abortListeners ?? []) tell(reason)
  }

  /** For whoever runs it elsewhere: `tell` is called once, at once where it was told to stop before. Returns what ends that. */
  whenAborted(tell: (reason: AbortedError) => void): () => void {
    const listeners = (this.#abortListeners ??= new Set())
    listeners.add(tell)
    if (this.#aborted !== undefined) tell(this.#aborted)
    return () => void listeners.delete(tell)
  }

  remaining(): number {
    return Math.max(0, this.#limitAt - systemClock.monotonic())
  }
  now(): Date {
    return new Date(this.#host.clock.now())
  }
  progress(value: unknown): void {
    this.#host.progress(this, value)
  }

  get log(): Logger {
    const { id, actor, name, attempt } = this.source
    return (this.#log ??= this.#host.log.child({ actor, message: name, id, attempt, ...this.trace?.ids }))
  }
  // Bound, so that `const { send } = ctx` works as people write it.
  get send(): Sender['send'] {
    const sender = this.#children()
    return sender.send.bind(sender)
  }
  get ask(): Sender['ask'] {
    const sender = this.#children()
    return sender.ask.bind(sender)
  }

  /** The message as what it makes inherits from it: under its run's own span, where there is one. */
  get carried(): Message {
    const { source, trace } = this
    return trace === undefined ? source : { ...source, headers: source.headers.with(trace.headers) }
  }

  #children(): ChildSender {
    return (this.#sender ??= this.#host.senderFor(this.carried))
  }
}
