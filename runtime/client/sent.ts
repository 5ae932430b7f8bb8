/** What a sender holds of a message that it sent: its id, its result, its cancel. */
import type { Broker } from '../broker/broker.ts'
import type { CancelAnswer, CancelRequest } from '../broker/cancels.ts'
import type { Published } from '../broker/publisher.ts'
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

/** What a sent message needs of its sender. */
interface SentHost {
  readonly broker: Broker
  readonly name: string
  cancel(actor: string, request: CancelRequest, options: { timeout?: Duration }): ReturnType<Sent['cancel']>
}

/** How long `result()` and `ask()` wait by default. */
export const ASK_TIMEOUT_MS = 30_000

export class SentMessage implements Sent {
  readonly id: string
  readonly duplicate: boolean
  readonly #host: SentHost
  readonly #ref: { actor: string; message: string }
  readonly #isKept: boolean
  /** Its place in its mailbox, or that of the message whose duplicate it is. */
  readonly #sequence: number

  constructor(host: SentHost, ref: { actor: string; message: string }, id: string, stored: Published, isKept: boolean) {
    this.#host = host
    this.#ref = ref
    this.id = id
    this.duplicate = stored.duplicate && !stored.repeated
    this.#sequence = stored.sequence
    this.#isKept = isKept
  }

  get actor(): string {
    return this.#ref.actor
  }
  get message(): string {
    return this.#ref.message
  }

  async result(options: { timeout?: Duration } = {}): Promise<unknown> {
    if (!this.#isKept) {
      const text = `expected ${this.actor}.${this.message} to be sent with "keep", so that its result can be read. Send it with { keep: '1h' }, or use ask().`
      throw new ConfigError('NOT_KEPT', text)
    }
    const timeoutMs = options.timeout === undefined ? ASK_TIMEOUT_MS : parseDuration(options.timeout, 'timeout')
    return waitForKept(
      this.#host.broker,
      { ...this.#ref, id: this.id, sender: this.#host.name, sequence: this.#sequence },
      timeoutMs,
    )
  }

  cancel(options: { reason?: string; timeout?: Duration } = {}): Promise<{ was: CancelAnswer['was'] | 'unknown' }> {
    const { reason, ...rest } = options
    return this.#host.cancel(this.actor, { id: this.id, ...(reason === undefined ? {} : { reason }) }, rest)
  }
}
