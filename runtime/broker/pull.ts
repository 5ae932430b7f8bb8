/**
 * Pulling from one consumer.
 *
 * Owns: what has been asked for and not been delivered (`asked`), and noticing when that has become wrong.
 * Does not own: how much to ask for, and when (flow/fetch.ts).
 *
 * Two kinds of pull: a sweep takes what is there and ends at once (`no_wait`); a standing pull waits for what comes.
 * `asked` counts down with each delivery and with what the server says was left of a pull that ended.
 *
 * How it stays right (P9):
 * 1. A pull dies with its connection: on reconnect everything starts over, under a new inbox.
 * 2. A standing pull has idle heartbeats. Silence for three of them means that the consumer, its leader or the route is gone:
 *    start over, and say so. (In a cluster a leader that dies takes the pulls along that wait there, without a word.)
 * 3. A consumer that is gone (deleted, stream deleted) is reported, so that its owner creates it again; meanwhile it asks
 *    once a second. That nobody answers for the consumer may also mean that its next leader is being elected: it counts as
 *    gone where nobody answers several times in a row.
 * 4. A standing pull is short, and renewed: the server goes on filling the pulls of a connection that is up but silent
 *    (silence.ts), and what it puts there is away for a lease. When such a connection is dialled anew, its pulls are over.
 * 5. `recall` takes standing pulls back: the subscription is drained, so what was on its way still arrives.
 */
import type { Msg, Subscription } from '@nats-io/transport-node'

import { randomToken } from '../time/chance.ts'
import { systemClock } from '../time/clock.ts'
import type { Connection } from './connection.ts'
import { Delivery } from './delivery.ts'

export interface PullHooks {
  onDelivery(delivery: Delivery): void
  /** A sweep ended: everything that it was to take has come, or there was no more. */
  onSwept(): void
  /** Standing pulls ended or were reset: there may be something to ask for. */
  onRoom(): void
  /** Something is wrong that its owner can mend or must know: the consumer is gone, silence, no permission. */
  onTrouble(trouble: Trouble): void
}

export type Trouble =
  | { readonly kind: 'gone'; readonly reason: string }
  | { readonly kind: 'silent'; readonly forMs: number }
  | { readonly kind: 'refused'; readonly reason: string }

/** Heartbeats in the time that a standing pull stands; the server takes at most one in half of it. */
const HEARTBEATS = 2.5
/** A standing pull stands for as long as a silent connection is waited for, within these. */
const STANDING_MS = [1_000, 30_000] as const
/** After trouble: before asking again. */
const PAUSE_MS = 1_000
/** Where the consumer has no leader: an election may be over at any moment. */
const LEADERLESS_PAUSE_MS = 300
/** Nobody answered so many times: the consumer is reported as gone, and again each time after as many more. */
const LEADERLESS_TIMES = 6
/** A sweep is answered at once; without an answer for so long it was lost. */
const SWEEP_TIMEOUT_MS = 5_000

export class Pull {
  readonly #connection: Connection
  readonly #subject: string
  readonly #hooks: PullHooks
  readonly #leasedSince: () => number
  readonly #heartbeatMs: number
  #subscription: Subscription | undefined
  #inbox = ''
  #arrived = 0
  #asked = 0
  #sweeping = false
  #heardAt = 0
  #pausedUntil = 0
  /** How often in a row nobody answered for the consumer. */
  #leaderless = 0
  #nextPull = 0
  #stopped = false
  /** Ends when nothing more can arrive of what was recalled last. */
  #drained: Promise<void> = Promise.resolve()
  readonly #unlisten: () => void
  readonly #watch: NodeJS.Timeout

  /** `subject` is the consumer's `…CONSUMER.MSG.NEXT…`; `leasedSince` tells from when the lease of what arrives now may count. */
  constructor(connection: Connection, subject: string, leasedSince: () => number, hooks: PullHooks) {
    this.#connection = connection
    this.#subject = subject
    this.#leasedSince = leasedSince
    this.#hooks = hooks
    this.#unlisten = connection.onConnected(() => this.#startOver())
    this.#watch = setInterval(() => this.#lookAlive(), 1_000)
    this.#watch.unref()
    const [least, most] = STANDING_MS
    this.#heartbeatMs = Math.min(most, Math.max(least, connection.settings.silentAfterMs)) / HEARTBEATS
  }

  /** Deliveries that ever came. */
  get arrived(): number {
    return this.#arrived
  }
  /** Messages that were asked for and may still come. */
  get asked(): number {
    return this.#asked
  }
  get sweeping(): boolean {
    return this.#sweeping
  }
  /** Whether a pull would be sent now. */
  get ready(): boolean {
    return !this.#stopped && this.#connection.connected && systemClock.monotonic() >= this.#pausedUntil
  }

  /** Takes at most `batch` of what is there. `onSwept` follows. */
  sweep(batch: number): void {
    if (this.#asked > 0) this.recall()
    this.#sweeping = true
    this.#send(batch, { batch, no_wait: true })
  }

  /** Waits for `batch` more messages. */
  stand(batch: number): void {
    const heartbeatMs = this.#heartbeatMs
    this.#send(batch, { batch, expires: heartbeatMs * HEARTBEATS * 1e6, idle_heartbeat: heartbeatMs * 1e6 })
  }

  /** Takes back what was asked for; what is on its way still arrives. */
  recall(): void {
    this.#asked = 0
    this.#sweeping = false
    const old = this.#subscription
    this.#subscription = undefined
    if (old !== undefined && !old.isClosed()) this.#drained = old.drain().catch(() => {})
  }

  /** Asks anew for what it waits for: the server looks at its messages when a request comes, and not when a pause ends. */
  renew(): void {
    if (this.#asked > 0) this.#startOver()
  }

  /** Recalls and resolves when nothing more can arrive. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#watch)
    this.#unlisten()
    this.recall()
    if (this.#connection.connected) await this.#drained
  }

  #send(batch: number, options: Record<string, unknown>): void {
    if (this.#subscription === undefined) this.#subscribe()
    this.#asked += batch
    this.#heardAt = systemClock.monotonic()
    const payload = Buffer.from(JSON.stringify(options))
    this.#connection.publish(this.#subject, payload, undefined, `${this.#inbox}.${this.#nextPull++}`)
  }

  #subscribe(): void {
    const inbox = `${this.#connection.settings.inboxPrefix ?? '_INBOX'}.${randomToken(16)}`
    this.#inbox = inbox
    // A delivery that arrives on a recalled subscription is still ours; its pull's status is not.
    this.#subscription = this.#connection.subscribe(`${inbox}.*`, (msg) => this.#receive(msg, inbox))
  }

  #receive(msg: Msg, inbox: string): void {
    const isCurrent = inbox === this.#inbox && this.#subscription !== undefined
    if (isCurrent) this.#heardAt = systemClock.monotonic()
    if (msg.reply !== '' && msg.reply !== undefined && !msg.subject.startsWith(inbox)) {
      this.#arrived++
      if (isCurrent && this.#asked > 0) this.#asked--
      this.#leaderless = 0
      this.#hooks.onDelivery(new Delivery(msg, this.#leasedSince()))
      if (isCurrent && this.#sweeping && this.#asked === 0) this.#endSweep()
    } else if (isCurrent) {
      this.#status(msg)
    }
  }

  /** 100 heartbeat, 404 no messages, 408 the pull's time is over, 409 something about the consumer, 503 nobody there. */
  #status(msg: Msg): void {
    const { headers } = msg
    const code = headers?.code ?? 0
    const reason = headers?.description ?? ''
    if (code === 503) return this.#noLeader()
    this.#leaderless = 0
    if (code === 100) return
    if (this.#sweeping) return code === 404 || code === 408 ? this.#endSweep() : this.#trouble(code, reason)
    if (code === 408) return this.#renew(headers?.get('Nats-Pending-Messages'))
    if (code === 404) return this.#leftOver(headers?.get('Nats-Pending-Messages'))
    if (code === 409 && /exceeded|max ?waiting|batch completed/i.test(reason))
      return this.#leftOver(headers?.get('Nats-Pending-Messages'))
    this.#trouble(code, reason)
  }

  /** What a standing pull was still waiting for when its time was over is waited for on. */
  #renew(pending: string | undefined): void {
    const left = Math.min(this.#asked, Number(pending ?? 0))
    if (!(left > 0) || !this.ready) return this.#leftOver(pending)
    this.#asked -= left
    this.stand(left)
  }

  #leftOver(pending: string | undefined): void {
    this.#asked = pending === undefined ? 0 : Math.max(0, this.#asked - Number(pending))
    this.#hooks.onRoom()
  }

  #endSweep(): void {
    this.#sweeping = false
    this.#asked = 0
    this.#hooks.onSwept()
  }

  #trouble(code: number, reason: string): void {
    const isGone = /deleted|not found/i.test(reason)
    // A leader that changes or a server that stops is everyday life: asking again is all there is to do.
    const isPassing = /leadership change|server shutdown/i.test(reason)
    if (!isPassing) this.#hooks.onTrouble({ kind: isGone ? 'gone' : 'refused', reason: `${code} ${reason}` })
    this.#pause(isPassing ? LEADERLESS_PAUSE_MS : PAUSE_MS)
  }

  /** Nobody answers for the consumer: it has no leader now, or there is no such consumer. */
  #noLeader(): void {
    this.#connection.reach.inVain(systemClock.monotonic())
    this.#leaderless++
    if (this.#leaderless % LEADERLESS_TIMES === 0)
      this.#hooks.onTrouble({ kind: 'gone', reason: '503 nobody answers for the consumer' })
    this.#pause(this.#leaderless < LEADERLESS_TIMES ? LEADERLESS_PAUSE_MS : PAUSE_MS)
  }

  #pause(pauseMs: number): void {
    this.recall()
    const pausedUntil = systemClock.monotonic() + pauseMs
    this.#pausedUntil = pausedUntil
    setTimeout(() => this.#goOn(pausedUntil), pauseMs)
  }

  /** Node fires a timer up to a millisecond early: a pull that is not ready then would never be asked for again. */
  #goOn(pausedUntil: number): void {
    if (this.#pausedUntil === pausedUntil) this.#pausedUntil = 0
    if (!this.#stopped) this.#hooks.onRoom()
  }

  #lookAlive(): void {
    if (this.#asked === 0 || !this.#connection.connected) return
    const forMs = systemClock.monotonic() - this.#heardAt
    if (forMs < (this.#sweeping ? SWEEP_TIMEOUT_MS : 3 * this.#heartbeatMs)) return
    this.#connection.reach.inVain(systemClock.monotonic(), this.#heardAt)
    this.#hooks.onTrouble({ kind: 'silent', forMs })
    this.#startOver()
  }

  #startOver(): void {
    if (this.#stopped) return
    this.recall()
    this.#pausedUntil = 0
    this.#hooks.onRoom()
  }
}
