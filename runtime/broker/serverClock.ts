/**
 * The server's clock, as well as it can be known from here.
 *
 * A stream's info carries the server's time (`ts`). Asked at `before` and answered at `after` by our monotonic clock, the
 * server's time now is at least `ts` plus what has passed since `after`. That lower bound is what `now()` tells: who waits
 * until it is past a moment is never early, and late by at most the round trip. Asked again now and then, since clocks drift.
 */
import { systemClock } from '../time/clock.ts'
import type { JetStreamApi } from './api.ts'

const AGAIN_MS = 30_000
/** Usual answers take about a millisecond. */
const LATE_MS = 20

export class ServerClock {
  readonly #api: JetStreamApi
  readonly #stream: () => string
  /** Server's epoch ms minus our monotonic ms, at most. */
  #offset: number | undefined
  #timer: NodeJS.Timeout | undefined
  /** How far this clock is ahead of the server's: 0, but where a test moves its time (testing/movedClock.ts). */
  skewMs = 0

  constructor(api: JetStreamApi, stream: () => string) {
    this.#api = api
    this.#stream = stream
  }

  /** Epoch ms, with fractions. Before the first answer: our own clock. */
  now(): number {
    return (this.#offset === undefined ? systemClock.now() : systemClock.monotonic() + this.#offset) + this.skewMs
  }

  get isKnown(): boolean {
    return this.#offset !== undefined
  }

  /** Asks the server now. Throws what the request throws. */
  async ask(): Promise<void> {
    const from = systemClock.monotonic()
    const { ts } = await this.#api.streamInfo(this.#stream())
    const answeredAt = systemClock.monotonic()
    const told = Date.parse(ts)
    // An answer that was read late, since this loop stood still, would make all that is due late: what was known is nearer, if it can be true.
    const known = this.#offset ?? Infinity
    const isNearer = answeredAt - from > LATE_MS && known >= told - answeredAt && known <= told - from
    if (!isNearer) this.#offset = told - answeredAt
  }

  /** Asks now and every 30 seconds; a failed try leaves what was known. */
  async start(): Promise<void> {
    await this.ask()
    this.#timer = setInterval(() => void this.ask().catch(() => {}), AGAIN_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
