/**
 * The fastest way that LIMITS.md found to publish with an answer: one wildcard subscription for all, a token per request.
 * Serves publishes, confirmed acks and outcomes.
 */
import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/nats-core'
import { createInbox } from '@nats-io/nats-core'

export class Inbox {
  readonly #nc: NatsConnection
  readonly #prefix: string
  readonly #waiting = new Map<number, (reply: Msg) => void>()
  #requests = 0

  constructor(nc: NatsConnection) {
    this.#nc = nc
    this.#prefix = `${createInbox()}.`
    nc.subscribe(`${this.#prefix}*`, { callback: (_, reply) => this.#settle(reply) })
  }

  /** Publishes and calls back with the answer. */
  request(subject: string, data: Uint8Array, answered: (reply: Msg) => void): void {
    this.#nc.publish(subject, data, { reply: this.address(answered) })
  }

  /** A subject to which exactly one answer is expected. */
  address(answered: (reply: Msg) => void): string {
    const token = ++this.#requests
    this.#waiting.set(token, answered)
    return this.#prefix + token
  }

  /** Publishes to a stream; resolves when JetStream has stored it. */
  store(subject: string, data: Uint8Array | string, headers: MsgHdrs): Promise<void> {
    return new Promise((resolve, reject) => {
      // Not named: tsx keeps names with a call for each closure, which costs a third of a message here.
      const reply = this.address((reply) => (isStored(reply) ? resolve() : reject(new Error(reply.string()))))
      this.#nc.publish(subject, data, { headers, reply })
    })
  }

  #settle(reply: Msg): void {
    const token = Number(reply.subject.slice(this.#prefix.length))
    const answered = this.#waiting.get(token)
    this.#waiting.delete(token)
    answered?.(reply)
  }
}

// A publish ack is `{"stream":…`, a refusal `{"error":…`, and no stream at all is an empty body with a 503 header.
function isStored(reply: Msg): boolean {
  return reply.data[2] === 's'.charCodeAt(0)
}
