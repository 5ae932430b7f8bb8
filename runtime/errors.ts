/**
 * Every error that Troupe throws on purpose.
 *
 * The tree is split by who must act: `ConfigError` (you, in the configuration or a definition), `PayloadError`
 * (you, in what you send), `ActorError` (you, deploy or create the actor), `UnavailableError` (nobody: try again
 * later), `BrokerError` (the operator of NATS), `OutcomeError` (whoever reads the outcome of a message that failed).
 *
 * Messages have one form: what was expected, what came, what to do. `code` is stable and meant for programs; the other
 * fields carry the data that the message was made from.
 */

/** What an error's text is made from. */
export interface ErrorDetails {
  /** Data for programs: names, limits, values. Never secrets, never whole payloads. */
  readonly data?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

export abstract class TroupeError extends Error {
  /** Stable, upper-case, for programs: `UNKNOWN_MESSAGE`. */
  readonly code: string
  readonly data: Readonly<Record<string, unknown>>

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.data = details.data ?? {}
  }
}

/** Fix the configuration, an option or an actor's definition. Codes: `INVALID_CONFIG`, `INVALID_OPTION`, `INVALID_NAME`, … */
export class ConfigError extends TroupeError {}

/** Fix what is sent. Codes: `INVALID_PAYLOAD`, `TOO_LARGE`, `INVALID_HEADER`, `INVALID_ID`, `UNDECODABLE`, … */
export class PayloadError extends TroupeError {}

/** Deploy, define or create the actor. Codes: `UNKNOWN_ACTOR`, `UNKNOWN_MESSAGE`, `NO_LIVE_WORKER`, … */
export class ActorError extends TroupeError {}

/** Nothing is wrong with the call: try again later. Codes: `TIMEOUT`, `OUTCOME_UNKNOWN`, `MAILBOX_FULL`, `DISCONNECTED`, `STOPPED`, … */
export class UnavailableError extends TroupeError {}

/** NATS refused: permissions, version, JetStream, limits, an asset with other settings. Codes: `FORBIDDEN`, `NO_JETSTREAM`, `SERVER_TOO_OLD`, … */
export class BrokerError extends TroupeError {}

/** How a message ended that did not end as done. Thrown by `result` and `ask`. Codes: `DEAD`, `CANCELLED`, `EXPIRED`. */
export class OutcomeError extends TroupeError {
  /** The failure as the worker reported it: name, message and code of the handler's own error. */
  readonly failure: Failure

  constructor(code: string, message: string, failure: Failure, details: ErrorDetails = {}) {
    super(code, message, details)
    this.failure = failure
  }
}

/** An error as it crosses the wire. */
export interface Failure {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly attempts?: number
  /** The schema's issues, where a payload was refused: path and message of each. */
  readonly issues?: readonly { readonly path: string; readonly message: string }[]
}

/** Any thrown value as an `Error`: strings, plain objects and `undefined` are thrown by real code too. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  if (typeof thrown === 'string') return new Error(thrown)
  return new Error(`a value that is no Error was thrown: ${describe(thrown)}`, { cause: thrown })
}

/** A value as it may stand in an error's text: short, on one line, with its type where that helps. */
export function describe(value: unknown, limit = 80): string {
  const text = plain(value).replaceAll(/\s+/g, ' ')
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text
}

function plain(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return `a function`
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    return JSON.stringify(value) ?? Object.prototype.toString.call(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/**
 * The nearest right word to a wrong one, for "did you mean": at most a third of its letters may differ.
 * Plain Levenshtein distance, where a swap of neighbours counts once (optimal string alignment).
 */
export function nearest(wrong: string, right: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wrong.length / 3)) + 1
  for (const candidate of right) {
    const distance = editDistance(wrong.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** `", did you mean "x"?"` or nothing. */
export function didYouMean(wrong: string, right: Iterable<string>): string {
  const word = nearest(wrong, right)
  return word === undefined ? '' : `, did you mean ${JSON.stringify(word)}?`
}

function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min(change, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1)
      }
      row.push(least)
    }
    ;[before, previous] = [previous, row]
  }
  return previous[b.length] ?? 0
}

/** Why a run is told to stop. */
export type AbortCause = 'time-limit' | 'deadline' | 'cancelled' | 'shutdown' | 'lease-lost'

/** The reason of `ctx.signal`. Codes: `TIME_LIMIT`, `DEADLINE`, `CANCELLED`, `SHUTDOWN`, `LEASE_LOST`. */
export class AbortedError extends TroupeError {
  readonly why: AbortCause

  constructor(why: AbortCause, message: string) {
    super(why.toUpperCase().replace('-', '_'), message)
    this.why = why
  }
}

/** Bounds of what an error says across the wire: it goes into headers and events beside the message itself. */
const FAILURE_TEXT = 8_192
const FAILURE_WORD = 256
const FAILURE_ISSUES = 50

/** An error as it crosses the wire, without its stack and within bounds. */
export function toFailure(error: Error): Failure {
  const { code } = error as { code?: unknown }
  const issues = error instanceof TroupeError ? error.data['issues'] : undefined
  return {
    name: cut(error.name, FAILURE_WORD),
    message: cut(error.message, FAILURE_TEXT),
    ...(typeof code === 'string' ? { code: cut(code, FAILURE_WORD) } : {}),
    ...(Array.isArray(issues)
      ? { issues: (issues as NonNullable<Failure['issues']>).slice(0, FAILURE_ISSUES).map(shortIssue) }
      : {}),
  }
}

function shortIssue({ path, message }: { readonly path: string; readonly message: string }): {
  path: string
  message: string
} {
  return { path: cut(path, FAILURE_WORD), message: cut(message, FAILURE_WORD) }
}

/** Of JavaScript's errors a name or a message may be anything. */
function cut(value: unknown, limit: number): string {
  const text = typeof value === 'string' ? value : describe(value)
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text
}
