/** Ends of messages that never reached a handler: what the timer could not deliver, what was cancelled while parked. */
import type { Broker } from '../broker/broker.ts'
import type { Delivery } from '../broker/delivery.ts'
import { encode } from '../codec/codec.ts'
import type { Failure } from '../errors.ts'
import type { Message } from '../message.ts'
import type { DeadReason } from '../outcome.ts'
import { systemClock } from '../time/clock.ts'
import { outcomeHeaders } from './copies.ts'
import { deliverOutcome, storeLetter, type Copy, type Store } from './endings.ts'

const REPEAT_MS = 60_000

/** Stores the dead letter and the outcome, then acks the delivery. Returns its reason. Throws what the publish throws. */
export async function buryUndelivered(
  broker: Broker,
  delivery: Delivery,
  message: Message,
  failure: Failure,
  worker: string,
): Promise<DeadReason> {
  const isInvalid = failure.code === 'INVALID_HEADER' || failure.code === 'INVALID_ID'
  const reason = isInvalid ? 'invalid' : 'undeliverable'
  const at = new Date(systemClock.now()).toISOString()
  const death = { reason, failure, worker: `${worker}/timer`, at, key: `dead:${delivery.origin}` } as const
  await storeLetter(broker, { message, delivery }, death, storeIn(broker))
  await tellOutcome(broker, message, delivery.origin, 'dead', failure)
  await new Promise<void>((resolve) => broker.acks.ack(delivery, resolve))
  return reason
}

/** Tells who waits that a parked message was cancelled. Throws what the publish throws. */
export function tellDropped(broker: Broker, message: Message, origin: string, reason: string): Promise<void> {
  return tellOutcome(broker, message, origin, 'cancelled', { name: 'CancelledError', message: reason })
}

async function tellOutcome(
  broker: Broker,
  message: Message,
  origin: string,
  status: 'dead' | 'cancelled',
  failure: Failure,
): Promise<void> {
  const headers = outcomeHeaders(message, { origin }, status, 'application/json')
  const outcome = { headers, body: encode('application/json', failure) }
  await deliverOutcome(broker, message, origin, outcome, storeIn(broker))
}

function storeIn({ publisher }: Broker): Store {
  return async (copy: Copy) => (await publisher.publish({ ...copy, repeatMs: REPEAT_MS })).sequence
}
