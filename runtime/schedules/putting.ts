/**
 * Putting a schedule: creating it, or changing its definition in place.
 *
 *     check what it needs ─▶ streams and bucket ─▶ record, by compare-and-set ─▶ link of what it ran after before ─▶ its own link ─▶ tick
 *
 * Where it may die, and why that is safe: before the record is stored nothing has changed; after it timers make the link and the tick
 * (actors/timer/mending.ts). An old link that is left brings notices that timers leave aside.
 */
import type { Broker } from '../broker/broker.ts'
import { explainRefusal } from '../client/refusals.ts'
import { ActorError, BrokerError, PayloadError } from '../errors.ts'
import { linkOf, putLink, removeLink } from './chains.ts'
import { MAX_ROUNDS, parkFor, serverNow, type SchedulesHost } from './changing.ts'
import type { Definition, Resolved } from './definition.ts'
import { holdersOf } from './finding.ts'
import { changed, isBroken, newRecord, type Declared, type ScheduleRecord } from './record.ts'
import { bodyOf } from './send.ts'
import { conflict, readStored, store } from './store.ts'
import { isSame, scheduleOf, type Schedule } from './view.ts'

export interface PutOptions {
  /** The generation that was read: a change by somebody else since then is a conflict. 0: it must be new. */
  readonly generation?: number
}

/** What a `put` did. */
export type PutResult = Schedule & { readonly was: 'created' | 'changed' | 'same' }

export interface PutDeclared {
  readonly declared?: Declared
  readonly isConfined?: boolean
}

const MESSAGE_RESERVE = 20_480

/**
 * `put` of what was checked already; with where it is declared. For `troupe deploy` and for systems that start. `isConfined`: nothing of
 * other actors is touched; throws `BrokerError` `FORBIDDEN` for what needs that.
 */
export async function putResolved(
  host: SchedulesHost,
  id: string,
  resolved: Resolved,
  { generation, declared, isConfined = false }: PutOptions & PutDeclared,
): Promise<PutResult> {
  const { broker } = host
  const { actor, definition } = resolved
  checkSize(id, definition, broker.publisher.maxPayload)
  await prepare(broker, id, resolved, isConfined)
  const { now } = await serverNow(host)
  let seen = generation
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { revision, record: found } = await readStored(broker, actor, id)
    const record = found === undefined || isBroken(found) ? undefined : found
    const isThere = record !== undefined && isSame(record.definition, definition) && hasDeclared(record, declared)
    if (isThere && generation === undefined) return putDone(host, actor, id, revision, record, 'same')
    if (isConfined) checkOwn(id, actor, [definition, record?.definition])
    seen ??= record?.generation ?? 0
    if (seen !== (record?.generation ?? 0)) throw conflict(id, seen, record?.generation)
    const next =
      record === undefined
        ? newRecord(definition, now(), declared)
        : changed(record, now(), { definition, ...(declared === undefined ? {} : { declared }) })
    const stored = await store(broker, actor, id, next, revision)
    if (stored === undefined) continue
    if (record !== undefined) await removeLink(broker, actor, id, record.definition, definition)
    return putDone(host, actor, id, stored, next, record === undefined ? 'created' : 'changed')
  }
  throw conflict(id, seen, undefined)
}

async function putDone(
  host: SchedulesHost,
  actor: string,
  id: string,
  revision: number,
  record: ScheduleRecord,
  was: PutResult['was'],
): Promise<PutResult> {
  const link = linkOf(record.definition)
  if (link !== undefined) await putLink(host.broker, actor, id, link)
  if (was !== 'same') await parkFor(host, actor, id, revision, record)
  return { ...scheduleOf({ actor, id, revision, record, storedAt: record.createdAt }), was }
}

/** What has to be there before the record is. */
async function prepare(
  broker: Broker,
  id: string,
  { actor, definition, spec }: Resolved,
  isConfined: boolean,
): Promise<void> {
  if (spec === undefined) await checkActor(broker, actor, definition)
  else await broker.assets.streams(spec)
  if (!isConfined) await checkElsewhere(broker, id, actor)
  await broker.assets.schedules(actor)
}

async function checkActor(broker: Broker, actor: string, { send }: Definition): Promise<void> {
  const { api, subjects } = broker
  try {
    await api.streamInfo(subjects.mailboxStream(actor))
  } catch (error) {
    throw await explainRefusal(broker, { actor, message: send.message }, error)
  }
}

/** One id is one schedule. Who may not list buckets is not kept from putting his own. */
async function checkElsewhere(broker: Broker, id: string, actor: string): Promise<void> {
  const other = (await holdersOf(broker, id).catch(() => [])).find((holder) => holder !== actor)
  if (other === undefined) return
  const text = `expected schedule ${id} to send to ${other}, to which it belongs, got: ${actor}. Choose another id, or remove that one first.`
  throw new ActorError('SCHEDULE_ELSEWHERE', text, { data: { schedule: id, actor: other } })
}

/** What runs after messages of another actor has its link there (chains.ts): refused before anything is stored. */
function checkOwn(id: string, actor: string, definitions: readonly (Definition | undefined)[]): void {
  const other = definitions.map((one) => one?.rule.after?.actor).find((one) => one !== undefined && one !== actor)
  if (other === undefined) return
  const text = `expected schedule ${id} to be put by who may write to ${other}, after whose messages it runs, but with nats.manage off a worker of ${actor} may not. Run "troupe deploy" as an operator.`
  throw new BrokerError('FORBIDDEN', text, { data: { schedule: id, actor: other } })
}

function hasDeclared(record: ScheduleRecord, declared: Declared | undefined): boolean {
  if (declared === undefined) return true
  return record.declared?.by === declared.by && isSame(record.declared.as, declared.as)
}

function checkSize(id: string, { send }: Definition, maxPayload: number): void {
  const [size, limit] = [bodyOf(send).length, Math.max(maxPayload - MESSAGE_RESERVE, maxPayload >> 1)]
  if (size <= limit) return
  const text = `expected the payload of schedule ${id} to have at most ${limit} bytes, got: ${size}. Store the data elsewhere and send where it is.`
  throw new PayloadError('TOO_LARGE', text, { data: { size, limit } })
}
