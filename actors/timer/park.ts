/**
 * Parking: a delayed message becomes a schedule of the server's.
 *
 * One slot per actor, message and id. Without `replace` the slot is taken only if it is free: the same id that still waits
 * is the same message (P4). With `replace` the message that was sent last has the slot: compared by the place of its
 * origin, since two timers may park in another order than the messages were sent.
 */
import { JetStreamError } from '../../runtime/broker/api.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import type { Placed } from '../../runtime/broker/delivery.ts'
import { encodeHeaders, H } from '../../runtime/broker/headers.ts'
import { scheduleHeaders } from '../../runtime/flow/copies.ts'
import { parkedHeaders, type Later } from './copies.ts'

const REPEAT_MS = 60_000
/** Others may take the slot meanwhile; each round means that somebody else got on. */
const MAX_ROUNDS = 20

/** Resolves when it is parked, or when it need not be: it is already, or a later one has its slot. */
export async function park(broker: Broker, placed: Placed, later: Later): Promise<void> {
  let slot = 0
  for (let round = 0; round < MAX_ROUNDS; round++) {
    try {
      return await take(broker, placed, later, slot)
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.refusal !== 'conflict') throw error
    }
    const holder = await readSlot(broker, later)
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

/** Who has the slot: its own sequence, and that of the message it was made from. */
async function readSlot(
  { api, subjects }: Broker,
  { message }: Later,
): Promise<{ sequence: number; origin: number } | undefined> {
  const subject = subjects.parkedLater(message.actor, message.name, message.id)
  const found = await api.readMessage(subjects.timerStream(message.actor), { last_by_subj: subject })
  if (found === undefined) return undefined
  const origin = found.headers.get(H.origin) ?? ''
  return { sequence: found.sequence, origin: Number(origin.slice(origin.lastIndexOf(':') + 1)) }
}
