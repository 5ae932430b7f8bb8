/**
 * The vectors that need no server, each against Troupe's own code and against the worker on a bare socket: where the two disagree, one of them or
 * PROTOCOL.md is wrong. messages.json is run by every client (scenario/speaks.ts).
 */
import { describe, expect, it } from 'vitest'

import { parkedHeaders, readLater } from '#actors/timer/copies.js'
import { matches } from '#runtime/broker/cancels.js'
import { Delivery } from '#runtime/broker/delivery.js'
import { HeaderBlock } from '#runtime/broker/headers.js'
import { encodeToken, decodeToken, Subjects } from '#runtime/broker/subjects.js'
import { deadHeaders, outcomeHeaders, retryHeaders, scheduleHeaders } from '#runtime/flow/copies.js'
import { readMessage as readOwn, ruleFor as ownRuleFor } from '#runtime/message.js'
import { DEFAULT_RETRY, resolveRetry, retryDelay } from '#runtime/retryRule.js'
import { parseDuration } from '#runtime/time/duration.js'

import { readBlock } from './clients/socket.ts'
import { encodeToken as bareToken } from './clients/verbs.ts'
import { speaksOf } from './clients/worker/cancels.ts'
import * as bare from './clients/worker/copies.ts'
import { durationMs, placeOf, readMessage as readBare, replySubject, type Message } from './clients/worker/message.ts'
import { DEFAULT_RULE, delayAfter, ruleFor } from './clients/worker/retry.ts'
import type { Headers } from './scenario/client.ts'
import { vectors } from './scenario/vectors.ts'

const subjects = new Subjects('troupe')

describe('tokens.json', () => {
  it.each(vectors<{ name: string; text: string; token: string }>('tokens.json'))('$name', ({ text, token }) => {
    expect(encodeToken(text)).toBe(token)
    expect(bareToken(text)).toBe(token)
    if (!token.endsWith('~cut')) expect(decodeToken(token)).toBe(text)
  })
})

describe('durations.json', () => {
  const own = (text: string): number | null => {
    try {
      return parseDuration(text, 'text')
    } catch {
      return null
    }
  }
  it.each(vectors<{ name: string; text: string; ms: number | null }>('durations.json'))('$name', ({ text, ms }) => {
    expect(own(text)).toBe(ms)
    expect(durationMs(text) ?? null).toBe(ms)
  })
})

describe('replies.json', () => {
  it.each(vectors<{ name: string; subject: string; may: boolean }>('replies.json'))('$name', ({ subject, may }) => {
    expect(subjects.isReply(subject)).toBe(may)
    expect(replySubject(subject, 'troupe') !== undefined).toBe(may)
  })
})

interface BlockCase {
  readonly name: string
  readonly text: string
  readonly status: number
  readonly headers: [string, string][]
}

describe('headers.json', () => {
  it.each(vectors<BlockCase>('headers.json'))('$name', ({ text, status, headers }) => {
    const bytes = Buffer.from(text, 'latin1')
    expect(HeaderBlock.decode(bytes).entries()).toEqual(headers)
    expect(readBlock(bytes.toString())).toMatchObject({ status, headers: Object.fromEntries(headers) })
  })
})

interface PlaceCase {
  readonly name: string
  readonly subject: string
  readonly stream: string
  readonly consumer: string
  readonly count: number
  readonly sequence: number
  readonly storedAt: number
}

describe('deliveries.json', () => {
  it.each(vectors<PlaceCase>('deliveries.json'))('$name', (one) => {
    const { subject, consumer } = one
    const place = { stream: one.stream, count: one.count, sequence: one.sequence, storedAt: one.storedAt }
    const { stream, count, sequence, storedAt } = new Delivery({ subject: 'x', reply: subject } as never, 0)
    expect({ stream, count, sequence, storedAt }).toEqual(place)
    expect(placeOf(subject)).toEqual({ ...place, consumer })
  })
})

/** A delivery as Troupe has it, of a message with these headers. */
function ownDelivery(ack: string, subject: string, headers: Headers): Delivery {
  const entries = Object.entries(headers)
  const block = { keys: () => entries.map(([name]) => name), values: (name: string) => [headers[name] ?? ''] }
  return new Delivery({ subject, reply: ack, headers: block, data: new Uint8Array(0) } as never, 0)
}

interface IdCase {
  readonly name: string
  readonly headers: Headers
  readonly stream: string
  readonly sequence: number
  readonly id: string | null
}

describe('ids.json', () => {
  const subject = 'troupe.do.mailer.welcome'
  const idOf = (read: () => { id: string }): string | null => {
    try {
      return read().id
    } catch {
      return null
    }
  }
  it.each(vectors<IdCase>('ids.json'))('$name', ({ headers, stream, sequence, id }) => {
    const ack = `$JS.ACK.${stream}.normal.1.${sequence}.1.1795592095894910845.0`
    const own = idOf(() => {
      const message = readOwn(ownDelivery(ack, subject, headers), subjects, 'mailer')
      ownRuleFor(message, DEFAULT_RETRY)
      return message
    })
    const other = idOf(() => {
      ruleFor(headers, DEFAULT_RULE)
      return readBare({ ...placeOf(ack), subject, ackSubject: ack, headers, body: new Uint8Array(0) }, 'troupe')
    })
    expect({ own, other }).toEqual({ own: id, other: id })
  })
})

interface BackoffCase {
  readonly name: string
  readonly rule: { attempts: number; base: string; factor: number; max: string; jitter: number }
  readonly attempt: number
  readonly chance: number
  readonly ms: number | null
}

describe('backoff.json', () => {
  it.each(vectors<BackoffCase>('backoff.json'))('$name', ({ rule: { attempts, ...backoff }, attempt, chance, ms }) => {
    const own = retryDelay(resolveRetry({ attempts, backoff }, DEFAULT_RETRY, 'retry'), attempt, chance)
    const header = { 'Troupe-Retry': JSON.stringify({ attempts, backoff }) }
    expect(own ?? null).toBe(ms)
    expect(delayAfter(ruleFor(header, DEFAULT_RULE), attempt, chance) ?? null).toBe(ms)
  })
})

interface CancelCase {
  readonly name: string
  readonly cancel: object
  readonly message: { id: string; name: string; root: string; headers: Headers }
  readonly speaks: boolean
}

describe('cancels.json', () => {
  it.each(vectors<CancelCase>('cancels.json'))('$name', ({ cancel, message, speaks }) => {
    const own = { ...message, headers: new HeaderBlock(Object.entries(message.headers)) }
    expect(matches(cancel, own)).toBe(speaks)
    expect(speaksOf(cancel, message)).toBe(speaks)
  })
})

interface CopyCase {
  readonly name: string
  readonly delivery: { readonly subject: string; readonly ack: string; readonly headers: Headers }
  readonly end: {
    readonly kind: 'retry' | 'snooze' | 'dead' | 'done' | 'later'
    readonly afterMs: number
    readonly now: number
    readonly failure?: bare.Failure
    readonly reason: string
    readonly worker: string
    readonly contentType: string
  }
  readonly subject: string
  readonly headers: Headers
}

describe('copies.json', () => {
  it.each(vectors<CopyCase>('copies.json'))('$name', (one) => {
    const wanted = { subject: one.subject, headers: one.headers }
    expect(ownCopy(one)).toEqual(wanted)
    expect(bareCopy(one)).toEqual(wanted)
  })
})

function ownCopy({ delivery: { subject, ack, headers }, end }: CopyCase): bare.Copy {
  const delivery = ownDelivery(ack, subject, headers)
  const message = readOwn(delivery, subjects, 'mailer')
  const run = { message, delivery }
  const at = new Date(end.now || 0).toISOString()
  const place = [message.actor, message.name, message.id] as const
  const failure = end.failure as never
  switch (end.kind) {
    case 'retry':
    case 'snooze': {
      const { sequence } = delivery
      const dueAt = end.now + end.afterMs
      const attempt = message.attempt + (end.failure ? 1 : 0)
      const own = retryHeaders(run, { key: `${end.kind}:${sequence}`, attempt, dueAt, failure, at })
      const [parked, due] = [
        subjects.parkedRetry('mailer', message.id, sequence),
        subjects.dueRetry('mailer', sequence),
      ]
      const isHeld = end.afterMs <= 600
      return {
        subject: isHeld ? due : parked,
        headers: Object.fromEntries(isHeld ? own : [...own, ...scheduleHeaders(dueAt, due)]),
      }
    }
    case 'dead': {
      const death = {
        reason: end.reason as never,
        failure,
        worker: end.worker,
        at,
        key: `dead:mailer:${delivery.sequence}`,
      }
      return { subject: subjects.dead(...place), headers: Object.fromEntries(deadHeaders(run, death)) }
    }
    case 'done': {
      const told = outcomeHeaders(message, delivery, 'done', end.contentType)
      const seconds = Math.ceil((message.keepMs ?? 0) / 1_000)
      const kept = { 'Nats-TTL': `${seconds}s`, 'Nats-Msg-Id': `result:${delivery.origin}` }
      return {
        subject: subjects.result(message.actor, message.sender, message.id),
        headers: { ...Object.fromEntries(told), ...kept },
      }
    }
    case 'later': {
      const later = readLater(delivery, subjects, 'mailer', 'salt')
      if (later.failure !== undefined) throw new Error(later.failure.message)
      const target = subjects.dueLater(...place)
      const parked = [...parkedHeaders(delivery, later), ...scheduleHeaders(later.due.at, target)]
      return { subject: subjects.parkedLater(...place), headers: Object.fromEntries(parked) }
    }
    default:
      return end.kind satisfies never
  }
}

function bareCopy({ delivery: { subject, ack, headers }, end }: CopyCase): bare.Copy {
  const delivery = { ...placeOf(ack), subject, ackSubject: ack, headers, body: new Uint8Array(0) }
  const message: Message = readBare(delivery, 'troupe')
  const failure = end.failure as bare.Failure
  switch (end.kind) {
    case 'retry':
    case 'snooze':
      return bare.parkedCopy(message, delivery, 'troupe', { ...end, failure: end.failure })
    case 'dead':
      return bare.deadLetter(message, delivery, 'troupe', { ...end, failure })
    case 'done':
      return bare.keptOutcome(
        message,
        delivery,
        'troupe',
        bare.outcomeHeaders(message, delivery, 'done', end.contentType),
      )
    case 'later':
      return bare.parkedLater(message, delivery, 'troupe')
    default:
      return end.kind satisfies never
  }
}
