/**
 * Finding a schedule by its id. An id is one schedule, whichever actor it sends to, so people need not say whose it is; only where two
 * actors have one each (written by hand, or put by who may not see the other's) do they have to.
 */
import type { Broker } from '../broker/broker.ts'
import { ActorError, didYouMean } from '../errors.ts'
import { checkScheduleId } from './definition.ts'
import { actorsWithSchedules, listStored, readStored, type StoredRecord } from './store.ts'

export interface WhichSchedule {
  /** The actor that it belongs to; needed only where two actors have a schedule of that id. */
  readonly actor?: string
}

/** Its record, broken or not. Throws `ActorError` `NO_SCHEDULE`, `AMBIGUOUS_SCHEDULE`. */
export async function findSchedule(broker: Broker, id: string, { actor }: WhichSchedule): Promise<StoredRecord> {
  checkScheduleId(id)
  const owner = actor ?? (await actorOf(broker, id))
  const found = await readStored(broker, owner, id)
  if (found.record === undefined) throw await noSchedule(broker, id, actor)
  return found
}

/** The one actor that has it. Throws as `findSchedule`. */
export async function actorOf(broker: Broker, id: string): Promise<string> {
  const [actor, other] = await holdersOf(broker, checkScheduleId(id))
  if (actor === undefined) throw await noSchedule(broker, id, undefined)
  if (other === undefined) return actor
  const text = `expected one schedule ${id}, but ${actor} and ${other} have one each. Name the actor.`
  throw new ActorError('AMBIGUOUS_SCHEDULE', text, { data: { schedule: id, actors: [actor, other] } })
}

/** The actors that have a schedule of that id. */
export async function holdersOf(broker: Broker, id: string): Promise<string[]> {
  const actors = await actorsWithSchedules(broker)
  const found = await Promise.all(actors.map((actor) => broker.schedules(actor).read(id)))
  return actors.filter((_, index) => found[index]?.data !== undefined)
}

async function noSchedule(broker: Broker, id: string, actor: string | undefined): Promise<ActorError> {
  const known = await listSchedules(broker, actor === undefined ? {} : { actor }).catch(() => [])
  const ids = known.map((one) => one.id)
  const of = actor === undefined ? '' : ` of actor ${actor}`
  const text = `expected a schedule${of}, got: ${JSON.stringify(id)}${didYouMean(id, ids)} (${ids.length === 0 ? 'there is none' : `there are: ${ids.slice(0, 20).join(', ')}`})`
  return new ActorError('NO_SCHEDULE', text, { data: { schedule: id } })
}

/** All of one actor, or of every one. */
export async function listSchedules(broker: Broker, { actor }: WhichSchedule): Promise<StoredRecord[]> {
  const actors = actor === undefined ? await actorsWithSchedules(broker) : [actor]
  const stored = await Promise.all(actors.map((one) => listStored(broker, one)))
  return stored.flat()
}
