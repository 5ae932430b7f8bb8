/** Ends of messages that never reached a handler: what the timer could not deliver, what was cancelled while parked. */
import type { Broker } from '../broker/broker.ts'
import type { Delivery } from '../broker/delivery.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import { encode } from '../codec/codec.ts'
import type { Failure } from '../errors.ts'
import type { Message } from '../message.ts'
import type { DeadReason } from '../outcome.ts'
import { systemClock } from '../time/clock.ts'
import { letterOf, outcomeHeaders } from './copies.ts'

const REPEAT_MS = 60_000

/** Stores the dead letter, then acks the delivery. Returns its reason. Throws what the publish throws. */
export async function buryUndelivered(
  broker: Broker,
  delivery: Delivery,
  message: Message,
  failure: Failure,
  worker: string,
): Promise<DeadReason> {
  const { subjects, publisher, acks } = broker
  const reason =
    failure.code === 'INVALID_HEADER' || failure.code === 'INVALID_ID'
      ? ('invalid' as const)
      : ('undeliverable' as const)
  const at = new Date(systemClock.now()).toISOString()
  const death = { reason, failure, worker: `${worker}/timer`, at, key: `dead:${delivery.origin}` }
  const { tail, body, headers } = letterOf({ message, delivery }, death, publisher.maxPayload)
  const place = [message.actor, message.name, message.id] as const
  const to = { stream: subjects.deadStream, repeatMs: REPEAT_MS }
  const stored =
    tail &&
    (await publisher.publish({
      ...to,
      subject: subjects.deadTail(...place),
      payload: tail.body,
      headers: tail.headers,
    }))
  await publisher.publish({
    ...to,
    subject: subjects.dead(...place),
    payload: body,
    headers: headers(stored?.sequence),
  })
  tellOutcome(broker, message, delivery.origin, 'dead', failure)
  await new Promise<void>((resolve) => acks.ack(delivery, resolve))
  return reason
}

/** Tells who waits that a parked message was cancelled. */
export function tellDropped(broker: Broker, message: Message, origin: string, reason: string): void {
  tellOutcome(broker, message, origin, 'cancelled', { name: 'CancelledError', message: reason })
}

function tellOutcome(
  broker: Broker,
  message: Message,
  origin: string,
  status: 'dead' | 'cancelled',
  failure: Failure,
): void {
  if (message.reply === undefined && message.keepMs === undefined) return
  const { publisher, subjects } = broker
  const headers = outcomeHeaders(message, { origin }, status, 'application/json')
  const body = encode('application/json', failure)
  if (message.reply !== undefined) publisher.tell(message.reply, body, encodeHeaders(headers))
  if (message.keepMs === undefined) return
  const kept = encodeHeaders([...headers, [H.ttl, `${Math.max(1, Math.ceil(message.keepMs / 1000))}s`]])
  publisher.tell(subjects.result(message.actor, message.sender, message.id), body, kept)
}
