/**
 * What is said between a system and its threads and child processes ("members"). Everything crosses by structured clone.
 *
 * A run has a number in its member, a call has a number in its member too. A member that has said `ready` gets runs; it says
 * one of `done`, `verdict`, `threw` for each, unless it dies. What it says of a run after that is about code that the handler
 * left behind.
 */
import type { ActorSpec } from '../actor.ts'
import type { NatsSettings } from '../broker/dial.ts'
import type { HeaderEntry } from '../broker/headers.ts'
import { HeaderBlock } from '../broker/headers.ts'
import type { SendOptions } from '../client/options.ts'
import type { SentPlace } from '../client/sent.ts'
import type { AbortCause } from '../errors.ts'
import type { About } from '../flow/telling.ts'
import type { LogRecord } from '../log.ts'
import type { Message } from '../message.ts'
import type { RunOccurrence } from '../schedules/accounts.ts'
import type { Duration } from '../time/duration.ts'
import type { ErrorData } from './errorData.ts'

/** What a member is started with. */
export interface MemberStart {
  readonly actor: string
  /** URL of the module that exports the actor. */
  readonly module: string
  /** Name of the worker, as handlers see it. */
  readonly worker: string
  /** The handlers' clock minus the machine's: ms. */
  readonly skewMs: number
  /** Whether to say after each run how much memory is held. */
  readonly tellsMemory: boolean
  /** Longest time until its resources are open: ms. */
  readonly startWithinMs: number
  /** Values that stand for resources of these names. */
  readonly given: Readonly<Record<string, unknown>>
  /** For a connection of its own, where the actor asks for one. */
  readonly nats: NatsSettings | undefined
}

/** A message as it crosses: its headers as a list. */
export type MessageData = Omit<Message, 'headers'> & { readonly headers: readonly HeaderEntry[] }

export type ToMember =
  | { readonly kind: 'start'; readonly start: MemberStart }
  | {
      readonly kind: 'run'
      readonly run: number
      readonly message: MessageData
      readonly payload: unknown
      /** What was looked up of the schedule that made it. */
      readonly occurrence: RunOccurrence | undefined
      /** Until its limit: ms. */
      readonly limitMs: number
    }
  | { readonly kind: 'abort'; readonly run: number; readonly why: AbortCause; readonly text: string }
  | { readonly kind: 'answer'; readonly call: number; readonly value?: unknown; readonly error?: ErrorData }
  | { readonly kind: 'clock'; readonly skewMs: number }
  | { readonly kind: 'stopping' }
  /** Runs nothing any more: close what is open, and end. */
  | { readonly kind: 'end' }

export type FromMember =
  | { readonly kind: 'ready' }
  /** It cannot run this actor. It ends. */
  | { readonly kind: 'unready'; readonly error: ErrorData }
  | { readonly kind: 'done'; readonly run: number; readonly value: unknown; readonly heldBytes?: number }
  /** Done, but its result can't be carried anywhere. */
  | { readonly kind: 'untold'; readonly run: number; readonly error: ErrorData; readonly heldBytes?: number }
  | { readonly kind: 'verdict'; readonly run: number; readonly verdict: VerdictData; readonly heldBytes?: number }
  | {
      readonly kind: 'threw'
      readonly run: number
      readonly error: ErrorData
      /** Whether the retry rule's classes and predicates take it: they are functions, and stay here. */
      readonly isRetried: boolean
      readonly heldBytes?: number
    }
  | { readonly kind: 'progress'; readonly run: number; readonly value: unknown }
  | ({ readonly kind: 'call'; readonly call: number; readonly message: MessageData | undefined } & Call)
  | { readonly kind: 'log'; readonly record: LogRecord }
  | { readonly kind: 'leak'; readonly about: About | undefined; readonly error: ErrorData }
  /** An exception that nobody caught: it ends. The run whose code threw it; `ended`: one that is over; undefined: nobody knows. */
  | { readonly kind: 'uncaught'; readonly run: number | 'ended' | undefined; readonly error: ErrorData }

/** A handler's `retry(…)`, `snooze(…)` or `dead(…)`, without the symbol that makes it one. */
export type VerdictData =
  | { readonly kind: 'retry'; readonly afterMs: number | undefined; readonly reason: string }
  | { readonly kind: 'snooze'; readonly afterMs: number }
  | { readonly kind: 'dead'; readonly reason: string }

/** What a handler asks of its system: it holds the connection. */
export type Call =
  | { readonly ask: 'send'; readonly to: TargetData; readonly payload: unknown; readonly options: SendOptions }
  | {
      readonly ask: 'ask'
      readonly to: TargetData
      readonly payload: unknown
      readonly options: SendOptions & { readonly timeout?: Duration }
    }
  | { readonly ask: 'previous'; readonly occurrence: RunOccurrence }
  | { readonly ask: 'result'; readonly sent: SentPlace; readonly timeout: Duration | undefined }
  | {
      readonly ask: 'cancel'
      readonly sent: SentPlace
      readonly options: { readonly reason?: string; readonly timeout?: Duration }
    }

/** Whom a message is for, and what its mailbox is made from where there is none yet. */
export interface TargetData {
  readonly actor: string
  readonly message: string
  readonly spec: Partial<ActorSpec> | undefined
}

export function messageData(message: Message): MessageData {
  return { ...message, headers: message.headers.entries() }
}

export function messageOf(data: MessageData): Message {
  return { ...data, headers: new HeaderBlock(data.headers) }
}
