/** Asking a consumer for messages: PROTOCOL.md, "Pulling". */
import { newInbox, type Received, type Wire } from '../wire.ts'
import { deliveryOf, type Delivery } from './message.ts'

export interface Ask {
  readonly batch: number
  /** How long the server waits for messages; absent: it gives what is there and says 404 where that is less. */
  readonly waitMs?: number
}

/** Longest silence beyond the wait: then the consumer, or the way to it, is gone. */
const PATIENCE_MS = 5_000

/** Resolves when the batch is full or the server says that it has ended. Deliveries are told as they come. */
export function pull(
  wire: Wire,
  from: { readonly stream: string; readonly consumer: string },
  { batch, waitMs }: Ask,
  onDelivery: (delivery: Delivery) => void,
): Promise<void> {
  const inbox = newInbox()
  const options = waitMs === undefined ? { batch, no_wait: true } : { batch, expires: waitMs * 1_000_000 }
  return new Promise((resolve) => {
    let left = batch
    const end = (): void => {
      clearTimeout(timer)
      unsubscribe()
      resolve()
    }
    const timer = setTimeout(end, (waitMs ?? 0) + PATIENCE_MS)
    const unsubscribe = wire.subscribe(inbox, (message: Received) => {
      // Deliveries have a reply subject that acks them; the server's own words (404, 408, 409) have a status.
      if (message.reply?.startsWith('$JS.ACK.')) {
        onDelivery(deliveryOf(message))
        if (--left === 0) end()
      } else if (message.status !== 100) {
        end()
      }
    })
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${from.stream}.${from.consumer}`
    wire.publish(subject, {}, Buffer.from(JSON.stringify(options)), inbox)
  })
}
