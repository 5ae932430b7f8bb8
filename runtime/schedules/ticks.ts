/**
 * Ticks: the one parked message per schedule that makes a timer look at it. A tick says "look at this schedule then" and nothing
 * else; all that is true stands in the record and in the ledger. So a tick too many costs a look, a late one is noticed by
 * whoever looks next, and a missing one is mended.
 *
 * Which time is the right one depends on the record, and two may have seen two of them. Timers park before they store what they saw
 * (a conflict then makes them look and park again); others park, and read whether the record is still the one that they parked for.
 */
import type { Broker } from '../broker/broker.ts'
import { encodeHeaders, H, type HeaderEntry } from '../broker/headers.ts'
import { HOLD_MS, scheduleHeaders } from '../flow/copies.ts'
import { LATEST_DUE } from '../message.ts'

const REPEAT_MS = 10_000

export interface ParkOptions {
  /** Epoch ms by the server's clock. */
  readonly now: number
  /** How long to try while the timer stream does not answer: ms. Default 10 s. */
  readonly awayMs?: number
}

/** Parks the next tick in the place of the one that is parked; one that is due in a moment is put where released ones are. */
export async function parkTick(
  { subjects, publisher }: Broker,
  actor: string,
  schedule: string,
  at: number,
  { now, awayMs = REPEAT_MS }: ParkOptions,
): Promise<void> {
  const dueAt = Math.min(LATEST_DUE, Math.ceil(at))
  const own: HeaderEntry[] = [
    [H.id, schedule],
    [H.due, String(dueAt)],
  ]
  const isSoon = dueAt - now <= HOLD_MS
  const due = subjects.dueTick(actor, schedule)
  // Without a dedupe key: a tick of that time may have been taken already, by who held an earlier one and let it go for that.
  const headers: HeaderEntry[] = isSoon ? own : [...own, ...scheduleHeaders(dueAt, due)]
  await publisher.publish({
    subject: isSoon ? due : subjects.parkedTick(actor, schedule),
    payload: undefined,
    headers: encodeHeaders(headers),
    stream: subjects.timerStream(actor),
    repeatMs: REPEAT_MS,
    awayMs,
  })
}

/** Makes timers look at a schedule now. `key` tells this reason from others within the dedupe window. */
export async function wakeSchedule(
  { subjects, publisher }: Broker,
  actor: string,
  schedule: string,
  now: number,
  key: string,
  awayMs = REPEAT_MS,
): Promise<void> {
  await publisher.publish({
    subject: subjects.dueTick(actor, schedule),
    payload: undefined,
    headers: encodeHeaders([
      [H.id, schedule],
      [H.due, String(Math.floor(now))],
      [H.dedupe, `wake:${schedule}:${key}`],
    ]),
    stream: subjects.timerStream(actor),
    repeatMs: REPEAT_MS,
    awayMs,
  })
}

/** Takes the parked tick away: the schedule is gone. */
export async function removeTick({ api, subjects }: Broker, actor: string, schedule: string): Promise<void> {
  const stream = subjects.timerStream(actor)
  const parked = await api.readMessage(stream, { last_by_subj: subjects.parkedTick(actor, schedule) })
  if (parked !== undefined) await api.deleteMessage(stream, parked.sequence)
}
