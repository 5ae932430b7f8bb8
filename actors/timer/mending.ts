/**
 * The check now and then: whether every schedule of the actor has its link, where it needs one (links.ts), and its tick, parked or
 * released. One without a tick is looked at, which parks it where something is planned: after a crash between record and tick, after a
 * record that was written by hand, after somebody emptied a stream. Resting ones (paused, finished, broken) have none either, nor have
 * those that only run after others; to look at them costs a read each.
 */
import { JetStreamError } from '../../runtime/broker/api.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import type { TimerServices } from '../../runtime/hosted.ts'
import { random } from '../../runtime/time/chance.ts'
import type { Looks } from './looks.ts'

/** Schedules that are looked at at once. */
const WINDOW = 20
/** Subjects that one answer of the server names. */
const PAGE = 100_000

/** Makes the check, when the timer starts and then again and again. */
export class Mending {
  readonly #actor: string
  readonly #looks: Looks
  readonly #host: TimerServices
  #next: NodeJS.Timeout | undefined
  #isStopped = false
  /** Whether a check goes on. */
  isBusy = false

  constructor(actor: string, looks: Looks, host: TimerServices) {
    this.#actor = actor
    this.#looks = looks
    this.#host = host
  }

  start(): void {
    this.#after(0, () => this.#mend())
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#next)
  }

  #after(ms: number, check: () => Promise<void>): void {
    if (this.#isStopped) return
    this.#next = setTimeout(() => {
      this.isBusy = true
      // NATS is away, or a mailbox is full: the next check comes.
      const checked = check().catch(() => {})
      void checked.then(() => {
        this.isBusy = false
        // Timers that were started together need not check together.
        this.#after(this.#host.schedules.checkMs * (0.75 + random() / 2), () => this.#check())
      })
    }, ms)
    this.#next.unref()
  }

  async #check(): Promise<void> {
    await this.#host.schedules.chains.read()
    await this.#mend()
  }

  async #mend(): Promise<void> {
    const { broker } = this.#host
    const ids = await schedulesOf(broker, this.#actor)
    if (ids.size === 0) return
    await this.#looks.links.mend(ids)
    const untimed = await withoutTick(broker, this.#actor, ids)
    for (let start = 0; start < untimed.length && !this.#isStopped; start += WINDOW) {
      const some = untimed.slice(start, start + WINDOW)
      await Promise.allSettled(some.map((id) => this.#looks.look(id)))
    }
  }
}

/** All that have a record. */
function schedulesOf(broker: Broker, actor: string): Promise<Set<string>> {
  const bucket = broker.schedules(actor)
  return lastTokens(broker, bucket.stream, bucket.subject('*'))
}

/** Those of them that have no tick. */
async function withoutTick(broker: Broker, actor: string, schedules: ReadonlySet<string>): Promise<string[]> {
  const ids = new Set(schedules)
  const { parked, due } = broker.subjects.ticks(actor)
  const stream = broker.subjects.timerStream(actor)
  // In this order: while a tick is released it is never in neither list.
  for (const subject of [parked, due]) for (const id of await lastTokens(broker, stream, subject)) ids.delete(id)
  return [...ids]
}

async function lastTokens({ api }: Broker, stream: string, filter: string): Promise<Set<string>> {
  const tokens = new Set<string>()
  for (let offset = 0; ; offset += PAGE) {
    const { state } = await api.streamInfo(stream, { subjects_filter: filter, offset }).catch(ifGone)
    const subjects = Object.keys(state.subjects ?? {})
    for (const subject of subjects) tokens.add(subject.slice(subject.lastIndexOf('.') + 1))
    if (subjects.length < PAGE) return tokens
  }
}

function ifGone(error: unknown): { state: { subjects?: Record<string, number> } } {
  if (error instanceof JetStreamError && error.refusal === 'gone') return { state: {} }
  throw error
}
