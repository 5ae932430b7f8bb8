/**
 * What timers found about schedules, as lines of the log. After an outage every schedule of an actor may have missed something in the same
 * second: those are one line together. The events on NATS and the ledger name each.
 */
import type { SystemEvent, SystemEvents } from '../events.ts'
import type { Logger } from '../log.ts'

export type ScheduleEvent = Omit<SystemEvents['schedule'], keyof SystemEvent>

const GATHER_MS = 1_000

export class ScheduleNews {
  readonly #log: Logger
  #missed: ScheduleEvent[] = []

  constructor(log: Logger) {
    this.#log = log
  }

  write(event: ScheduleEvent): void {
    if (event.what !== 'missed') return this.#log.warn('schedule', { ...event })
    this.#missed.push(event)
    if (this.#missed.length === 1) setTimeout(() => this.#writeMissed(), GATHER_MS).unref()
  }

  #writeMissed(): void {
    const missed = this.#missed
    this.#missed = []
    const [first] = missed
    if (first === undefined) return
    if (missed.length === 1) return this.#log.warn('schedule', { ...first })
    const count = missed.reduce((sum, one) => sum + (one.count ?? 1), 0)
    const { actor, schedule, detail } = first
    this.#log.warn('schedules have missed occurrences', {
      actor,
      schedules: missed.length,
      count,
      first: schedule,
      detail,
    })
  }
}
