/**
 * Parking: a delayed message becomes a schedule of the server's.
 *
 * One slot per actor, message and id. Without `replace` the slot is taken only if it is free: the same id that still waits
 * is the same message (P4). With `replace` the message that was sent last has the slot: compared by the place of its
 * origin, since two timers may park in another order than the messages were sent.
 *
 * The slot is free again from the moment at which the server releases, half a second before the message is due. So that a
 * later one can still replace it, whoever releases a replaceable message asks first (`isReplaced`); and one that is due too
 * soon to be parked is put where released ones are, since nobody could see what a timer only holds in memory.
 */
import { JetStreamError } from '../../runtime/broker/api.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import type { Placed } from '../../runtime/broker/delivery.ts'
import { encodeHeaders, H } from '../../runtime/broker/headers.ts'
import { scheduleHeaders } from '../../runtime/flow/copies.ts'
import { parkedHeaders, type Due, type Later } from './copies.ts'

const REPEAT_MS = 60_000
/** Others may take the slot meanwhile; each round means that somebody else got on. */
const MAX_ROUNDS = 20

/** Puts a replacing message that is due in a moment among the released ones; one that is parked under its id goes. */
export async function putWithReleased(broker: Broker, placed: Placed, later: Later): Promise<void> {
  const { subjects, publisher, api } = broker
  const { actor, name, id } = later.message
  const stream = subjects.timerStream(actor)
  const holder = await readSlot(broker, actor, subjects.parkedLater(actor, name, id))
  if (holder !== undefined && holder.origin >= placed.sequence) return
  if (holder !== undefined) await api.deleteMessage(stream, holder.sequence)
  const headers = encodeHeaders(parkedHeaders(placed, later))
  const subject = subjects.dueLater(actor, name, id)
  await publisher.publish({ subject, payload: placed.data, headers, stream, repeatMs: REPEAT_MS })
}

/** Whether a message that was sent later has the place of this one. In this order: while released it is never in neither. */
export async function isReplaced(broker: Broker, actor: string, { name, id, place }: Due): Promise<boolean> {
  const { subjects } = broker
  for (const subject of [subjects.parkedLater(actor, name, id), subjects.dueLater(actor, name, id)]) {
    const holder = await readSlot(broker, actor, subject)
    if (holder !== undefined && holder.origin > place) return true
  }
  return false
}

/** Resolves when it is parked, or when it need not be: it is already, or a later one has its slot. */
export async function park(broker: Broker, placed: Placed, later: Later): Promise<void> {
  let slot = 0
  for (let round = 0; round < MAX_ROUNDS; round++) {
    try {
      return await take(broker, placed, later, slot)
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.refusal !== 'conflict') throw error
    }
    const { actor, name, id } = later.message
    const holder = await readSlot(broker, actor, broker.subjects.parkedLater(actor, name, id))
    if (holder !== undefined && (!later.isReplacing || holder.origin >= placed.sequence)) return
    slot = holder?.sequence ?? 0
  }
  throw new Error(`the slot of ${later.message.id} changed ${MAX_ROUNDS} times while it was to be taken`)
}

async function take({ subjects, publisher }: Broker, placed: Placed, later: Later, slot: number): Promise<void> {
  const { actor, name, id } = later.message
  const headers = encodeHeaders([
    ...parkedHeaders(placed, later),
    ...scheduleHeaders(later.due.at, subjects.dueLater(actor, name, id)),
    [H.expectedLastSubjectSequence, String(slot)],
  ])
  const subject = subjects.parkedLater(actor, name, id)
  await publisher.publish({
    subject,
    payload: placed.data,
    headers,
    stream: subjects.timerStream(actor),
    repeatMs: REPEAT_MS,
  })
}

/** Who has the place: its own sequence, and that of the message it was made from. */
async function readSlot(
  { api, subjects }: Broker,
  actor: string,
  subject: string,
): Promise<{ sequence: number; origin: number } | undefined> {
  const found = await api.readMessage(subjects.timerStream(actor), { last_by_subj: subject })
  if (found === undefined) return undefined
  const origin = found.headers.get(H.origin) ?? ''
  return { sequence: found.sequence, origin: Number(origin.slice(origin.lastIndexOf(':') + 1)) }
}
