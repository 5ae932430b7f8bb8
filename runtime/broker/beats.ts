/**
 * The watch on the event loop of a system, from the keeper's thread: a loop that stands still can't say so itself, and one that stands
 * still for ever never will.
 *
 * The main thread writes the time into shared memory again and again (processWatch.ts). When that time is too old, this thread asks
 * JetStream what the messages are whose handlers run there, and tells: an event, and a line on stderr. When the loop goes on, the main
 * thread tells how long it stood.
 */
import { writeSync } from 'node:fs'

import type { LogLevel, LogOptions } from '../log.ts'
import { systemClock } from '../time/clock.ts'
import { JetStreamApi } from './api.ts'
import type { Connection } from './connection.ts'
import { H } from './headers.ts'
import type { Replies } from './replies.ts'
import { Subjects } from './subjects.ts'

/** A beat of the main thread comes so often: ms. */
export const BEAT_MS = 100

export interface BeatSettings {
  /** One `Float64`: `monotonic()` of the main thread at its last beat. */
  readonly memory: SharedArrayBuffer
  /** A loop that stands still for longer is told of: ms. */
  readonly blockedAfterMs: number
  readonly namespace: string
  readonly system: string
  /** Whether events are published at all. */
  readonly tells: boolean
  /** How lines are written; undefined: by a logger that this thread does not have. */
  readonly log: { readonly level: LogLevel; readonly format: NonNullable<LogOptions['format']> } | undefined
}

/** A message by its place. */
export interface Place {
  readonly stream: string
  readonly sequence: number
}

export interface BeatHost {
  readonly connection: Connection
  readonly replies: Replies
  readonly domain: string | undefined
  /** `monotonic()` of the main thread. */
  now(): number
  /** Messages whose handlers run on the main thread's loop. */
  running(): readonly Place[]
}

/** Messages that are named, at most. */
export const MOST_NAMED = 10

/** Watches until it is stopped. */
export function watchBeats(settings: BeatSettings, host: BeatHost): { stop(): void } {
  const beat = new Float64Array(settings.memory)
  const everyMs = Math.min(1_000, Math.max(50, settings.blockedAfterMs / 2))
  let isTold = false
  let lookedAt = host.now()
  const look = (): void => {
    const now = host.now()
    // This thread was not run either: the whole process stood still, and no handler is to blame.
    const wasAway = now - lookedAt > everyMs + settings.blockedAfterMs
    lookedAt = now
    const stoodMs = now - (beat[0] ?? now) - BEAT_MS
    if (stoodMs <= settings.blockedAfterMs) isTold = false
    else if (!isTold && !wasAway) {
      isTold = true
      void tell(settings, host, Math.round(stoodMs))
    }
  }
  const timer = setInterval(look, everyMs)
  return { stop: () => clearInterval(timer) }
}

async function tell(settings: BeatSettings, host: BeatHost, forMs: number): Promise<void> {
  const { system, namespace, tells, log } = settings
  const subjects = new Subjects(namespace)
  const running = await namesOf(host, subjects).catch(() => [])
  if (tells) {
    const body = { system, at: new Date(systemClock.now()).toISOString(), forMs, isOver: false, running }
    host.connection.publish(subjects.systemEvent(system, 'blocked'), Buffer.from(JSON.stringify(body)))
  }
  if (log === undefined) return
  const { createLogger } = await import('../log.ts')
  // Not through the stream: that is the main thread's, which stands still.
  const logger = createLogger({ ...log, stream: { write: (text) => void writeSync(2, text) } })
  logger.warn('the event loop stands still: a handler blocks it', { forMs, running })
}

/** As events name messages. What is gone from its stream meanwhile is left out. */
async function namesOf(host: BeatHost, subjects: Subjects): Promise<object[]> {
  const api = new JetStreamApi(host.replies, host.domain)
  const places = host.running().slice(0, MOST_NAMED)
  const found = await Promise.all(places.map(({ stream, sequence }) => api.readMessage(stream, { seq: sequence })))
  return found.flatMap((stored) => {
    if (stored === undefined) return []
    const { actor = '', message = '' } = subjects.parseMailbox(stored.subject) ?? {}
    const { headers, stream, sequence } = stored
    const id = headers.get(H.id) ?? headers.get(H.dedupe) ?? `${stream}:${sequence}`
    return [{ id, message: `${actor}.${message}` }]
  })
}
