/**
 * The links of an actor's schedules (runtime/schedules/chains.ts): one that runs after messages of another actor has to be known there.
 * Who puts a schedule makes its link; where it is missing all the same (he died before it, a bucket was emptied by hand), timers
 * make it again, at each check. So they have to know which schedules need one: of each that they have not met, the record is
 * read once; after that every look says it, since a look reads the record anyway.
 */
import type { Broker } from '../../runtime/broker/broker.ts'
import { linkOf, putLink } from '../../runtime/schedules/chains.ts'
import { isBroken, type BrokenRecord, type ScheduleRecord } from '../../runtime/schedules/record.ts'
import { readStored } from '../../runtime/schedules/store.ts'

export class Links {
  readonly #broker: Broker
  readonly #actor: string
  /** Schedules that were met, and whether they run after something. */
  readonly #met = new Map<string, boolean>()

  constructor(broker: Broker, actor: string) {
    this.#broker = broker
    this.#actor = actor
  }

  /** A record was read; undefined: it is gone. */
  saw(schedule: string, record: ScheduleRecord | BrokenRecord | undefined): void {
    if (record === undefined) this.#met.delete(schedule)
    else this.#met.set(schedule, needed(record) !== undefined)
  }

  /** Makes what is missing, of these schedules: all that the actor has. */
  async mend(schedules: ReadonlySet<string>): Promise<void> {
    for (const met of this.#met.keys()) if (!schedules.has(met)) this.#met.delete(met)
    for (const schedule of schedules) {
      // One that is refused its link must not keep the others from being mended.
      if (this.#met.get(schedule) !== false) await this.#mendOne(schedule).catch(() => {})
    }
  }

  async #mendOne(schedule: string): Promise<void> {
    const { record } = await readStored(this.#broker, this.#actor, schedule)
    this.saw(schedule, record)
    const link = record && needed(record)
    if (link === undefined || !this.#mayLink(link.after.actor)) return
    await putLink(this.#broker, this.#actor, schedule, link)
  }

  /** A link stands in the bucket of another actor, where workers of few rights may not write: who put the schedule made it. */
  #mayLink(source: string): boolean {
    return source === this.#actor || this.#broker.assets.settings.manage
  }
}

function needed(record: ScheduleRecord | BrokenRecord): ReturnType<typeof linkOf> {
  return isBroken(record) ? undefined : linkOf(record.definition)
}
