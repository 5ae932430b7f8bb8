/**
 * Was it sent already? What a timer asks before it publishes what may have been published before (P5).
 *
 * Between "stored in the mailbox" and "acked in the timer's queue" a message stands in both. Whoever gets it from the queue again
 * publishes it again, under the same key, and the mailbox's window knows the key. But a nats-server that was killed knows the keys of
 * stored messages only: what was handled by then would be sent a second time. Traced with `kill -9` of nats-server while thousands came
 * due (lease 2 s, two timers): all repeats were published by the one timer, whose ack was not sent yet or died with the server,
 * and after the restart by the other one, to which the queue had handed them meanwhile.
 *
 * The one who has published says so to the server as soon as it is back: acks are repeated (acks.ts). So what is still in the queue a
 * moment after that was not sent, or its timer died as well. Hence, before such a message is published, one read of the leader, a
 * second after the reconnect at the earliest; and only for those of which there is a doubt:
 * - handed over before;
 * - stored before the connection was lost and handed to us after it: a killed server may have forgotten that it had handed it to another;
 * - held for so long that it may have been handed to another meanwhile.
 *
 * What remains (P4's limit): the server is killed in the moment between the release and the ack, the message is handled in that moment,
 * and either its timer dies too or its ack comes later than that second. And what the server itself brings back although it had
 * confirmed the ack (LIMITS.md: single messages).
 */
import type { Broker } from '../../runtime/broker/broker.ts'
import type { Delivery } from '../../runtime/broker/delivery.ts'
import { SAFE_SHARE } from '../../runtime/broker/leases.ts'
import type { ServerClock } from '../../runtime/broker/serverClock.ts'
import { systemClock } from '../../runtime/time/clock.ts'

/** Others need that long at most, when all is well, to be back and to repeat their acks. */
const SETTLE_MS = 1_000

export class Doubts {
  readonly #leaseMs: number
  /** The last reconnect: by the server's clock (epoch ms), and by ours (monotonic ms). */
  #back = { serverAt: 0, at: -Infinity }
  #unlisten = (): void => {}

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  start({ connection }: Pick<Broker, 'connection'>, clock: Pick<ServerClock, 'now'>): void {
    this.#unlisten = connection.onConnected(() => {
      this.#back = { serverAt: clock.now(), at: systemClock.monotonic() }
    })
  }

  stop(): void {
    this.#unlisten()
  }

  /** Whether it may have been sent by another, or by us under an earlier delivery. */
  has({ count, storedAt, leasedAt }: Pick<Delivery, 'count' | 'storedAt' | 'leasedAt'>): boolean {
    const isFromBefore = leasedAt >= this.#back.at && storedAt < this.#back.serverAt
    return count > 1 || isFromBefore || systemClock.monotonic() - leasedAt > this.#leaseMs * SAFE_SHARE
  }

  /** How long those who were cut off with us may still need: ms. */
  get settlesInMs(): number {
    return Math.max(0, this.#back.at + SETTLE_MS - systemClock.monotonic())
  }
}

/** Whether somebody has sent it and acked it since it was handed to us. */
export async function isSent({ api }: Broker, { stream, sequence }: Delivery): Promise<boolean> {
  return (await api.readMessage(stream, { seq: sequence })) === undefined
}
