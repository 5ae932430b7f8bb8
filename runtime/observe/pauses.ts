/** Which lanes of this system's actors are paused, as JetStream says it: told once when it begins, and once when it ends. */
import type { MailboxLane } from '../broker/depth.ts'
import { pauseEnd } from '../client/pausing.ts'

export interface PausesHost {
  paused(actor: string, lane: MailboxLane, until: Date | undefined): void
  resumed(actor: string, lane: MailboxLane): void
}

export class Pauses {
  readonly #host: PausesHost
  /** Until when (epoch ms), by actor and lane. */
  readonly #until = new Map<string, Map<MailboxLane, number>>()

  constructor(host: PausesHost) {
    this.#host = host
  }

  /** Lanes of an actor that are paused, with until when (epoch ms). */
  of(actor: string): ReadonlyMap<MailboxLane, number> {
    return this.#until.get(actor) ?? new Map()
  }

  /** What was heard or read of a lane; `until` is undefined where it is not paused. The server says the same again now and then. */
  heard(actor: string, lane: MailboxLane, until: number | undefined): void {
    const lanes = this.#until.get(actor) ?? new Map<MailboxLane, number>()
    if (lanes.get(lane) === until) return
    this.#until.set(actor, lanes)
    if (until === undefined) {
      lanes.delete(lane)
      this.#host.resumed(actor, lane)
    } else {
      lanes.set(lane, until)
      this.#host.paused(actor, lane, pauseEnd(until))
    }
  }
}
