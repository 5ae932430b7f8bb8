/**
 * The copies that settle makes of a message: a parked retry or snooze, a dead letter, an outcome.
 *
 * A copy drops every `Nats-` header of the original and sets its own: a copied `Nats-Expected-Stream` would be refused for
 * ever, a copied `Nats-TTL` would erase a dead letter. Its dedupe key is made from the place of the delivery, never from an id.
 */
import type { Delivery } from '../broker/delivery.ts'
import { encodeHeaders, H, headerText, type HeaderEntry } from '../broker/headers.ts'
import type { Failure } from '../errors.ts'
import { boundReport, type CrashReport } from '../isolation/crash.ts'
import type { Message } from '../message.ts'
import type { DeadReason, Status } from '../outcome.ts'

/** A retry fires that long before it is due; a timer holds it for the rest (DESIGN section 6). */
export const RELEASE_EARLY_MS = 500
/** What is due sooner is not worth parking. */
export const HOLD_MS = 600

/** Errors of earlier attempts that a copy carries along: the newest ones, within these bounds. */
const HISTORY_ENTRIES = 10
const HISTORY_BYTES = 4_096
const STACK_CHARS = 4_000
const MESSAGE_CHARS = 2_000

export interface PastAttempt {
  readonly attempt: number
  readonly at: string
  readonly error: string
}

/** Headers that a copy sets itself, in lower case: the original's are dropped. */
const OWN = new Set(
  [
    H.id,
    H.attempt,
    H.origin,
    H.due,
    H.delay,
    H.planned,
    H.lane,
    H.error,
    H.history,
    H.sent,
    H.replace,
    H.subject,
    H.reason,
    H.worker,
    H.detail,
    H.tail,
  ].map((name) => name.toLowerCase()),
)

/** The original's headers as a copy keeps them. */
export function keptHeaders(message: Message): HeaderEntry[] {
  return message.headers.entries().filter(([name]) => {
    const lower = name.toLowerCase()
    return !lower.startsWith('nats-') && !OWN.has(lower)
  })
}

/** What every copy says of where it comes from. */
function provenance(message: Message, delivery: Delivery): HeaderEntry[] {
  return [
    [H.id, headerText(message.id)],
    [H.origin, delivery.origin],
    [H.subject, delivery.subject],
    [H.sent, String(message.sentAt)],
  ]
}

/** Everything of a parked retry or snooze but its schedule. `dueAt` is epoch ms by the server's clock. */
export function retryHeaders(
  run: { message: Message; delivery: Delivery },
  options: { key: string; attempt: number; dueAt: number; failure?: Failure | undefined; at: string; brief?: boolean },
): HeaderEntry[] {
  const { message, delivery } = run
  const headers: HeaderEntry[] = [
    ...(options.brief ? [] : keptHeaders(message)),
    ...provenance(message, delivery),
    [H.dedupe, options.key],
    [H.attempt, String(options.attempt)],
    [H.due, String(Math.round(options.dueAt))],
    ...(options.brief ? contentTypeOf(message) : []),
  ]
  if (message.planned !== undefined) headers.push([H.planned, String(message.planned)])
  if (options.failure !== undefined)
    headers.push([H.error, headerText(`${options.failure.name}: ${options.failure.message}`)])
  const history = historyWith(message, options.failure, options.at)
  if (history.length > 0 && !options.brief) headers.push([H.history, historyText(history)])
  return headers
}

/** Without it the body could not be read again. */
function contentTypeOf({ contentType }: Message): HeaderEntry[] {
  return contentType === undefined ? [] : [[H.contentType, headerText(contentType, 128)]]
}

/** The schedule headers of something that the server is to release (ADR-51). */
export function scheduleHeaders(dueAt: number, target: string): HeaderEntry[] {
  const at = new Date(Math.max(0, dueAt - RELEASE_EARLY_MS)).toISOString()
  return [
    [H.schedulePattern, `@at ${at}`],
    [H.scheduleTarget, target],
  ]
}

/** What a dead letter tells beyond its one line: the header `Troupe-Detail`, as JSON. */
export interface DeadDetail {
  readonly failure: Failure
  readonly stack?: string
  readonly history: readonly PastAttempt[]
  /** Of a poison message: what is known of the crashes. */
  readonly crashes?: readonly CrashReport[]
}

/** How a message died, and where. */
export interface Death {
  readonly reason: DeadReason
  readonly failure: Failure
  readonly stack?: string | undefined
  readonly crashes?: readonly CrashReport[] | undefined
  readonly worker: string
  readonly at: string
  readonly key: string
}

export function deadHeaders(run: { message: Message; delivery: Delivery }, death: Death, brief = false): HeaderEntry[] {
  const { message, delivery } = run
  const { failure, stack, crashes = [] } = death
  const detail: DeadDetail = {
    failure: { ...failure, message: failure.message.slice(0, MESSAGE_CHARS) },
    ...(stack === undefined ? {} : { stack: stack.slice(0, STACK_CHARS) }),
    history: historyWith(message, undefined, death.at),
    ...(crashes.length === 0 ? {} : { crashes: crashes.map(boundReport) }),
  }
  return [
    ...(brief ? [] : keptHeaders(message)),
    ...provenance(message, delivery),
    [H.dedupe, death.key],
    [H.reason, death.reason],
    [H.error, headerText(`${failure.name}: ${failure.message}`, brief ? 128 : 512)],
    [H.attempt, String(message.attempt)],
    [H.worker, headerText(death.worker)],
    ...(brief ? contentTypeOf(message) : []),
    ...(brief ? [] : [[H.detail, asciiJson(detail)] as const]),
  ]
}

/** A dead letter as it is stored: whole, or with the end of its body in a message of its own that comes first. */
export interface Letter {
  readonly tail: { readonly body: Uint8Array; readonly headers: Buffer } | undefined
  readonly body: Uint8Array
  /** Given where the tail was stored. */
  readonly headers: (tailSequence?: number) => Buffer
}

/** Room beside a letter's body that the header naming its tail takes. */
const TAIL_RESERVE = 64

/** A dead letter that fits: all headers; else few; else, since a body of the server's maximum leaves no room for any, in two parts. */
export function letterOf(run: { message: Message; delivery: Delivery }, death: Death, maxPayload: number): Letter {
  const { data } = run.delivery
  const full = encodeHeaders(deadHeaders(run, death))
  if (full.length + data.length <= maxPayload) return { tail: undefined, body: data, headers: () => full }
  const own = deadHeaders(run, death, true)
  const brief = encodeHeaders(own)
  const excess = brief.length + data.length - maxPayload
  if (excess <= 0) return { tail: undefined, body: data, headers: () => brief }
  const tailAt = Math.max(0, data.length - excess - TAIL_RESERVE)
  return {
    tail: { body: data.subarray(tailAt), headers: encodeHeaders([[H.dedupe, `${death.key}:tail`]]) },
    body: data.subarray(0, tailAt),
    headers: (sequence = 0) => encodeHeaders([...own, [H.tail, String(sequence)]]),
  }
}

/** The headers of an outcome, as told to a sender or kept. */
export function outcomeHeaders(
  message: Message,
  delivery: { readonly origin: string },
  status: Status,
  contentType: string,
): HeaderEntry[] {
  return [
    [H.status, status],
    [H.id, headerText(message.id)],
    [H.origin, delivery.origin],
    [H.contentType, contentType],
  ]
}

function historyWith(message: Message, failure: Failure | undefined, at: string): PastAttempt[] {
  const past = readHistory(message.headers.get(H.history))
  if (failure === undefined) return past
  return [
    ...past,
    { attempt: message.attempt, at, error: headerText(`${failure.name}: ${failure.message}`, 300) },
  ].slice(-HISTORY_ENTRIES)
}

/** The errors of earlier attempts, or none where the header is no list of them: it may come from a stranger. */
export function readHistory(text: string | undefined): PastAttempt[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(list) ? list.filter(isPastAttempt).slice(-HISTORY_ENTRIES) : []
  } catch {
    return []
  }
}

function isPastAttempt(entry: unknown): entry is PastAttempt {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'attempt' in entry &&
    'error' in entry &&
    typeof entry.error === 'string'
  )
}

function historyText(history: PastAttempt[]): string {
  let entries = history
  while (entries.length > 1 && asciiJson(entries).length > HISTORY_BYTES) entries = entries.slice(1)
  return asciiJson(entries)
}

/** JSON on one line in ASCII: header values of some clients are read byte by byte. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007F-\uFFFF]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
