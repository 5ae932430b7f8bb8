/**
 * A clock that tests move: `await t.clock.advance('1h')`.
 *
 * What is delayed lies in NATS as a schedule of the real server, whose clock nobody can move. So the test system moves its own:
 * `ServerClock.skewMs`, from which senders work out when a message is due, workers whether it has expired, timers whether its moment
 * has come, and handlers their `ctx.now()`. And since the server would still release by its own time, this file releases what is
 * due by the moved one: it deletes the parked message (by its sequence: who is first, the server or we, has it) and publishes it where
 * the schedule would have. From there on the real timer does what it always does.
 *
 * 1. Time goes from moment to moment: the next at which something is due, then, when all that came of it is at rest, the
 *    next. So messages are sent in order of their due times, each sees its own time, and what they send in turn for
 *    later comes within the same `advance`.
 * 2. A handler that takes long does not hold time up for ever: after a second of real time it moves on.
 * 3. Real time goes on too. Once the clock was moved, what is parked by it is looked after in the background.
 *
 * Not moved: time limits of handlers, leases, dedupe windows, how long results are kept, and the clock of other processes.
 */
import type { Stored } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import type { ServerClock } from '../broker/serverClock.ts'
import { UnavailableError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { formatDuration, parseDuration, type Duration } from '../time/duration.ts'
import { idle, PATIENCE_MS, type Watched } from './settled.ts'

export interface AdvanceOptions {
  /** Longest time that it may take, in real time. Default 4 s. */
  timeout?: Duration
}

/** The time of a test system. */
export interface TestClock {
  now(): Date
  /**
   * Moves time forward. Resolves when everything that became due was sent, in order, and is at rest. Throws `UnavailableError`
   * `TIMEOUT` when that does not end.
   */
  advance(duration: Duration, options?: AdvanceOptions): Promise<void>
}

/** Rule 2. */
const LONG_RUN_MS = 1_000
/** Rule 3. */
const LOOK_MS = 50
const REPEAT_MS = 60_000

interface Parked {
  readonly stored: Stored
  readonly dueAt: number
}

export class MovedClock implements TestClock {
  readonly #clock: ServerClock
  readonly #watched: Watched
  /** What is known to be parked, and up to which sequence each timer stream was read. */
  #parked: Parked[] = []
  readonly #readTo = new Map<string, number>()
  #moving = 0
  #turn: Promise<unknown> = Promise.resolve()
  #looking: NodeJS.Timeout | undefined

  constructor(clock: ServerClock, watched: Watched) {
    this.#clock = clock
    this.#watched = watched
  }

  get isMoving(): boolean {
    return this.#moving > 0
  }

  now(): Date {
    return new Date(this.#clock.now())
  }

  advance(duration: Duration, { timeout = PATIENCE_MS }: AdvanceOptions = {}): Promise<void> {
    const ms = parseDuration(duration, 'advance')
    const timeoutMs = parseDuration(timeout, 'timeout')
    return this.#inTurn(async () => {
      const giveUpAt = systemClock.monotonic() + timeoutMs
      await idle(this.#watched, LONG_RUN_MS)
      const until = this.#clock.now() + ms
      await this.#pass(until, giveUpAt, timeoutMs)
      this.#moveTo(until)
      this.#look()
    })
  }

  /** Ends what goes on in the background. */
  async stop(): Promise<void> {
    clearInterval(this.#looking)
    await this.#turn.catch(() => {})
  }

  /** One move at a time. */
  #inTurn<T>(move: () => Promise<T>): Promise<T> {
    this.#moving++
    const moved = this.#turn.then(move, move).finally(() => this.#moving--)
    this.#turn = moved
    moved.catch(() => {})
    return moved
  }

  async #pass(until: number, giveUpAt: number, timeoutMs: number): Promise<void> {
    for (let moments = 0; ; moments++) {
      const next = Math.min(await this.#nextParked(), this.#nextHeld())
      if (next > until) return
      if (systemClock.monotonic() > giveUpAt) throw endless(timeoutMs, moments, until - next)
      this.#moveTo(next)
      await this.#release(next)
      await idle(this.#watched, LONG_RUN_MS)
    }
  }

  #moveTo(at: number): void {
    this.#clock.skewMs += Math.max(0, at - this.#clock.now())
    for (const hosted of this.#watched.system.hosted.values()) hosted.clockMoved()
  }

  #nextHeld(): number {
    return Math.min(...[...this.#watched.system.timers.values()].map((timer) => timer.held.nextAt))
  }

  /** The first moment at which something parked is due. */
  async #nextParked(): Promise<number> {
    for (const actor of this.#watched.system.timers.keys()) await this.#read(actor)
    return Math.min(...this.#parked.map(({ dueAt }) => dueAt))
  }

  /** Reads what was parked since the last time. */
  async #read(actor: string): Promise<void> {
    const { api, subjects } = this.#watched.broker
    const stream = subjects.timerStream(actor)
    for (;;) {
      const seq = (this.#readTo.get(actor) ?? 0) + 1
      const stored = await api.readMessage(stream, { next_by_subj: subjects.wildcard('timer.*', actor), seq })
      if (stored === undefined) return
      this.#readTo.set(actor, stored.sequence)
      const dueAt = stored.headers.number(H.due)
      if (dueAt !== undefined && stored.headers.get(H.scheduleTarget) !== undefined)
        this.#parked.push({ stored, dueAt })
    }
  }

  async #release(at: number): Promise<void> {
    const due = this.#parked.filter(({ dueAt }) => dueAt <= at)
    this.#parked = this.#parked.filter(({ dueAt }) => dueAt > at)
    due.sort((a, b) => a.dueAt - b.dueAt || a.stored.sequence - b.stored.sequence)
    for (const { stored } of due) await release(this.#watched.broker, stored)
  }

  /** Rule 3. */
  #look(): void {
    this.#looking ??= setInterval(() => {
      if (!this.isMoving) this.#inTurn(() => this.#catchUp()).catch(() => {})
    }, LOOK_MS).unref()
  }

  async #catchUp(): Promise<void> {
    const now = this.#clock.now()
    if ((await this.#nextParked()) <= now) await this.#pass(now, Infinity, 0)
  }
}

/** Does what the server would have done at its time, unless it has done so already, or the message was cancelled or replaced. */
async function release({ api, publisher }: Broker, { stream, sequence, headers, data }: Stored): Promise<void> {
  if (!(await api.deleteMessage(stream, sequence))) return
  const kept = headers.entries().filter(([name]) => !name.toLowerCase().startsWith('nats-'))
  await publisher.publish({
    subject: headers.get(H.scheduleTarget) ?? '',
    payload: data,
    headers: encodeHeaders([...kept, [H.dedupe, `moved:${sequence}`]]),
    stream,
    repeatMs: REPEAT_MS,
  })
}

function endless(timeoutMs: number, moments: number, leftMs: number): UnavailableError {
  const text =
    `expected the clock to get there within ${formatDuration(timeoutMs)}, but after ${moments} moments at which something was due it has ` +
    `${formatDuration(leftMs)} to go. Does a message send itself again and again? Else advance less, or give a longer timeout.`
  return new UnavailableError('TIMEOUT', text, { data: { moments, leftMs } })
}
