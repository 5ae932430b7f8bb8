/**
 * Start marks (DESIGN section 5): what is known of a message's crashes, stored beside it as `troupe.mark.<actor>.<sequence>`.
 *
 * A mark says how many runs of the message were begun and not ended. It is written before a redelivered message runs, and goes
 * when the run ends; when its thread or process dies and the system lives on, it stays, now with a report. One message per
 * subject: the newest counts, and the origin says whether it is about this very message. Reads go to the stream's leader.
 */
import type { JetStreamApi } from '../broker/api.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import { readOwn } from '../broker/ownSubject.ts'
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import { NO_CRASHES, type CrashReport, type Crashes } from '../isolation/crash.ts'
import type { Run } from './run.ts'

export interface MarkHost {
  readonly api: JetStreamApi
  readonly publisher: Publisher
  readonly subjects: Subjects
}

const REPEAT_MS = 60_000
/** As an ack (acks.ts): a mark that stays behind when NATS was away for longer counts as a crash. */
const ERASE_MS = 600_000

/** What is known of a message's crashes; none where it has no mark. */
export async function readCrashes(host: MarkHost, { message, delivery }: Run): Promise<Crashes> {
  const { subjects } = host
  const subject = subjects.mark(message.actor, delivery.sequence)
  const found = await readOwn(host, subjects.markStream, subject)
  return found?.headers.get(H.origin) === delivery.origin ? parseCrashes(found.data) : NO_CRASHES
}

/** Stores it. `step` makes the key, so that a repeat is no other mark: one word for each place that writes one. */
export async function writeCrashes(host: MarkHost, run: Run, crashes: Crashes, step: 'begun' | 'crashed' | 'released') {
  const { publisher, subjects } = host
  const { message, delivery } = run
  const headers = encodeHeaders([
    [H.dedupe, `mark:${message.actor}:${delivery.sequence}:${delivery.count}:${step}`],
    [H.origin, delivery.origin],
  ])
  await publisher.publish({
    subject: subjects.mark(message.actor, delivery.sequence),
    payload: Buffer.from(JSON.stringify(crashes)),
    headers,
    stream: subjects.markStream,
    repeatMs: REPEAT_MS,
  })
}

/** The run does not count; crashes before it still do. Never rejects. */
export async function takeBackCrash(host: MarkHost, run: Run): Promise<void> {
  run.marked = false
  const known = run.crashes.count > 0
  await (known ? writeCrashes(host, run, run.crashes, 'released') : eraseCrashes(host, run)).catch(() => {})
}

/**
 * The message has ended: nothing is known of it any more. An empty mark takes the place of what was known, and goes by itself:
 * whoever may purge could purge the marks of all actors.
 */
export async function eraseCrashes({ publisher, subjects }: MarkHost, { message, delivery }: Run): Promise<void> {
  await publisher.publish({
    subject: subjects.mark(message.actor, delivery.sequence),
    payload: undefined,
    headers: encodeHeaders([[H.ttl, '1s']]),
    stream: subjects.markStream,
    repeatMs: ERASE_MS,
  })
}

/** Before 0.2 a mark was a number. What is neither says nothing. */
export function parseCrashes(data: Uint8Array): Crashes {
  try {
    const mark: unknown = JSON.parse(Buffer.from(data).toString())
    if (typeof mark === 'number') return { ...NO_CRASHES, count: whole(mark) }
    const { count, seen, reports } = mark as Readonly<Record<string, unknown>>
    return { count: whole(count), seen: whole(seen), reports: Array.isArray(reports) ? (reports as CrashReport[]) : [] }
  } catch {
    return NO_CRASHES
  }
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : 0
}
