/** What a sender holds of a message that it sent: its id, its result, its cancel. */
import type { Broker } from '../broker/broker.ts'
import type { CancelAnswer, CancelRequest } from '../broker/cancels.ts'
import { ConfigError } from '../errors.ts'
import { parseDuration, type Duration } from '../time/duration.ts'
import { waitForKept } from './results.ts'

/** A message that is stored. */
export interface Sent<Result = unknown> {
  readonly id: string
  readonly actor: string
  readonly message: string
  /**
   * The id was known within the dedupe window: the earlier message stands, this one was not stored again. False where an ack was
   * lost and NATS was asked again: what it knows then is most likely our own first try.
   */
  readonly duplicate: boolean
  /** Its outcome, as kept (`keep`). Throws `OutcomeError` where it did not end as done, `UnavailableError` `TIMEOUT`, `ConfigError` `NOT_KEPT`. */
  result(options?: { timeout?: Duration }): Promise<Result>
  /** Cancels it wherever it is. `was` says what it met; `unknown` = nothing within the timeout: it waits, or has ended. */
  cancel(options?: { reason?: string; timeout?: Duration }): Promise<{ was: CancelAnswer['was'] | 'unknown' }>
}

/** What a sent message is made from: plain data. */
export interface SentPlace {
  readonly actor: string
  readonly message: string
  readonly id: string
  readonly duplicate: boolean
  /** Its place in its mailbox, or that of the message whose duplicate it is. */
  readonly sequence: number
  readonly isKept: boolean
}

/** What a sent message needs of its sender. */
interface SentHost {
  readonly broker: Broker
  readonly name: string
  cancel(actor: string, request: CancelRequest, options: { timeout?: Duration }): ReturnType<Sent['cancel']>
}

/** How long `result()` and `ask()` wait by default. */
export const ASK_TIMEOUT_MS = 30_000

export class SentMessage implements Sent {
  readonly place: SentPlace
  readonly #host: SentHost

  constructor(host: SentHost, place: SentPlace) {
    this.#host = host
    this.place = place
  }

  get id(): string {
    return this.place.id
  }
  get duplicate(): boolean {
    return this.place.duplicate
  }
  get actor(): string {
    return this.place.actor
  }
  get message(): string {
    return this.place.message
  }

  async result(options: { timeout?: Duration } = {}): Promise<unknown> {
    const { actor, message, id, sequence, isKept } = this.place
    if (!isKept) {
      const text = `expected ${actor}.${message} to be sent with "keep", so that its result can be read. Send it with { keep: '1h' }, or use ask().`
      throw new ConfigError('NOT_KEPT', text)
    }
    const timeoutMs = options.timeout === undefined ? ASK_TIMEOUT_MS : parseDuration(options.timeout, 'timeout')
    return waitForKept(this.#host.broker, { actor, message, id, sender: this.#host.name, sequence }, timeoutMs)
  }

  cancel(options: { reason?: string; timeout?: Duration } = {}): Promise<{ was: CancelAnswer['was'] | 'unknown' }> {
    const { reason, ...rest } = options
    return this.#host.cancel(this.actor, { id: this.id, ...(reason === undefined ? {} : { reason }) }, rest)
  }
}
