/**
 * The four words that end or extend a delivery (JetStream's ack protocol), each confirmed by the server.
 *
 * An ack may be repeated for long: what is done is done, whoever holds the message now. A nak or a term may not: it would
 * hit another worker's delivery (tried), so it is repeated only while the lease surely holds.
 */
import { systemClock } from '../time/clock.ts'
import type { Delivery } from './delivery.ts'
import { isNoResponders, type Replies, type Request } from './replies.ts'

const ACK = Buffer.from('+ACK')
const NAK = Buffer.from('-NAK')
const TERM = Buffer.from('+TERM')

/** How long an ack without an answer is repeated: a server may be away for that long. */
const ACK_PATIENCE_MS = 600_000
/** How long it is repeated where the consumer has no leader: one is elected within seconds, or the consumer is gone. */
const LEADER_PATIENCE_MS = 30_000
const LEADER_PAUSE_MS = 200

export class Acks {
  readonly #replies: Replies

  constructor(replies: Replies) {
    this.#replies = replies
  }

  /** `then` is called when the consumer's leader has it, or when no more can be done (it is gone, the patience is over). */
  ack(delivery: Delivery, then: () => void): void {
    this.#say(delivery, ACK, this.#replies.roughNow + ACK_PATIENCE_MS, then)
  }

  /** Gives it back: at once, or after a delay. */
  nak(delivery: Delivery, delayMs: number, leaseUntil: number, then: () => void): void {
    const word = delayMs > 0 ? Buffer.from(`-NAK ${JSON.stringify({ delay: Math.round(delayMs * 1e6) })}`) : NAK
    this.#say(delivery, word, leaseUntil, then)
  }

  /** Ends it without having handled it. */
  term(delivery: Delivery, leaseUntil: number, then: () => void): void {
    this.#say(delivery, TERM, leaseUntil, then)
  }

  #say(delivery: Delivery, payload: Uint8Array, repeatUntil: number, then: () => void): void {
    let leaderUntil: number | undefined
    const request: Request = {
      subject: delivery.ackSubject,
      payload,
      headers: undefined,
      repeatUntil,
      onReply: (reply) => {
        if (!isNoResponders(reply)) return then()
        const now = systemClock.monotonic()
        leaderUntil ??= Math.min(repeatUntil, now + LEADER_PATIENCE_MS)
        if (now >= leaderUntil) then()
        else setTimeout(() => this.#replies.request(request), LEADER_PAUSE_MS)
        return 'away'
      },
      onError: then,
    }
    this.#replies.request(request)
  }
}
