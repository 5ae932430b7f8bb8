/**
 * The timer: a built-in actor that every system runs for each actor that it hosts. It puts messages into their mailbox when
 * they are due. Any number of timers may run for one actor; none is a leader (P5).
 *
 * Two queues come in:
 * - `later`: a delayed message as its sender stored it. Due soon: held until then. Else parked in the timer stream, with the
 *   server's own schedule, and forgotten here.
 * - `due`: what the server released, up to 500 ms before it is due. Held until then.
 * What is held is unacked, and at its moment: published to its lane under the key of its parking, then acked.
 *
 * Where it may die, and why that is safe
 * 1. Parked, not acked: the `later` message comes again and is parked under the same key, on the same subject: one message.
 * 2. Held: comes again after the lease, to any timer; late, once.
 * 3. Published, not acked: comes again and is published under the same key, which the mailbox's window knows: one message.
 *    Only where NATS was killed in between and the message was handled meanwhile is it sent twice (P4's limit).
 * 4. A retry's original was never acked (its worker died between parking and ack): before the copy is published the original
 *    is deleted by its sequence. Until then a redelivered original finds the parked copy and acks itself. So there is
 *    one message to run at any moment, never two.
 * Never early: due is compared with a lower bound of the server's clock (serverClock.ts).
 */
import type { ActorSpec } from '../../runtime/actor.ts'
import { JetStreamError } from '../../runtime/broker/api.ts'
import { SAFE_SHARE_OF_WINDOW } from '../../runtime/broker/assets.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import { matches, type Cancel } from '../../runtime/broker/cancels.ts'
import type { Delivery, Placed } from '../../runtime/broker/delivery.ts'
import { H } from '../../runtime/broker/headers.ts'
import { Pull, type Trouble } from '../../runtime/broker/pull.ts'
import type { ServerClock } from '../../runtime/broker/serverClock.ts'
import { PayloadError, toError, toFailure, type Failure } from '../../runtime/errors.ts'
import { HOLD_MS } from '../../runtime/flow/copies.ts'
import type { Message } from '../../runtime/message.ts'
import { sleep, systemClock } from '../../runtime/time/clock.ts'
import { messageOf, readDue, readLater, type Due, type Later } from './copies.ts'
import { Heap } from './heap.ts'
import { isReplaced, park, putWithReleased } from './park.ts'

export interface TimerHost {
  readonly broker: Broker
  readonly clock: ServerClock
  onTrouble(actor: string, trouble: Trouble): void
  /** A message that can never be put into its mailbox: buried as a dead letter, then its delivery is ended. */
  bury(delivery: Delivery, message: Message, failure: Failure, then: () => void): void
  /** A message that was cancelled while it waited: told to who waits for its outcome. */
  dropped(message: Message, origin: string, reason: string): void
}

interface Held {
  readonly delivery: Delivery
  readonly due: Due
}

/** Most messages that one timer has in memory. */
const CAPACITY = 8_192
/** Most that it parks at once: enough to keep the server busy; more would only be more to remember, and to collect later. */
const PARKING = 512
/** A mailbox that refuses: given back for 1 s, doubled each time, to 60 s; dead after so many tries (about 25 minutes). */
const MAX_TRIES = 30
/** A publish without an ack is repeated for that long at most, and never beyond the mailbox's dedupe window. */
const PUBLISH_REPEAT_MS = 60_000
const NAK_MS = 5_000
const ACK_AFTER_MS = 250
/** So many are published in one go when many are due at one moment. */
const SLICE = 256

export class Timer {
  readonly #spec: ActorSpec
  readonly #host: TimerHost
  readonly #repeatMs: number
  readonly #held = new Heap<Held>((entry) => entry.due.at)
  #salt = ''
  /** Published, not acked yet. */
  #released: Delivery[] = []
  #pulls: Pull[] = []
  /** What is being parked, by message and id. */
  readonly #storing = new Map<string, Promise<void>>()
  #busy = 0
  #parking = 0
  #alarm: NodeJS.Timeout | undefined
  #alarmAt = Infinity
  #stopped = false
  #whenIdle: (() => void) | undefined

  constructor(spec: ActorSpec, host: TimerHost) {
    this.#spec = spec
    this.#host = host
    const window = host.broker.assets.dedupeWindowMs(spec)
    this.#repeatMs = Math.min(PUBLISH_REPEAT_MS, window * SAFE_SHARE_OF_WINDOW)
  }

  /** Messages in memory: due within a moment, or being parked. */
  get holding(): number {
    return this.#held.size + this.#busy
  }

  /** Messages in memory that wait for their moment, and the first of those moments (epoch ms). */
  get held(): { readonly count: number; readonly nextAt: number } {
    return { count: this.#held.size, nextAt: this.#held.peek()?.due.at ?? Infinity }
  }

  /** The clock was moved: what is held may be due now. */
  clockMoved(): void {
    this.#ring()
  }

  async start(): Promise<void> {
    const { broker } = this.#host
    const { later, due } = await broker.assets.worker(this.#spec)
    this.#salt = await broker.assets.timerSalt(this.#spec.name)
    this.#pulls = [
      this.#pull(later.stream, later.consumer, (delivery) => this.#onLater(delivery)),
      this.#pull(due.stream, due.consumer, (delivery) => this.#onDue(delivery)),
    ]
    this.#refill()
  }

  /** Takes no more, gives back what it holds, and ends when nothing is on its way. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#alarm)
    await Promise.all(this.#pulls.map((pull) => pull.stop()))
    for (let entry = this.#held.pop(); entry !== undefined; entry = this.#held.pop()) this.#giveBack(entry.delivery, 0)
    if (this.#busy === 0) return
    // Without NATS nothing is confirmed any more; what is not comes again to another timer.
    const idle = new Promise<void>((resolve) => (this.#whenIdle = resolve))
    const done = new AbortController()
    await Promise.race([idle, sleep(NAK_MS, done.signal).catch(() => {})])
    done.abort()
  }

  /** Takes out what is held here and parked in the server. Returns the ids that it met. */
  async cancel(cancel: Cancel): Promise<string[]> {
    const hit = this.#held.remove((held) => this.#isCancelled(cancel, held))
    for (const { delivery } of hit) {
      this.#host.dropped(this.#messageOf(delivery), delivery.origin, cancel.reason ?? 'cancelled')
      this.#ack(delivery)
    }
    return [...hit.map(({ due }) => due.id), ...(await this.#cancelParked(cancel))]
  }

  #isCancelled(cancel: Cancel, { delivery, due }: Held): boolean {
    if (cancel.id !== undefined && cancel.id !== due.id) return false
    const message = this.#messageOf(delivery)
    return matches(cancel, message) && message.sentAt <= cancel.at
  }

  #messageOf(placed: Placed): Message {
    return messageOf(placed, this.#host.broker.subjects, this.#spec.name)
  }

  #pull(stream: string, consumer: string, onDelivery: (delivery: Delivery) => void): Pull {
    const { broker } = this.#host
    const pull: Pull = new Pull(
      broker.connection,
      broker.api.nextSubject(stream, consumer),
      () => systemClock.monotonic(),
      {
        onDelivery: (delivery) => {
          if (this.#stopped) this.#giveBack(delivery, 0)
          else onDelivery(delivery)
          this.#refill()
        },
        onSwept: () => {},
        onRoom: () => this.#refill(),
        onTrouble: (trouble) => this.#host.onTrouble(this.#spec.name, trouble),
      },
    )
    return pull
  }

  #refill(): void {
    if (this.#stopped) return
    const room = CAPACITY - this.holding
    const [later, due] = this.#pulls
    ask(later, Math.min(room, PARKING - this.#parking))
    ask(due, room)
  }

  #onLater(delivery: Delivery): void {
    const { broker, clock } = this.#host
    const later = readLater(delivery.read(), broker.subjects, this.#spec.name, this.#salt)
    if (later.failure !== undefined) return this.#bury(delivery, later.message, later.failure)
    const isSoon = later.due.at - clock.now() <= HOLD_MS
    if (later.isReplacing) this.#dropReplaced(later)
    if (!isSoon) this.#store(delivery, later, park)
    else if (later.isReplacing) this.#store(delivery, later, putWithReleased)
    else this.#hold({ delivery, due: later.due })
  }

  /** What waits here for its moment and was sent before it under its id. What other timers hold they look up (#release). */
  #dropReplaced({ message, due }: Later): void {
    const isBefore = (held: Due): boolean =>
      held.original === undefined && held.id === message.id && held.name === message.name && held.place < due.place
    for (const { delivery } of this.#held.remove((entry) => isBefore(entry.due))) this.#ack(delivery)
  }

  #store(delivery: Delivery, later: Later, store: typeof park): void {
    this.#busy++
    this.#parking++
    const end = (): void => {
      this.#parking--
      this.#idle()
    }
    this.#inTurn(later, () => store(this.#host.broker, delivery, later)).then(
      () => this.#host.broker.acks.ack(delivery, end),
      (error: unknown) => {
        if (isFinal(error)) this.#bury(delivery, later.message, undeliverable('parked', error))
        else this.#giveBack(delivery, NAK_MS)
        end()
      },
    )
  }

  /** One that replaces waits for what was sent before it under its id and is on its way to the server. */
  #inTurn({ message, isReplacing }: Later, work: () => Promise<void>): Promise<void> {
    const key = `${message.name} ${message.id}`
    const before = isReplacing ? this.#storing.get(key) : undefined
    const stored = before === undefined ? work() : before.then(work, work)
    this.#storing.set(key, stored)
    const forget = (): boolean => this.#storing.get(key) === stored && this.#storing.delete(key)
    stored.then(forget, forget)
    return stored
  }

  #ack(delivery: Delivery): void {
    this.#settle((then) => this.#host.broker.acks.ack(delivery, then))
  }

  #onDue(delivery: Delivery): void {
    const { broker } = this.#host
    const due = readDue(delivery.read(), broker.subjects, this.#spec.name, this.#salt)
    if (due.failure !== undefined) return this.#bury(delivery, due.message, due.failure)
    if (due.due.original === undefined) return this.#hold({ delivery, due: due.due })
    // Rule 4 of the head: the original goes before the copy is to be seen.
    this.#busy++
    broker.api.deleteMessage(broker.subjects.mailboxStream(this.#spec.name), due.due.original).then(
      () => {
        this.#hold({ delivery, due: due.due })
        this.#idle()
      },
      () => broker.acks.nak(delivery, NAK_MS, systemClock.monotonic() + NAK_MS, () => this.#idle()),
    )
  }

  #hold(entry: Held): void {
    if (this.#stopped) return this.#giveBack(entry.delivery, 0)
    this.#held.push(entry)
    if (entry.due.at < this.#alarmAt) this.#setAlarm(entry.due.at)
  }

  #setAlarm(at: number): void {
    clearTimeout(this.#alarm)
    this.#alarmAt = at
    // Node fires a timer up to a millisecond early; never early is then kept by looking again.
    this.#alarm = setTimeout(() => this.#ring(), Math.max(0, at - this.#host.clock.now()))
  }

  #ring(): void {
    this.#alarmAt = Infinity
    const now = this.#host.clock.now()
    for (let count = 0; ; count++) {
      const next = this.#held.peek()
      if (next === undefined) return this.#refill()
      if (next.due.at > now) return this.#setAlarm(next.due.at)
      // The first of many are handled while the last are still to be published, and the loop stands still for none of them.
      if (count === SLICE) return void setImmediate(() => this.#ring())
      this.#held.pop()
      this.#release(next)
    }
  }

  #release(held: Held): void {
    if (!held.due.isReplaceable) return this.#publish(held)
    this.#busy++
    isReplaced(this.#host.broker, this.#spec.name, held.due)
      .then(
        (replaced) => (replaced ? this.#ack(held.delivery) : this.#publish(held)),
        () => this.#giveBack(held.delivery, NAK_MS),
      )
      .finally(() => this.#idle())
  }

  #publish({ delivery, due }: Held): void {
    const { broker } = this.#host
    this.#busy++
    const { subject, headers } = due
    const stream = broker.subjects.mailboxStream(this.#spec.name)
    broker.publisher.store(
      { subject, payload: delivery.data, headers, stream, repeatMs: this.#repeatMs, awayMs: 0 },
      () => this.#ackSoon(delivery),
      (error) => this.#refused(delivery, error),
    )
  }

  /** What is due must not wait behind acks of what was due with it: they go a moment later, together. */
  #ackSoon(delivery: Delivery): void {
    this.#released.push(delivery)
    if (this.#released.length > 1) return
    setTimeout(() => {
      const released = this.#released
      this.#released = []
      for (const each of released) this.#host.broker.acks.ack(each, () => this.#idle())
    }, ACK_AFTER_MS)
  }

  /** The mailbox did not take it: full, gone or away. It waits in the timer stream, longer each time. */
  #refused(delivery: Delivery, error: Error): void {
    if (delivery.count >= MAX_TRIES || isFinal(error)) {
      this.#bury(delivery, this.#messageOf(delivery), undeliverable('put into the mailbox', error))
    } else {
      this.#giveBack(delivery, Math.min(60_000, 1_000 * 2 ** Math.min(delivery.count - 1, 10)))
    }
    // Last: a stop waits until nothing is on its way.
    this.#idle()
  }

  #bury(delivery: Delivery, message: Message, failure: Failure): void {
    this.#settle((then) => this.#host.bury(delivery, message, failure, then))
  }

  #giveBack(delivery: Delivery, delayMs: number): void {
    this.#settle((then) => this.#host.broker.acks.nak(delivery, delayMs, systemClock.monotonic() + NAK_MS, then))
  }

  #settle(work: (then: () => void) => void): void {
    this.#busy++
    work(() => this.#idle())
  }

  #idle(): void {
    this.#busy--
    if (this.#busy === 0) this.#whenIdle?.()
    this.#refill()
  }

  /** Only by id: others are met when they are released and fetched. One exact subject at a time, never a wildcard purge. */
  async #cancelParked(cancel: Cancel): Promise<string[]> {
    if (cancel.id === undefined) return []
    const { api, subjects } = this.#host.broker
    const stream = subjects.timerStream(this.#spec.name)
    const hit: string[] = []
    for (const subject of await this.#parkedSubjects(cancel.id, cancel.message)) {
      const parked = await api.readMessage(stream, { last_by_subj: subject })
      if (parked === undefined || Number(parked.headers.get(H.sent)) > cancel.at) continue
      if (!(await api.deleteMessage(stream, parked.sequence))) continue
      hit.push(cancel.id)
      this.#host.dropped(this.#messageOf(parked), parked.headers.get(H.origin) ?? '', cancel.reason ?? 'cancelled')
    }
    return hit
  }

  async #parkedSubjects(id: string, message: string | undefined): Promise<string[]> {
    const { api, subjects } = this.#host.broker
    const names = message === undefined ? [...this.#spec.messages.keys()] : [message]
    if (names.length <= 16) return names.map((name) => subjects.parkedLater(this.#spec.name, name, id))
    const filter = subjects.parkedLaterOfAny(this.#spec.name, id)
    const { state } = await api.streamInfo(subjects.timerStream(this.#spec.name), { subjects_filter: filter })
    return Object.keys(state.subjects ?? {})
  }
}

/** Asks for as much as there is room for, in no smaller steps than half of it. */
function ask(pull: Pull | undefined, room: number): void {
  if (pull?.ready && pull.asked < room && pull.asked <= room / 2) pull.stand(room - pull.asked)
}

/** However often it is tried again, it will not be taken. */
function isFinal(error: unknown): boolean {
  return error instanceof PayloadError || (error instanceof JetStreamError && error.refusal === 'refused')
}

function undeliverable(what: string, thrown: unknown): Failure {
  const failure = toFailure(toError(thrown))
  return { ...failure, message: `could not be ${what}: ${failure.message}` }
}
