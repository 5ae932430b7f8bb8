/**
 * The last message of one subject as the stream's leader knows it, read with rights on that subject alone.
 *
 * `STREAM.MSG.GET` asks the leader, but names the subject in its body, where NATS permissions don't look: who may use it on a
 * stream may read all of it. A direct get has the subject in its own subject, but any copy of the stream may answer it, also
 * one that is behind. So both are asked that permissions can confine: the copy for the message, and the leader, by a publish
 * to that very subject under a condition that can never hold, which it refuses with the sequence that does stand there.
 * Neither stores anything. Where the copy is behind, it is asked again.
 */
import { UnavailableError } from '../errors.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { JetStreamError, type JetStreamApi, type Stored } from './api.ts'
import { encodeHeaders, H } from './headers.ts'
import type { Publisher } from './publisher.ts'
import { storedOf } from './scan.ts'

/** No message of a stream has it: the largest that the server reads is larger, and no stream gets there. */
const NEVER = String(Number.MAX_SAFE_INTEGER)
const CONDITION = encodeHeaders([[H.expectedLastSubjectSequence, NEVER]])
/** How long a copy may be behind, and how long somebody may be about to write there. */
const BEHIND_MS = 5_000
const PAUSE_MS = 50
/** What the leader has told of is with every copy that follows it within so long. */
const SEEN_MS = 500
/** The condition stores nothing, however often it is asked. */
const REPEAT_MS = 10_000

export interface OwnSubjectHost {
  readonly api: JetStreamApi
  readonly publisher: Publisher
}

/** Undefined where there is none. Throws what publishing throws, and `UnavailableError` `TIMEOUT`. The stream allows direct gets. */
export async function readOwn(host: OwnSubjectHost, stream: string, subject: string): Promise<Stored | undefined> {
  const until = systemClock.monotonic() + BEHIND_MS
  const read = (): Promise<Stored | undefined> => readCopy(host, stream, subject)
  const [sequence, first] = await Promise.all([lastSequence(host, stream, subject), read()])
  if (sequence === 0) return undefined
  for (let stored = first; ; stored = await read()) {
    if (stored !== undefined && stored.sequence >= sequence) return stored
    if (systemClock.monotonic() >= until) throw unsettled(stream, subject)
    await sleep(PAUSE_MS)
  }
}

/** For who only looks, and may not publish there: by any copy that has one. Undefined where none has, or nobody answers. */
export async function readSeen(host: OwnSubjectHost, stream: string, subject: string): Promise<Stored | undefined> {
  const until = systemClock.monotonic() + SEEN_MS
  for (;;) {
    const stored = await readCopy(host, stream, subject)
    if (stored !== undefined || systemClock.monotonic() >= until) return stored
    await sleep(PAUSE_MS)
  }
}

/** The last message of a subject by any copy of the stream; undefined where it has none, or nobody answers. */
async function readCopy({ api }: OwnSubjectHost, stream: string, subject: string): Promise<Stored | undefined> {
  return storedOf(stream, await api.direct(stream, subject))
}

/** The sequence that stands on a subject, by the leader's own word; 0: none. */
async function lastSequence({ publisher }: OwnSubjectHost, stream: string, subject: string): Promise<number> {
  const until = systemClock.monotonic() + BEHIND_MS
  for (;;) {
    const refusal = await publisher
      .publish({ subject, payload: undefined, headers: CONDITION, stream, repeatMs: REPEAT_MS })
      .then(neverStored, (error: unknown) => error)
    if (!(refusal instanceof JetStreamError) || refusal.refusal !== 'conflict') throw refusal
    if (refusal.lastSequence !== undefined) return refusal.lastSequence
    // Somebody's message for this subject is on its way to the copies: what stands there is decided in a moment.
    if (systemClock.monotonic() >= until) throw unsettled(stream, subject)
    await sleep(PAUSE_MS)
  }
}

function neverStored(): Error {
  return new Error('a message was stored under a condition that cannot hold')
}

function unsettled(stream: string, subject: string): UnavailableError {
  const text = `expected stream ${stream} to say what stands on ${subject}, but its copies did not agree in time. Try again.`
  return new UnavailableError('TIMEOUT', text, { data: { stream, subject } })
}
