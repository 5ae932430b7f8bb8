/**
 * The ledger: what became of every occurrence (P6). A stream with a subject per occurrence,
 * `troupe.ledger.<actor>.<schedule>.<planned>`, and on it one entry after the other, each a JSON object that says all that is known by then:
 *
 *     intent ──▶ sent ──▶ ended          waiting ──▶ intent …          skipped, missed
 *
 * Every entry is stored under the condition that the last one is still what its writer has read
 * (`Nats-Expected-Last-Subject-Sequence`), so of two writers one finds out. Reads go to the stream's leader. That makes
 * a subject of the ledger the one authority on its occurrence, whoever died or was late, and whatever the dedupe window still knows:
 *
 * L1. An occurrence is accounted for once: the first entry is created where there is none.
 * L2. A message runs only when its entry is `sent` with the place of that message (or of the one it is a retry of). Of several copies
 *     in the mailbox (a publish repeated beyond the dedupe window, a server that brought one back) one runs, the others are ended
 *     unrun where they are met.
 * L3. A message of an occurrence leaves the mailbox as done only after `ended` is stored.
 */
import { JetStreamError, type Stored } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import { readOwn, readSeen } from '../broker/ownSubject.ts'
import type { Failure } from '../errors.ts'
import type { Status } from '../outcome.ts'
import { formatMoment } from './moments.ts'
import type { Cause, Maker } from './record.ts'

export type EntryStep = 'intent' | 'waiting' | 'sent' | 'skipped' | 'missed' | 'ended'

/** One entry, as JSON. Moments are RFC 3339. */
export interface Entry {
  readonly step: EntryStep
  readonly planned: string
  readonly by: Maker
  /** When this entry was made, by the server's clock as its writer knows it. */
  readonly at: string
  /** The timer or worker that wrote it. */
  readonly writer: string
  /** Why it was skipped or missed. */
  readonly reason?: string
  /** Missed together with it: all that was planned up to there. */
  readonly until?: string
  /** How many that were, as far as they were counted. */
  readonly count?: number
  readonly message?: string
  /** The message's id. */
  readonly id?: string
  readonly key?: string
  readonly cause?: Cause
  /** Planned time of the run before it. */
  readonly previous?: string
  /** Timers look at the schedule again as soon as this run has ended. */
  readonly wake?: true
  readonly sent?: { readonly at: string; readonly sequence: number }
  readonly outcome?: RunOutcome
}

export interface RunOutcome {
  /** `lost`: none came for so long that it counts as ended. */
  readonly status: Status | 'lost'
  readonly at: string
  /** `<stream>:<sequence>` of the delivery that ended. */
  readonly place: string
  readonly attempts?: number
  /** The handler's time of its last attempt. */
  readonly ms?: number
  /** What the handler returned, where it is JSON of at most 8 KB. */
  readonly result?: unknown
  readonly failure?: Failure
}

/** An entry with its place. */
export interface Account {
  readonly entry: Entry
  readonly sequence: number
}

/** One occurrence: whose, and when. */
export interface Place {
  readonly actor: string
  readonly schedule: string
  /** Epoch ms. */
  readonly planned: number
}

/** A write without an answer is repeated so long: it conflicts with itself, and its writer reads what stands. */
const REPEAT_MS = 10_000

/** The last entry of an occurrence. */
export function readAccount(broker: Broker, place: Place): Promise<Account | undefined> {
  return lastEntry(readOwn, broker, place)
}

/** The same for who looks and may not write there. A copy may answer that does not have the last entry yet. */
export function seeAccount(broker: Broker, place: Place): Promise<Account | undefined> {
  return lastEntry(readSeen, broker, place)
}

async function lastEntry(read: typeof readOwn, broker: Broker, place: Place): Promise<Account | undefined> {
  const { subjects } = broker
  const subject = subjects.ledger(place.actor, place.schedule, place.planned)
  const stored = await read(broker, subjects.ledgerStream, subject)
  return stored && accountOf(stored)
}

/**
 * Adds an entry behind the one of that sequence (0: there is none). Returns its own sequence, or undefined where
 * another stands there by now.
 */
export async function addEntry(
  { publisher, subjects }: Broker,
  place: Place,
  entry: Entry,
  behind: number,
): Promise<number | undefined> {
  try {
    const { sequence } = await publisher.publish({
      subject: subjects.ledger(place.actor, place.schedule, place.planned),
      payload: Buffer.from(JSON.stringify(entry)),
      headers: encodeHeaders([[H.expectedLastSubjectSequence, String(behind)]]),
      stream: subjects.ledgerStream,
      repeatMs: REPEAT_MS,
    })
    return sequence
  } catch (error) {
    if (error instanceof JetStreamError && error.refusal === 'conflict') return undefined
    throw error
  }
}

const STEPS: readonly EntryStep[] = ['intent', 'waiting', 'sent', 'skipped', 'missed', 'ended']

/** What stands there, whoever wrote it: what is no entry counts as an occurrence that somebody struck out. */
export function accountOf({ data, sequence, storedAt }: Pick<Stored, 'data' | 'sequence' | 'storedAt'>): Account {
  try {
    const entry = JSON.parse(Buffer.from(data).toString()) as Entry
    if (STEPS.includes(entry.step)) return { entry, sequence }
  } catch {
    // Below.
  }
  const at = formatMoment(storedAt)
  const reason = 'an entry that cannot be read stands in the ledger'
  return { entry: { step: 'skipped', planned: at, by: 'rule', at, writer: '?', reason }, sequence }
}
