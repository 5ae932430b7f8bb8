/**
 * Fetch: how much to ask of which lane, and what runs next.
 *
 * Free slots decide, plus a buffer worth 50 ms of measured handler time: a slow handler must not hoard what an idle worker
 * could run, a fast one must not wait for the round trip.
 *
 * Two ways of asking
 * - Fast (the buffer is at least as large as the slots): standing pulls on all lanes, refilled at half. More may arrive than
 *   asked for on one lane, at most once per lane; it is 50 ms of work each. What comes in decides what runs, since the
 *   buffer is always full: so while a lane has a backlog (its deliveries say so), the lanes below it may only ask for
 *   their share of what it asked for. A lane that says nothing for two ticks has no backlog for us.
 * - Slow: sweeps. When a slot is free, ask the lanes for what is there, one after the other in order of priority; only when
 *   all are empty, wait on all of them. When the slots are full, take the waiting pulls back; what still arrives beyond
 *   slots and buffer is given back at once.
 *
 * Fairness is counted, not timed: every 8th turn begins with normal, every 16th with low, when sweeping and when picking
 * from the buffer, and their shares are an 8th and a 16th. So high goes first, and low is never starved for ever.
 */
import type { Delivery } from '../broker/delivery.ts'
import type { Pull } from '../broker/pull.ts'
import { LaneBuffers } from './laneBuffers.ts'

export interface FetchHost {
  /** Messages that can run at once, now: none while all threads or processes of a pool are started again. */
  slots(): number
  /** False: what is fetched counts against others (a cluster-wide limit), so nothing waits here. */
  readonly mayBuffer: boolean
  /** Slots that are free now. */
  free(): number
  run(delivery: Delivery): void
  /** Gives a delivery back that was never begun. */
  giveBack(delivery: Delivery): void
  /** Monotonic ms. */
  now(): number
}

/** Handler time that the buffer may hold. */
const BUFFER_MS = 50
export const MAX_BUFFER = 1_000
/** What waits longer than this in the buffer goes back: the slots are taken by something slow. */
const STALE_MS = 1_000
/** Weight of the newest run in the moving average of handler time. */
const WEIGHT = 1 / 32

/** How many messages the buffer may hold: pure. */
export function bufferSize(slots: number, handlerMs: number | undefined): number {
  if (handlerMs === undefined) return 0
  return Math.min(MAX_BUFFER, Math.floor((BUFFER_MS * slots) / Math.max(handlerMs, 0.001)))
}

/** Runs between two looks at what is asked for, at most. */
const LOOK_EVERY = 16
const TURNS = 16
/** What a lane below one with a backlog may ask for, as a share of what that one asks for: by its turns. */
const SHARES = [1, 1 / 8, 1 / 16] as const

/** In which order the lanes have their turn: pure. Lane 0 is the highest. */
export function laneOrder(turn: number, lanes: number): readonly number[] {
  const order = Array.from({ length: lanes }, (_, lane) => lane)
  const first = turn % 16 === 15 ? lanes - 1 : turn % 8 === 7 ? Math.min(1, lanes - 1) : 0
  return [first, ...order.filter((lane) => lane !== first)]
}

export class Fetch {
  readonly #host: FetchHost
  readonly #pulls: Pull[] = []
  readonly #buffers = new LaneBuffers()
  /** Whether more waits in the server behind the last delivery of each lane; false where none came lately. */
  readonly #backlogs: boolean[] = []
  readonly #spoke: boolean[] = []
  /** What each lane may still ask for while one above it has a backlog. */
  readonly #credits: number[] = []
  #handlerMs: number | undefined
  /** How many messages the buffer may hold now. */
  #room = 0
  #isFast = false
  #untilRefill = 1
  #orders: (readonly number[])[] = []
  #turn = 0
  #picks = 0
  /** Lanes still to be swept in this turn. */
  #sweep: number[] | undefined
  #stopped = false
  #wasFull = false

  constructor(host: FetchHost) {
    this.#host = host
  }

  /** Adds a lane below those that are there. */
  addLane(pull: Pull): void {
    this.#pulls.push(pull)
    this.#buffers.addLane()
    this.#backlogs.push(false)
    this.#spoke.push(false)
    this.#credits.push(0)
    this.#orders = Array.from({ length: TURNS }, (_, turn) => laneOrder(turn, this.#pulls.length))
  }

  /** Whether at some moment since this was asked last all slots were taken. */
  wasFull(): boolean {
    const wasFull = this.#wasFull || this.#host.free() <= 0
    this.#wasFull = false
    return wasFull
  }
  get buffered(): number {
    return this.#buffers.size
  }
  /** What is fetched and not begun. */
  get held(): Delivery[] {
    return this.#buffers.all
  }
  /** Messages asked for, on all lanes. */
  get asked(): number {
    return this.#pulls.reduce((sum, pull) => sum + pull.asked, 0)
  }

  /** A delivery arrived on a lane. */
  arrived(lane: number, delivery: Delivery): void {
    if (this.#stopped) return this.#host.giveBack(delivery)
    this.#backlogs[lane] = delivery.hasMore
    this.#spoke[lane] = true
    if (this.#buffers.size === 0 && this.#host.free() > 0) this.#host.run(delivery)
    else if (this.#buffers.size < this.#room || this.#isFast) this.#keep(lane, delivery)
    else this.#host.giveBack(delivery)
    if (this.#isFast) return
    if (this.#want() <= 0) this.#recall()
    // It may have taken no slot: a delivery whose lease has lapsed is not run.
    else if (this.#pulls[lane]?.asked === 0) this.refill()
  }

  /** A run ended after that handler time: its slot is free. */
  freed(handlerMs: number): void {
    this.#measure(this.#handlerMs === undefined ? handlerMs : this.#handlerMs + (handlerMs - this.#handlerMs) * WEIGHT)
    if (this.#buffers.size > 0) this.#drainBuffer()
    if (--this.#untilRefill <= 0) this.refill()
  }

  /** There are more or fewer slots than before: what was asked for and fetched was for as many as there were. */
  slotsChanged(): void {
    if (this.#stopped) return
    if (this.#handlerMs !== undefined) this.#measure(this.#handlerMs)
    this.#recall()
    this.#drainBuffer()
    this.#giveBackSurplus()
    this.refill()
  }

  /** Asks for what there is room for. */
  refill(): void {
    if (this.#stopped) return
    const want = this.#want()
    // Fast: pulls are refilled at half, so there is no need to look after every single run.
    this.#untilRefill = this.#isFast ? Math.min(LOOK_EVERY, want >> 3) : 1
    if (this.#isFast) return this.#standByPriority(want)
    if (want <= 0) return this.#recall()
    if (this.#sweep !== undefined) return
    if (this.#pulls.every((pull) => pull.asked > 0)) return this.#standAll(want)
    this.#sweep = [...this.#order(this.#turn++)]
    this.#sweepNext()
  }

  /** A sweep of one lane ended. */
  swept(): void {
    // Its turn was called off meanwhile, so nobody will stand this lane: begin again.
    if (this.#sweep === undefined) this.refill()
    else this.#sweepNext()
  }

  /** Standing pulls ended or were reset. */
  room(): void {
    this.#sweep = undefined
    this.refill()
  }

  /** A pause ended: what waits is asked for at once. */
  resumed(): void {
    for (const pull of this.#pulls) pull.renew()
  }

  /** Looks at what no arrival and no end of a run tells. Called a few times a second. */
  tick(): void {
    this.#giveBackStale()
    for (const [lane, spoke] of this.#spoke.entries()) {
      if (!spoke) this.#backlogs[lane] = false
      this.#spoke[lane] = false
    }
    if (this.#isFast) this.refill()
  }

  /** Gives back what has waited too long, since the slots are taken by something slow. */
  #giveBackStale(): void {
    const now = this.#host.now()
    for (const lane of this.#pulls.keys()) {
      const oldest = this.#buffers.first(lane)
      if (oldest === undefined || now - oldest.leasedAt < STALE_MS) continue
      this.#measure(Math.max(this.#handlerMs ?? 0, STALE_MS))
      this.#recall()
      this.#giveBackLane(lane)
    }
  }

  /** Asks for nothing more and gives back what was not begun; resolves when nothing more arrives. */
  async stop(): Promise<void> {
    this.#stopped = true
    // First nothing more is wanted, then it is given back: else it would come straight back here.
    const stopping = this.#pulls.map((pull) => pull.stop())
    for (const lane of this.#pulls.keys()) this.#giveBackLane(lane)
    await Promise.all(stopping)
  }

  #measure(handlerMs: number): void {
    this.#handlerMs = handlerMs
    const slots = this.#host.slots()
    this.#room = this.#host.mayBuffer ? bufferSize(slots, handlerMs) : 0
    this.#isFast = this.#room >= Math.max(1, Math.min(slots, MAX_BUFFER))
  }

  #want(): number {
    const free = this.#host.free()
    if (free <= 0) this.#wasFull = true
    return free + this.#room - this.#buffers.size
  }

  #order(turn: number): readonly number[] {
    return this.#orders[turn % TURNS] ?? []
  }

  #standAll(want: number): void {
    // A pull for nothing would still bring one message, again at each arrival.
    if (want <= 0) return
    for (const pull of this.#pulls) {
      if (pull.ready && !pull.sweeping && pull.asked <= want / 2) pull.stand(want - pull.asked)
    }
  }

  #standByPriority(want: number): void {
    let hasBacklogAbove = false
    for (const [lane, pull] of this.#pulls.entries()) {
      const room = pull.ready && !pull.sweeping && pull.asked <= want / 2 ? want - pull.asked : 0
      const batch = hasBacklogAbove ? Math.min(room, Math.floor(this.#credits[lane] ?? 0)) : room
      if (batch > 0) {
        pull.stand(batch)
        this.#spend(lane, batch)
      }
      hasBacklogAbove ||= this.#backlogs[lane] ?? false
    }
  }

  /** What a lane asked for earns the lanes below it their share. */
  #spend(lane: number, batch: number): void {
    this.#credits[lane] = Math.max(0, (this.#credits[lane] ?? 0) - batch)
    for (let below = lane + 1; below < this.#pulls.length; below++) {
      // Not hoarded: a lane that was empty for an hour has no claim on the next one.
      this.#credits[below] = Math.min(MAX_BUFFER, (this.#credits[below] ?? 0) + batch * (SHARES[below] ?? 1 / TURNS))
    }
  }

  #sweepNext(): void {
    const lane = this.#sweep?.shift()
    if (this.#sweep === undefined || this.#stopped) return
    const want = this.#want()
    if (want <= 0 || this.#isFast) {
      this.#sweep = undefined
      if (this.#isFast) this.refill()
      return
    }
    if (lane === undefined) {
      this.#sweep = undefined
      return this.#standAll(want)
    }
    const pull = this.#pulls[lane]
    if (pull?.ready) pull.sweep(want)
    else this.#sweepNext()
  }

  #recall(): void {
    this.#sweep = undefined
    for (const pull of this.#pulls) if (pull.asked > 0) pull.recall()
  }

  #keep(lane: number, delivery: Delivery): void {
    this.#buffers.add(lane, delivery)
    this.#drainBuffer()
  }

  #drainBuffer(): void {
    while (this.#buffers.size > 0 && this.#host.free() > 0) {
      const next = this.#pick()
      if (next === undefined) return
      this.#host.run(next)
    }
  }

  #pick(): Delivery | undefined {
    for (const lane of this.#order(this.#picks++)) {
      const delivery = this.#buffers.take(lane)
      if (delivery !== undefined) return delivery
    }
    return undefined
  }

  /** The last of the lowest lanes first. */
  #giveBackSurplus(): void {
    const room = Math.max(0, this.#host.free() + this.#room)
    for (let last = this.#surplus(room); last !== undefined; last = this.#surplus(room)) this.#host.giveBack(last)
  }

  #surplus(room: number): Delivery | undefined {
    return this.#buffers.size > room ? this.#buffers.takeLast() : undefined
  }

  #giveBackLane(lane: number): void {
    for (let delivery = this.#buffers.take(lane); delivery !== undefined; delivery = this.#buffers.take(lane))
      this.#host.giveBack(delivery)
  }
}
