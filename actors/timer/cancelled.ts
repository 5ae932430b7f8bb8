/**
 * A cancel and what is parked: looked up by its exact place, deleted by its sequence, told. One at a time, never a wildcard purge (LIMITS.md).
 *
 * A cancel may come while its message is on its way to parking. A timer knows a cancel before it looks for what that one meets
 * (`cancelParked`), and looks for a cancel after it has parked (`dropCancelled`): whichever comes second sees the other. A timer
 * that dies between the two has not acked: whoever gets the message again looks for a cancel first.
 */
import type { ActorSpec } from '../../runtime/actor.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import { matches, type Cancel } from '../../runtime/broker/cancels.ts'
import type { Delivery } from '../../runtime/broker/delivery.ts'
import { H } from '../../runtime/broker/headers.ts'
import type { TimerServices } from '../../runtime/hosted.ts'
import type { Message } from '../../runtime/message.ts'
import { messageOf } from './copies.ts'

/** Beyond so many messages the server is asked where an id is parked. */
const MOST_NAMES = 16

/** Only by id: others are met when they are released and fetched. Returns the ids that it met. */
export async function cancelParked(
  host: Pick<TimerServices, 'broker' | 'dropped'>,
  spec: ActorSpec,
  cancel: Cancel,
): Promise<string[]> {
  if (cancel.id === undefined) return []
  const { api, subjects } = host.broker
  const stream = subjects.timerStream(spec.name)
  const hit: string[] = []
  for (const subject of await parkedSubjects(host.broker, spec, cancel.id, cancel.message)) {
    const parked = await api.readMessage(stream, { last_by_subj: subject })
    if (parked === undefined || Number(parked.headers.get(H.sent)) > cancel.at) continue
    const message = messageOf(parked, subjects, spec.name)
    if (!matches(cancel, message) || !(await api.deleteMessage(stream, parked.sequence))) continue
    hit.push(cancel.id)
    await host.dropped(message, parked, parked.headers.get(H.origin) ?? '', cancel.reason)
  }
  return hit
}

/** A message that was cancelled on its way to parking: it goes, and so does the copy of it that is parked. */
export async function dropCancelled(
  host: Pick<TimerServices, 'broker' | 'dropped'>,
  spec: ActorSpec,
  cancel: Cancel,
  { delivery, message }: { readonly delivery: Delivery; readonly message: Message },
): Promise<void> {
  const hit = await cancelParked(host, spec, { ...cancel, id: message.id, message: message.name })
  if (hit.length === 0) await host.dropped(message, delivery, delivery.origin, cancel.reason)
}

/** Where it may be delayed, and where it waits for its retry or the end of its snooze. */
async function parkedSubjects(
  { api, subjects }: Broker,
  { name, messages }: ActorSpec,
  id: string,
  message: string | undefined,
): Promise<string[]> {
  const listed = async (filter: string): Promise<string[]> => {
    const { state } = await api.streamInfo(subjects.timerStream(name), { subjects_filter: filter })
    return Object.keys(state.subjects ?? {})
  }
  const names = message === undefined ? [...messages.keys()] : [message]
  const [delayed, retries] = await Promise.all([
    names.length > MOST_NAMES
      ? listed(subjects.parkedLaterOfAny(name, id))
      : names.map((each) => subjects.parkedLater(name, each, id)),
    listed(subjects.parkedRetriesOf(name, id)),
  ])
  return [...delayed, ...retries]
}
