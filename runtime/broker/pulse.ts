/**
 * Since when what arrives now may have been on its way (P2).
 *
 * While the event loop is blocked, deliveries wait in the socket, and their leases run out there; nothing in them says when
 * they left the server. So a PING is always on its way: what arrives after its PONG left the server after the PING was
 * sent. `since` is the time of that PING: a lower bound, about a round trip and a beat ago when all is well.
 */
import { systemClock } from '../time/clock.ts'
import type { Connection } from './connection.ts'

const BEAT_MS = 50

export class Pulse {
  readonly #connection: Connection
  readonly #timer: NodeJS.Timeout
  readonly #unlisten: () => void
  #isAsking = false
  #since = systemClock.monotonic()

  constructor(connection: Connection) {
    this.#connection = connection
    this.#timer = setInterval(() => void this.#beat(), BEAT_MS)
    this.#timer.unref()
    // Pulls die with their connection, so what arrives on the new one was asked for on it.
    this.#unlisten = connection.onConnected(() => (this.#since = systemClock.monotonic()))
  }

  /** Monotonic ms: what arrives now left the server after that. */
  get since(): number {
    return this.#since
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#unlisten()
  }

  async #beat(): Promise<void> {
    if (this.#isAsking || !this.#connection.connected || this.#connection.closed) return
    this.#isAsking = true
    const sentAt = systemClock.monotonic()
    try {
      await this.#connection.raw.flush()
      this.#since = Math.max(this.#since, sentAt)
    } catch {
      // The connection went; the next beat asks on the next one.
    } finally {
      this.#isAsking = false
    }
  }
}
