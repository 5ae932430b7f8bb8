/**
 * What every change of a schedule comes down to: one compare-and-set of the record, then a tick that makes a timer look at it.
 *
 * Where it may die, and why that is safe: between the two it leaves a record whose tick is late by at most `timer.check`, since timers look
 * whether every schedule has one. Whoever loses the compare-and-set reads again; where people (not timers) have changed it
 * meanwhile, that is a conflict, and theirs stands.
 */
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import type { ServerClock } from '../broker/serverClock.ts'
import { ConfigError } from '../errors.ts'
import { findSchedule, type WhichSchedule } from './finding.ts'
import { nextLook } from './nextLook.ts'
import { isBroken, type ScheduleRecord } from './record.ts'
import { conflict, readStored, store } from './store.ts'
import { parkTick, wakeSchedule } from './ticks.ts'
import { scheduleOf, type Schedule } from './view.ts'

/** What the API needs of its process. */
export interface SchedulesHost {
  readonly broker: Broker
  readonly clock: ServerClock
  readonly lostAfterMs: number
}

/** Timers and others may store it meanwhile; each round means that somebody got on. */
export const MAX_ROUNDS = 100
const TICK_AWAY_MS = 1_000

/**
 * Changes the record of a schedule. Throws as `findSchedule`, `ConfigError` `BROKEN_SCHEDULE`, and `UnavailableError` `SCHEDULE_CONFLICT`.
 */
export async function changeSchedule(
  host: SchedulesHost,
  id: string,
  which: WhichSchedule,
  change: (record: ScheduleRecord) => ScheduleRecord,
): Promise<Schedule> {
  const { broker } = host
  let seen: number | undefined
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await findSchedule(broker, id, which)
    if (isBroken(found.record)) throw brokenSchedule(id, found.record.broken)
    const { generation } = found.record
    seen ??= generation
    if (generation !== seen) throw conflict(id, seen, generation)
    const record = change(found.record)
    if (record === found.record) return scheduleOf(found)
    const revision = await store(broker, found.actor, id, record, found.revision)
    if (revision === undefined) continue
    await parkFor(host, found.actor, id, revision, record)
    return scheduleOf({ ...found, revision, record })
  }
  throw conflict(id, seen, undefined)
}

/** Parks the tick for this record, and again as long as another record stands there by then. */
export async function parkFor(
  host: SchedulesHost,
  actor: string,
  id: string,
  revision: number,
  record: ScheduleRecord,
): Promise<void> {
  const { broker, clock } = host
  let [parked, current] = [revision, record]
  try {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const now = clock.now()
      const at = nextLook(id, current, now, host)
      if (at !== undefined && at <= now) await wakeSchedule(broker, actor, id, now, `${parked}`, TICK_AWAY_MS)
      else if (at !== undefined) await parkTick(broker, actor, id, at, { now, awayMs: TICK_AWAY_MS })
      const found = await readStored(broker, actor, id)
      if (found.record === undefined || isBroken(found.record) || found.revision === parked) return
      parked = found.revision
      current = found.record
    }
  } catch (error) {
    ifNoTimer(error)
  }
}

/** The server's clock, asked when it is needed first. */
export async function serverNow({ clock, broker }: SchedulesHost): Promise<{ now: () => number }> {
  if (!clock.isKnown) {
    await broker.assets.shared()
    await clock.start()
  }
  return { now: () => clock.now() }
}

/** No timer has ever run for the actor: the first that does looks for schedules without a tick. */
export function ifNoTimer(error: unknown): void {
  if (error instanceof JetStreamError && (error.refusal === 'away' || error.refusal === 'gone')) return
  throw error
}

function brokenSchedule(id: string, problem: string): ConfigError {
  const text = `expected schedule ${id} to have a record that can be read, but: ${problem}. Put it again, or remove it.`
  return new ConfigError('BROKEN_SCHEDULE', text, { data: { schedule: id } })
}
