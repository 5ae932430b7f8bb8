/**
 * Where a message is: everywhere that one may be, asked at once.
 *
 * Parked, dead and kept ones have their id in their subject: one read each. What waits has not (a subject per id would cost every
 * send), so its mailbox is read through, and so is what was released and is held by a timer; what runs is asked of the systems.
 * A message moves while it is looked for: two places at once, or none, can be said of one that just changed.
 */
import { JetStreamError, type Stored } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { actorsWithMailbox } from '../broker/depth.ts'
import { H } from '../broker/headers.ts'
import { scan } from '../broker/scan.ts'
import type { Lane } from '../broker/subjects.ts'
import { Mailboxes } from './mailboxes.ts'
import { askRunning } from './running.ts'

/** One place where the message was found. */
export type Place = {
  readonly actor: string
  readonly message: string
  readonly attempt: number
} & (
  | {
      readonly kind: 'waiting'
      readonly lane: Lane
      readonly position: number
      readonly sequence: number
      readonly since: Date
    }
  /** A worker has it in hand. */
  | { readonly kind: 'held'; readonly lane: Lane; readonly sequence: number; readonly since: Date }
  | {
      readonly kind: 'running'
      readonly system: string
      readonly worker: string
      readonly since: Date
      readonly remainingMs: number
      readonly sequence: number
    }
  /** `why`: delayed by its sender, a retry, or a snooze. */
  | {
      readonly kind: 'parked'
      readonly why: 'delay' | 'retry' | 'snooze'
      readonly until: Date
      readonly error: string | undefined
    }
  | {
      readonly kind: 'dead'
      readonly reason: string
      readonly at: Date
      readonly sequence: number
      readonly error: string | undefined
    }
  /** An outcome that its sender asked to keep. */
  | { readonly kind: 'ended'; readonly status: string; readonly at: Date; readonly sender: string }
)

export interface Found {
  readonly id: string
  readonly places: readonly Place[]
  /** What was told of it, oldest first, where events are captured (`retention.events`). */
  readonly history: readonly HistoryEntry[]
}

/** One event of the message. */
export interface HistoryEntry {
  readonly at: Date
  readonly event: string
  readonly actor: string
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Looks for a message in one actor, or in all of the namespace. */
export async function findMessage(broker: Broker, id: string, actor?: string): Promise<Found> {
  const actors = actor === undefined ? await actorsWithMailbox(broker) : [actor]
  const [running, history, ...of] = await Promise.all([
    findRunning(broker, id, actor),
    readHistory(broker, id, actor),
    ...actors.map((one) => placesIn(broker, one, id)),
  ])
  const runs = new Set(running.map((place) => `${place.actor}:${place.sequence}`))
  const stored = of.flat().filter((place) => place.kind !== 'held' || !runs.has(`${place.actor}:${place.sequence}`))
  return { id, places: [...running, ...stored], history }
}

async function findRunning(broker: Broker, id: string, actor: string | undefined) {
  const running = await askRunning(broker, { id, ...(actor === undefined ? {} : { actor }) })
  return running.map(({ actor: of, message, attempt, system, worker, since, remainingMs, sequence }) => ({
    kind: 'running' as const,
    actor: of,
    message,
    attempt,
    system,
    worker,
    since: new Date(since),
    remainingMs,
    sequence,
  }))
}

async function placesIn(broker: Broker, actor: string, id: string): Promise<Place[]> {
  const places = await Promise.all([
    waitingIn(broker, actor, id),
    parkedIn(broker, actor, id),
    lettersOf(broker, actor, id),
    outcomesOf(broker, actor, id),
  ])
  return places.flat()
}

async function waitingIn(broker: Broker, actor: string, id: string): Promise<Place[]> {
  const places: Place[] = []
  for await (const { message, attempt, lane, position, sequence, sentAt } of new Mailboxes(broker).peek(actor, {
    id,
  })) {
    const at = { actor, message, attempt, lane, sequence, since: sentAt }
    places.push(position === undefined ? { kind: 'held', ...at } : { kind: 'waiting', position, ...at })
  }
  return places
}

/** What is parked by its subject; what was released a moment ago by reading all of that. */
async function parkedIn(broker: Broker, actor: string, id: string): Promise<Place[]> {
  const { subjects } = broker
  const stream = subjects.timerStream(actor)
  const places: Place[] = []
  const filters = [
    subjects.parkedLaterOfAny(actor, id),
    subjects.parkedRetriesOf(actor, id),
    subjects.timerOf('due', actor),
  ]
  for (const filter of filters) {
    for await (const stored of scan(broker, stream, { filter })) {
      if (stored.headers.get(H.id) === id) places.push(parkedPlace(stored, actor))
    }
  }
  return places
}

function parkedPlace({ headers, subject }: Stored, actor: string): Place {
  const isRetry = /\.retry\./.test(subject)
  const error = headers.get(H.error)
  return {
    kind: 'parked',
    actor,
    message: parkedName(headers.get(H.subject)),
    attempt: headers.number(H.attempt) ?? 1,
    why: !isRetry ? 'delay' : error === undefined ? 'snooze' : 'retry',
    until: new Date(headers.number(H.due) ?? 0),
    error,
  }
}

/** The subject that it was sent to, as copies keep it: its last token. */
function parkedName(subject: string | undefined): string {
  return subject?.slice(subject.lastIndexOf('.') + 1) ?? '?'
}

async function lettersOf(broker: Broker, actor: string, id: string): Promise<Place[]> {
  const { subjects } = broker
  const places: Place[] = []
  for await (const stored of scan(broker, subjects.deadStream, { filter: subjects.deadOfAnyMessage(actor, id) })) {
    const { headers, sequence, storedAt } = stored
    places.push({
      kind: 'dead',
      actor,
      message: subjects.parseDead(stored.subject)?.message ?? '?',
      attempt: headers.number(H.attempt) ?? 1,
      reason: headers.get(H.reason) ?? 'failed',
      at: new Date(storedAt),
      sequence,
      error: headers.get(H.error),
    })
  }
  return places
}

async function outcomesOf(broker: Broker, actor: string, id: string): Promise<Place[]> {
  const { subjects } = broker
  const places: Place[] = []
  for await (const stored of scan(broker, subjects.resultStream, { filter: subjects.resultOfAnySender(actor, id) })) {
    const { headers, storedAt, subject } = stored
    places.push({
      kind: 'ended',
      actor,
      message: '?',
      attempt: headers.number(H.attempt) ?? 1,
      status: headers.get(H.status) ?? 'done',
      at: new Date(storedAt),
      sender: subjects.senderOfResult(subject) ?? '?',
    })
  }
  return places
}

/** Events that are captured carry the id in their body: they are read through. Without a capture there are none. */
async function readHistory(broker: Broker, id: string, actor: string | undefined): Promise<HistoryEntry[]> {
  const { subjects } = broker
  const history: HistoryEntry[] = []
  const filter = actor === undefined ? subjects.wildcard('event') : subjects.wildcard('event', actor)
  try {
    for await (const { subject, data, storedAt } of scan(broker, subjects.eventStream, { filter })) {
      const entry = historyEntry(subject, data, storedAt)
      if (entry?.data['id'] === id) history.push(entry)
    }
  } catch (error) {
    if (!(error instanceof JetStreamError)) throw error
  }
  return history
}

function historyEntry(subject: string, body: Uint8Array, storedAt: number): HistoryEntry | undefined {
  try {
    const data = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>
    const event = subject.slice(subject.lastIndexOf('.') + 1)
    return { at: new Date(storedAt), event, actor: String(data['actor']), message: String(data['message']), data }
  } catch {
    return undefined
  }
}
