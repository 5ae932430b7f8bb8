/**
 * How a run of a handler ended: a closed set (DESIGN section 1), and the values that a handler may return to choose one.
 */
import type { Failure } from './errors.ts'
import type { CrashReport, Crashes } from './isolation/crash.ts'
import { parseDuration, type Duration } from './time/duration.ts'

/** Why a message became a dead letter; stands in the header `Troupe-Reason`. */
export type DeadReason =
  /** The handler failed as often as its retry rule allows, or with an error that is not retried. */
  | 'failed'
  /** The handler returned `dead(…)`. */
  | 'rejected'
  /** Body, headers or payload are not what was declared. */
  | 'invalid'
  /** The actor has no message of that name. */
  | 'unknown-message'
  /** It was running each time that its worker died. */
  | 'poison'
  /** The deadline of the whole message, all attempts, passed. */
  | 'deadline'
  /** A delayed message could not be put into its mailbox. */
  | 'undeliverable'

export type Outcome =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'retry'; readonly afterMs: number; readonly failure: Failure; readonly stack?: string | undefined }
  | { readonly kind: 'snooze'; readonly afterMs: number }
  | {
      readonly kind: 'dead'
      readonly reason: DeadReason
      readonly failure: Failure
      readonly stack?: string | undefined
      /** Of a poison message: the crashes that were seen. */
      readonly crashes?: readonly CrashReport[]
    }
  /** The thread or process that ran it died; the message is to blame, as far as is known. */
  | { readonly kind: 'crashed'; readonly crashes: Crashes }
  | { readonly kind: 'cancelled'; readonly reason: string }
  | { readonly kind: 'expired' }
  | { readonly kind: 'released' }
  /** The message is settled already: an earlier run ended, only its ack was lost. */
  | { readonly kind: 'settled'; readonly by: 'retry' | 'result' | 'ledger' }
  | { readonly kind: 'lease-lost'; readonly finished: boolean; readonly value?: unknown }

/** What a caller is told of a message's end; stands in the header `Troupe-Status`. */
export type Status = 'done' | 'dead' | 'cancelled' | 'expired'

const VERDICT = Symbol.for('troupe.verdict')

/** What `retry(…)` makes. Each verdict is an interface, so that a declaration file can name it where an actor is exported. */
export interface RetryVerdict {
  readonly [VERDICT]: true
  readonly kind: 'retry'
  readonly afterMs: number | undefined
  readonly reason: string
}
/** What `snooze(…)` makes. */
export interface SnoozeVerdict {
  readonly [VERDICT]: true
  readonly kind: 'snooze'
  readonly afterMs: number
}
/** What `dead(…)` makes. */
export interface DeadVerdict {
  readonly [VERDICT]: true
  readonly kind: 'dead'
  readonly reason: string
}

/** What a handler returns to choose an outcome other than done. Made by `retry`, `snooze` and `dead`. */
export type Verdict = RetryVerdict | SnoozeVerdict | DeadVerdict

/** This attempt failed; try again `after` so long (default: by the retry rule). Counts as an attempt. */
export function retry(options: { after?: Duration; reason?: string } = {}): RetryVerdict {
  const afterMs = options.after === undefined ? undefined : parseDuration(options.after, 'retry.after')
  return { [VERDICT]: true, kind: 'retry', afterMs, reason: options.reason ?? 'the handler asked for a retry' }
}

/** Not now: run the message again `after` so long. Counts no attempt. */
export function snooze(after: Duration): SnoozeVerdict {
  return { [VERDICT]: true, kind: 'snooze', afterMs: parseDuration(after, 'snooze') }
}

/** This message can never succeed: make it a dead letter at once. */
export function dead(reason: string): DeadVerdict {
  return { [VERDICT]: true, kind: 'dead', reason }
}

/** Whether a handler's return value is one of `retry(…)`, `snooze(…)`, `dead(…)`. */
export function isVerdict(value: unknown): value is Verdict {
  return typeof value === 'object' && value !== null && VERDICT in value
}

/** A handler's result without the verdicts: what a sender gets. */
export type ResultOf<R> = Exclude<Awaited<R>, Verdict>
