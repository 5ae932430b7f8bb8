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
 * Two more kinds come on the same queues, and are for schedules (looks.ts says what becomes of them, and why a crash does no harm):
 * - a tick, on `due`: held like the others, and at its moment its schedule is looked at. Then it is acked.
 * - a notice that a message ended which a schedule runs after: from our own workers on `due`, from other actors' timers on `later`.
 *
 * Where it may die, and why that is safe
 * 1. Parked, not acked: the `later` message comes again and is parked under the same key, on the same subject: one message.
 * 2. Held: comes again after the lease, to any timer; late, once.
 * 3. Published, not acked: comes again and is published under the same key, which the mailbox's window knows: one message. A killed NATS
 *    does not know it where the message was handled meanwhile: doubts.ts says what is done, and what remains.
 * 4. A retry's original was never acked (its worker died between parking and ack): before the copy is published the original
 *    is deleted by its sequence. Until then a redelivered original finds the parked copy and acks itself. So there is
 *    one message to run at any moment, never two.
 * Never early: due is compared with a lower bound of the server's clock (serverClock.ts).
 */
import type { ActorSpec } from '../../runtime/actor.ts'
import { SAFE_SHARE_OF_WINDOW } from '../../runtime/broker/assets.ts'
import { matches, type Cancel } from '../../runtime/broker/cancels.ts'
import type { Delivery, Placed } from '../../runtime/broker/delivery.ts'
import { H } from '../../runtime/broker/headers.ts'
import { Pull } from '../../runtime/broker/pull.ts'
import { toError, toFailure, type Failure } from '../../runtime/errors.ts'
import { HOLD_MS } from '../../runtime/flow/copies.ts'
import type { HostedTimer, TimerServices } from '../../runtime/hosted.ts'
import type { Message } from '../../runtime/message.ts'
import { watchedQueue, type Watched, type WatchedQueue } from '../../runtime/stallWatch.ts'
import { sleep, systemClock } from '../../runtime/time/clock.ts'
import { Refused } from './account.ts'
import { cancelParked, dropCancelled } from './cancelled.ts'
import { messageOf, readDue, readLater, type Due, type Later } from './copies.ts'
import { Doubts, isSent } from './doubts.ts'
import { moved } from './ends.ts'
import { Looks } from './looks.ts'
import { Mending } from './mending.ts'
import { Moments, SLICE } from './moments.ts'
import { readNotice } from './notices.ts'
import { isReplaced, park, putWithReleased } from './park.ts'
import { isFinal, Patience } from './patience.ts'
import { Releases } from './releases.ts'
import { Turns } from './turns.ts'

type Held =
  | { readonly delivery: Delivery; readonly at: number; readonly due: Due }
  | { readonly delivery: Delivery; readonly at: number; readonly due?: undefined; readonly schedule: string }

/** Most messages that one timer has in memory. */
const CAPACITY = 8_192
/** Most that it parks at once: enough to keep the server busy; more would only be more to remember, and to collect later. */
const PARKING = 512
/** A publish without an ack is repeated for that long at most, and never beyond the mailbox's dedupe window. */
const PUBLISH_REPEAT_MS = 60_000
const NAK_MS = 5_000

export class Timer implements HostedTimer {
  readonly #spec: ActorSpec
  readonly #host: TimerServices
  readonly #repeatMs: number
  readonly #held: Moments<Held>
  readonly #looks: Looks
  /** Schedules of which a tick is held, and until when. */
  readonly #ticks = new Map<string, number>()
  readonly #mending: Mending
  #salt = ''
  readonly #doubts: Doubts
  readonly #releases = new Releases(SLICE, (delivery, then) =>
    this.#host.broker.acks.ack(delivery, () => {
      then()
      this.#idle()
    }),
  )
  #pulls: Pull[] = []
  readonly #queues: WatchedQueue[] = []
  readonly #turns = new Turns()
  readonly #patience = new Patience()
  #busy = 0
  #parking = 0
  #stopped = false
  #whenIdle: (() => void) | undefined

  constructor(spec: ActorSpec, host: TimerServices) {
    this.#spec = spec
    this.#host = host
    const window = host.broker.assets.dedupeWindowMs(spec)
    this.#repeatMs = Math.min(PUBLISH_REPEAT_MS, window * SAFE_SHARE_OF_WINDOW)
    this.#doubts = new Doubts(host.broker.assets.leaseMs(spec))
    this.#held = new Moments({
      now: () => host.clock.now(),
      onDue: (held) => this.#release(held),
      onEmpty: () => this.#refill(),
    })
    this.#looks = new Looks(spec, {
      broker: host.broker,
      clock: host.clock,
      services: host.schedules,
      isHeld: (schedule, at) => this.#isHeld(schedule, at),
    })
    this.#mending = new Mending(spec.name, this.#looks, host)
  }

  /** Messages in memory: due within a moment, or being parked. */
  get holding(): number {
    return this.#held.size + this.#busy + (this.#mending.isBusy ? 1 : 0)
  }

  /** Messages in memory that wait for their moment, and the first of those moments (epoch ms). */
  get held(): { readonly count: number; readonly nextAt: number } {
    return { count: this.#held.size, nextAt: this.#held.nextAt }
  }

  /** For the watch on its progress. */
  get watched(): Watched {
    return { queues: this.#queues, wasFull: () => this.holding >= CAPACITY / 2 }
  }

  /** The clock was moved: what is held may be due now. */
  clockMoved(): void {
    this.#held.ring()
  }

  pullAgain(): void {
    for (const pull of this.#pulls) pull.renew()
  }

  async start(): Promise<void> {
    const { broker } = this.#host
    const { later, due } = await broker.assets.worker(this.#spec)
    this.#salt = await broker.assets.timerSalt(this.#spec.name)
    this.#looks.salt = this.#salt
    this.#pulls = [
      this.#pull(later, (delivery) => this.#onLater(delivery)),
      this.#pull(due, (delivery) => this.#onDue(delivery)),
    ]
    this.#refill()
    this.#mending.start()
    this.#doubts.start(broker, this.#host.clock)
  }

  /** Takes no more, gives back what it holds, and ends when nothing is on its way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#mending.stop()
    this.#doubts.stop()
    await Promise.all(this.#pulls.map((pull) => pull.stop()))
    for (const { delivery } of this.#held.stop()) this.#giveBack(delivery, 0)
    if (this.#busy === 0) return
    // Without NATS nothing is confirmed any more; what is not comes again to another timer.
    const idle = new Promise<void>((resolve) => (this.#whenIdle = resolve))
    const done = new AbortController()
    await Promise.race([idle, sleep(NAK_MS, done.signal).catch(() => {})])
    done.abort()
  }

  /** Takes out what is held here and parked in the server. Returns the ids that it met. */
  async cancel(cancel: Cancel): Promise<string[]> {
    const ids = this.#held.remove((held) => this.#isMeant(cancel, held)).flatMap((entry) => this.#drop(entry, cancel))
    return [...ids, ...(await cancelParked(this.#host, this.#spec, cancel))]
  }

  #isMeant(cancel: Cancel, { delivery, due }: Held): boolean {
    if (due === undefined || (cancel.id !== undefined && cancel.id !== due.id)) return false
    const message = this.#messageOf(delivery)
    return matches(cancel, message) && message.sentAt <= cancel.at
  }

  #drop({ delivery, due }: Held, { reason }: Cancel): string[] {
    if (due === undefined) return []
    const host = this.#host
    this.#settle((then) => {
      const told = host.dropped(this.#messageOf(delivery), delivery, delivery.origin, reason)
      void told.then(() => host.broker.acks.ack(delivery, then))
    })
    return [due.id]
  }

  #messageOf(placed: Placed): Message {
    return messageOf(placed, this.#host.broker.subjects, this.#spec.name)
  }

  #pull(queue: Pick<WatchedQueue, 'stream' | 'consumer'>, onDelivery: (delivery: Delivery) => void): Pull {
    const { broker } = this.#host
    const pull: Pull = new Pull(
      broker.connection,
      broker.api.nextSubject(queue.stream, queue.consumer),
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
    this.#queues.push(watchedQueue(queue, pull))
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
    const placed = delivery.read()
    const after = placed.headers.get(H.after)
    if (after !== undefined) return this.#onNotice(delivery, this.#spec.name, after)
    const later = readLater(placed, broker.subjects, this.#spec.name, this.#salt)
    if (later.failure !== undefined) return this.#bury(delivery, later.message, later.failure)
    const cancel = this.#host.cancelled(later.message)
    if (cancel !== undefined) return this.#store(delivery, later, () => this.#dropCancelled(delivery, later, cancel))
    const isSoon = later.due.at - clock.now() <= HOLD_MS
    if (later.isReplacing) this.#dropReplaced(later)
    if (!isSoon) this.#store(delivery, later, () => this.#park(delivery, later))
    else if (later.isReplacing) this.#store(delivery, later, () => putWithReleased(broker, delivery, later))
    else this.#hold({ delivery, at: later.due.at, due: later.due })
  }

  /** What waits here for its moment and was sent before it under its id. What other timers hold they look up (#release). */
  #dropReplaced({ message, due }: Later): void {
    const isBefore = (held: Due | undefined): boolean =>
      held !== undefined &&
      held.original === undefined &&
      held.id === message.id &&
      held.name === message.name &&
      held.place < due.place
    for (const { delivery } of this.#held.remove((entry) => isBefore(entry.due))) this.#ack(delivery)
  }

  /** A cancel may have come meanwhile, and have found nothing parked yet. */
  async #park(delivery: Delivery, later: Later): Promise<void> {
    await park(this.#host.broker, delivery, later)
    const cancel = this.#host.cancelled(later.message)
    if (cancel !== undefined) await this.#dropCancelled(delivery, later, cancel)
  }

  #dropCancelled(delivery: Delivery, { message }: Later, cancel: Cancel): Promise<void> {
    return dropCancelled(this.#host, this.#spec, cancel, { delivery, message })
  }

  #store(delivery: Delivery, later: Later, store: () => Promise<void>): void {
    this.#busy++
    this.#parking++
    const end = (): void => {
      this.#parking--
      this.#idle()
    }
    this.#turns.take(later, store).then(
      () => this.#host.broker.acks.ack(delivery, end),
      (error: unknown) => {
        if (isFinal(error)) this.#bury(delivery, later.message, undeliverable('parked', error))
        else this.#giveBack(delivery, NAK_MS)
        end()
      },
    )
  }

  #ack(delivery: Delivery): void {
    this.#settle((then) => this.#host.broker.acks.ack(delivery, then))
  }

  #onDue(delivery: Delivery): void {
    const { broker } = this.#host
    const forSchedule = broker.subjects.parseDueSchedule(delivery.subject)
    if (forSchedule?.kind === 'after') return this.#onNotice(delivery, forSchedule.target, forSchedule.schedule)
    if (forSchedule !== undefined) {
      const at = delivery.headers.number(H.due) ?? 0
      return this.#holdTick(delivery, at, forSchedule.schedule)
    }
    const due = readDue(delivery.read(), broker.subjects, this.#spec.name, this.#salt)
    if (due.failure !== undefined) return this.#bury(delivery, due.message, due.failure)
    if (due.due.original === undefined) return this.#hold({ delivery, at: due.due.at, due: due.due })
    // Rule 4 of the head: the original goes before the copy is to be seen.
    this.#busy++
    broker.api.deleteMessage(broker.subjects.mailboxStream(this.#spec.name), due.due.original).then(
      () => {
        this.#hold({ delivery, at: due.due.at, due: due.due })
        this.#idle()
      },
      () => broker.acks.nak(delivery, NAK_MS, systemClock.monotonic() + NAK_MS, () => this.#idle()),
    )
  }

  /** Of several ticks of a schedule the first is enough: the look at its time sees what comes next. */
  #holdTick(delivery: Delivery, at: number, schedule: string): void {
    if (this.#isHeld(schedule, at)) return this.#ack(delivery)
    this.#ticks.set(schedule, at)
    this.#hold({ delivery, at, schedule })
  }

  #isHeld(schedule: string, at: number): boolean {
    return (this.#ticks.get(schedule) ?? Infinity) <= at
  }

  #hold(entry: Held): void {
    if (this.#stopped) return this.#giveBack(entry.delivery, 0)
    this.#held.hold(entry)
  }

  #release(held: Held): void {
    const { delivery, due } = held
    if (due === undefined) {
      if (this.#ticks.get(held.schedule) === held.at) this.#ticks.delete(held.schedule)
      return this.#look(delivery, this.#looks.look(held.schedule, delivery.count))
    }
    const isDoubtful = this.#doubts.has(delivery)
    if (!due.isReplaceable && !isDoubtful) return this.#publish(delivery, due)
    const { settlesInMs } = this.#doubts
    if (isDoubtful && settlesInMs > 0) return this.#hold({ ...held, at: this.#host.clock.now() + settlesInMs })
    this.#settle((then) => {
      this.#isOver(delivery, due)
        .then(
          (isOver) => (isOver ? this.#ack(delivery) : this.#publish(delivery, due)),
          () => this.#giveBack(delivery, NAK_MS),
        )
        .finally(then)
    })
  }

  /** Whether a later one has its place, or it was sent before. */
  async #isOver(delivery: Delivery, due: Due): Promise<boolean> {
    const { broker } = this.#host
    if (due.isReplaceable && (await isReplaced(broker, this.#spec.name, due))) return true
    return this.#doubts.has(delivery) && (this.#releases.has(delivery) || isSent(broker, delivery))
  }

  #onNotice(delivery: Delivery, target: string, schedule: string): void {
    const notice = readNotice(delivery.data)
    if (notice === undefined || this.#stopped) return notice ? this.#giveBack(delivery, 0) : this.#ack(delivery)
    this.#look(delivery, this.#looks.forward(target, schedule, notice))
  }

  /** A tick or a notice is acked when all that follows from it is stored; else it comes again, later each time. */
  #look(delivery: Delivery, looked: Promise<void>): void {
    this.#busy++
    looked
      .then(
        () => this.#ack(delivery),
        (error: unknown) => {
          const delayMs = error instanceof Refused ? backoffMs(delivery) : NAK_MS
          this.#giveBack(delivery, this.#stopped ? 0 : delayMs)
        },
      )
      .finally(() => this.#idle())
  }

  #publish(delivery: Delivery, due: Due): void {
    const { broker } = this.#host
    this.#busy++
    this.#releases.begin()
    const { subject, headers } = due
    const stream = broker.subjects.mailboxStream(this.#spec.name)
    broker.publisher.store(
      { subject, payload: delivery.data, headers, stream, repeatMs: this.#repeatMs, awayMs: 0 },
      ({ sequence }) => this.#stored(delivery, due, sequence),
      (error) => {
        this.#releases.refused()
        this.#refused(delivery, error)
      },
    )
  }

  /** Of a run whose end nobody may write down (ends.ts), first where it is now. */
  #stored(delivery: Delivery, { original }: Due, sequence: number): void {
    const { isElsewhere, name } = this.#spec
    if (original === undefined || !isElsewhere) return this.#releases.stored(delivery)
    moved(this.#host.broker, name, this.#salt, delivery, sequence).then(
      () => this.#releases.stored(delivery),
      () => {
        this.#releases.refused()
        this.#giveBack(delivery, NAK_MS)
        this.#idle()
      },
    )
  }

  /** The mailbox did not take it: full, gone or away. It waits in the timer stream, longer each time. */
  #refused(delivery: Delivery, error: Error): void {
    if (this.#patience.isOver(error, delivery.count, systemClock.monotonic())) {
      this.#bury(delivery, this.#messageOf(delivery), undeliverable('put into the mailbox', error))
    } else {
      this.#giveBack(delivery, backoffMs(delivery))
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
}

/** Longer each time: 1 s, doubled, to 60 s. */
function backoffMs({ count }: Delivery): number {
  return Math.min(60_000, 1_000 * 2 ** Math.min(count - 1, 10))
}

/** Asks for as much as there is room for, in no smaller steps than half of it. */
function ask(pull: Pull | undefined, room: number): void {
  if (pull?.ready && pull.asked < room && pull.asked <= room / 2) pull.stand(room - pull.asked)
}

function undeliverable(what: string, thrown: unknown): Failure {
  const failure = toFailure(toError(thrown))
  return { ...failure, message: `could not be ${what}: ${failure.message}` }
}
