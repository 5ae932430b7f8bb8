/** Where records are: read, listed and written by compare-and-set, for all actors of the namespace. */
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { PayloadError, UnavailableError } from '../errors.ts'
import type { BrokenRecord, ScheduleRecord } from './record.ts'
import { encodeRecord, readRecord } from './recordBytes.ts'

/** A record with its place and revision. */
export interface StoredRecord {
  readonly actor: string
  readonly id: string
  readonly revision: number
  readonly record: ScheduleRecord | BrokenRecord
  /** Epoch ms by the server's clock. */
  readonly storedAt: number
}

/** The record of a schedule; `revision` alone where it was deleted or never was. */
export async function readStored(
  broker: Broker,
  actor: string,
  id: string,
): Promise<StoredRecord | { readonly revision: number; readonly record?: undefined }> {
  const entry = await broker.schedules(actor).read(id)
  if (entry?.data === undefined) return { revision: entry?.revision ?? 0 }
  const { revision, data, storedAt } = entry
  return { actor, id, revision, record: readRecord(`schedule ${id}`, data, storedAt), storedAt }
}

/** All records of an actor, broken ones too, by id. */
export async function listStored(broker: Broker, actor: string): Promise<StoredRecord[]> {
  const entries = await broker.schedules(actor).list('*')
  const stored = entries.flatMap(({ key, data, revision, storedAt }) =>
    data === undefined
      ? []
      : [{ actor, id: key, revision, record: readRecord(`schedule ${key}`, data, storedAt), storedAt }],
  )
  return stored.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/**
 * Stores a record over the revision that was read. Returns the new revision, or undefined where it is another by now.
 * Throws `PayloadError` `TOO_LARGE`.
 */
export async function store(
  broker: Broker,
  actor: string,
  id: string,
  record: ScheduleRecord,
  revision: number,
): Promise<number | undefined> {
  const bytes = encodeRecord(record)
  const limit = broker.publisher.maxPayload - HEADER_RESERVE
  if (bytes.length > limit) {
    const text = `expected schedule ${id} to have at most ${limit} bytes, got: ${bytes.length}. Store the payload elsewhere and send where it is.`
    throw new PayloadError('TOO_LARGE', text, { data: { size: bytes.length, limit } })
  }
  return ifCurrent(() => broker.schedules(actor).write(id, bytes, revision))
}

const HEADER_RESERVE = 1_024

/** What a write returns, or undefined where the revision is another by now. */
export async function ifCurrent(write: () => Promise<number>): Promise<number | undefined> {
  try {
    return await write()
  } catch (error) {
    if (error instanceof JetStreamError && error.refusal === 'conflict') return undefined
    throw error
  }
}

/** The actors that have a bucket of schedules, or one with that schedule in it. */
export async function actorsWithSchedules({ api, subjects }: Broker): Promise<string[]> {
  const prefix = `KV_${subjects.schedulesBucket('')}`
  const names: string[] = []
  for (;;) {
    const page = await api.call<{ streams?: string[] | null; total: number }>('STREAM.NAMES', {
      offset: names.length,
      subject: '$KV.>',
    })
    names.push(...(page.streams ?? []))
    if (names.length >= page.total || !page.streams?.length) break
  }
  return names.flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : [])).toSorted()
}

/** Two edited one schedule at once, and the other won. */
export function conflict(id: string, expected: number | undefined, found: number | undefined): UnavailableError {
  const was = expected === undefined ? 'no schedule of that id' : `generation ${expected}`
  const is = found === undefined ? 'it is gone' : `it is at generation ${found}`
  const text = `expected schedule ${id} to be as it was read (${was}), but somebody changed it meanwhile: ${is}. Read it again and decide anew.`
  return new UnavailableError('SCHEDULE_CONFLICT', text, { data: { schedule: id, expected, found } })
}
