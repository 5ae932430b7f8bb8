/**
 * A message as its headers describe it: who it is, which attempt, when it ends, who wants to know.
 *
 * Everything comes from strangers (`nats pub` is a legal client), so each header is read with its form and bound: what
 * could change the meaning of the message and is not well-formed is an error, which makes a dead letter; what only
 * asks a favour (a reply, keeping the result) is left aside, with its name in `ignored`.
 */
import type { Placed } from './broker/delivery.ts'
import { H, type HeaderBlock } from './broker/headers.ts'
import { MAX_ID_BYTES, type Lane, type Subjects } from './broker/subjects.ts'
import { PayloadError, describe } from './errors.ts'
import { resolveRetry, type RetryOverride, type RetryRule } from './retryRule.ts'
import { parseDuration } from './time/duration.ts'

export interface Message {
  readonly id: string
  readonly actor: string
  readonly name: string
  readonly lane: Lane | 'later'
  /** Number of this attempt, from 1. */
  readonly attempt: number
  readonly contentType: string | undefined
  /** The sender's name; `any` where it gave none. */
  readonly sender: string
  /** Where the outcome goes, if somebody waits for it; always below `<namespace>.reply.`. */
  readonly reply: string | undefined
  readonly keepMs: number | undefined
  /** Epoch ms after which it is not run. */
  readonly expires: number | undefined
  /** Epoch ms by which all attempts must be done. */
  readonly deadline: number | undefined
  /** Epoch ms at which it was to be sent, where it was delayed. */
  readonly planned: number | undefined
  /** Epoch ms at which it was first stored. */
  readonly sentAt: number
  readonly root: string
  readonly parent: string | undefined
  readonly schedule: string | undefined
  /** A retry rule of this one message. */
  readonly retry: RetryOverride | undefined
  /** `duration` text of `Troupe-Keep` and so on that was not understood. */
  readonly ignored: readonly string[]
  readonly headers: HeaderBlock
}

/**
 * The end of the year 2261. The server counts nanoseconds in 64 bits, which end in April 2262: what is due later it releases at once,
 * and a timer would hold it for ever.
 */
export const LATEST_DUE = Date.UTC(2262, 0, 1) - 1

type Draft = { -readonly [K in keyof Omit<Message, 'root'>]: Message[K] } & {
  root: string | undefined
  delayMs: number | undefined
}

/** Header names in lower case, with what each writes. Unknown ones belong to the application, or to a newer version. */
const READERS: ReadonlyMap<string, (draft: Draft, value: string, subjects: Subjects) => void> = new Map([
  [H.id.toLowerCase(), (draft, value) => void (draft.id = value || draft.id)],
  [H.dedupe.toLowerCase(), (draft, value) => void (draft.id ||= value)],
  [H.contentType.toLowerCase(), (draft, value) => void (draft.contentType = value)],
  [H.attempt.toLowerCase(), (draft, value) => void (draft.attempt = whole(H.attempt, value, 1))],
  [H.sender.toLowerCase(), (draft, value) => void (draft.sender = value.slice(0, MAX_ID_BYTES) || 'any')],
  [
    H.reply.toLowerCase(),
    (draft, value, subjects) => void (subjects.isReply(value) ? (draft.reply = value) : ignore(draft, H.reply)),
  ],
  [
    H.keep.toLowerCase(),
    (draft, value) => void (draft.keepMs = favour(draft, H.keep, () => parseDuration(value, H.keep))),
  ],
  [H.expires.toLowerCase(), (draft, value) => void (draft.expires = whole(H.expires, value, 0))],
  [H.deadline.toLowerCase(), (draft, value) => void (draft.deadline = whole(H.deadline, value, 0))],
  [H.due.toLowerCase(), (draft, value) => void (draft.planned = whole(H.due, value, 0, LATEST_DUE))],
  [H.delay.toLowerCase(), (draft, value) => void (draft.delayMs = readDelay(value))],
  [
    H.sent.toLowerCase(),
    (draft, value) => void (draft.sentAt = favour(draft, H.sent, () => whole(H.sent, value, 0)) ?? draft.sentAt),
  ],
  [H.root.toLowerCase(), (draft, value) => void (draft.root = value)],
  [H.parent.toLowerCase(), (draft, value) => void (draft.parent = value)],
  [H.schedule.toLowerCase(), (draft, value) => void (draft.schedule = value)],
  [H.retry.toLowerCase(), (draft, value) => void (draft.retry = readRetry(value))],
])

/** Throws `PayloadError` (`INVALID_HEADER`, `INVALID_ID`) for what makes the message unusable. */
export function readMessage(placed: Placed, subjects: Subjects, actor: string): Message {
  const draft = draftOf(placed, subjects, actor)
  const only = placed.headers.onlyDedupe
  if (only !== undefined) draft.id = only
  else for (const [name, value] of placed.headers.entries()) READERS.get(name.toLowerCase())?.(draft, value, subjects)
  if (draft.id === '') draft.id = `${placed.stream}:${placed.sequence}`
  // A character has three bytes at most; counting them is for ids that may be too long.
  if (draft.id.length * 3 > MAX_ID_BYTES && Buffer.byteLength(draft.id) > MAX_ID_BYTES) {
    throw new PayloadError(
      'INVALID_ID',
      `expected the message's id to have at most ${MAX_ID_BYTES} bytes, got: ${Buffer.byteLength(draft.id)}`,
    )
  }
  draft.root ??= draft.id
  if (draft.delayMs !== undefined && draft.lane === 'later') draft.planned ??= draft.sentAt + draft.delayMs
  return draft as Message
}

/** What is known of a message whose headers could not be read: enough to bury it, and to tell who waits for it. */
export function unreadableMessage(placed: Placed, subjects: Subjects, actor: string): Message {
  const draft = draftOf(placed, subjects, actor)
  draft.id = `${placed.stream}:${placed.sequence}`
  const reply = placed.headers.get(H.reply)
  if (reply !== undefined && subjects.isReply(reply)) draft.reply = reply
  draft.root = draft.id
  return draft as Message
}

function draftOf(placed: Placed, subjects: Subjects, actor: string): Draft {
  const address = subjects.parseMailbox(placed.subject)
  return {
    id: '',
    actor,
    name: address?.message ?? placed.subject,
    lane: address?.queue ?? 'normal',
    attempt: 1,
    contentType: undefined,
    sender: 'any',
    reply: undefined,
    keepMs: undefined,
    expires: undefined,
    deadline: undefined,
    planned: undefined,
    delayMs: undefined,
    sentAt: placed.storedAt,
    root: undefined,
    parent: undefined,
    schedule: undefined,
    retry: undefined,
    ignored: NOTHING,
    headers: placed.headers,
  }
}

const NOTHING: readonly string[] = []

function whole(name: string, value: string, least: number, most = 999_999_999_999_999): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : -1
  if (number >= least && number <= most) return number
  throw new PayloadError(
    'INVALID_HEADER',
    `expected header ${name} to be a whole number from ${least} to ${most}, got: ${describe(value)}`,
  )
}

function readDelay(value: string): number {
  try {
    return Math.ceil(parseDuration(value, H.delay))
  } catch (cause) {
    const text = `expected header ${H.delay} to be a duration like 90s, got: ${describe(value)}`
    throw new PayloadError('INVALID_HEADER', text, { cause })
  }
}

function readRetry(value: string): RetryOverride {
  try {
    const rule: unknown = JSON.parse(value)
    if (typeof rule === 'object' && rule !== null && !Array.isArray(rule)) return rule
    throw new TypeError('no JSON object')
  } catch (cause) {
    const text = `expected header ${H.retry} to be JSON like {"attempts":3,"backoff":{"base":"1s"}}, got: ${describe(value)}`
    throw new PayloadError('INVALID_HEADER', text, { cause })
  }
}

/** The rule that holds for one message: its own override over its definition's. Throws `PayloadError` for an impossible one. */
export function ruleFor(message: Message, rule: RetryRule): RetryRule {
  if (message.retry === undefined) return rule
  try {
    const { attempts, backoff } = message.retry
    return resolveRetry(
      { ...(attempts === undefined ? {} : { attempts }), ...(backoff === undefined ? {} : { backoff }) },
      rule,
      H.retry,
    )
  } catch (cause) {
    throw new PayloadError('INVALID_HEADER', (cause as Error).message, { cause })
  }
}

function favour<T>(draft: Draft, name: string, read: () => T): T | undefined {
  try {
    return read()
  } catch {
    ignore(draft, name)
    return undefined
  }
}

function ignore(draft: Draft, name: string): void {
  draft.ignored = [...draft.ignored, name]
}
