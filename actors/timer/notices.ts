/**
 * Notices: a message ended that a schedule runs after (runtime/schedules/chains.ts). The timer of the actor whose message it was takes it to the
 * actor whose schedule it is; there it waits for the next look, and those that come together are taken together: one record, one store.
 *
 * A notice is acked when what follows from it is stored, so that whoever dies before has it again: in the other mailbox it is known by its
 * key, in the record by the place of its cause. A stranger may write one too: what a schedule does not run after is left aside.
 */
import type { Broker } from '../../runtime/broker/broker.ts'
import { encodeHeaders, H } from '../../runtime/broker/headers.ts'
import { BrokerError } from '../../runtime/errors.ts'
import type { ScheduleServices } from '../../runtime/hosted.ts'
import { LATEST_DUE } from '../../runtime/message.ts'
import type { Status } from '../../runtime/outcome.ts'
import type { Notice } from '../../runtime/schedules/accounts.ts'
import { withCause } from '../../runtime/schedules/carried.ts'
import { isCause } from '../../runtime/schedules/definition.ts'
import type { ScheduleRecord } from '../../runtime/schedules/record.ts'
import { readCause } from '../../runtime/schedules/recordBytes.ts'
import { Refused } from './account.ts'

export interface NoticesHost {
  readonly broker: Broker
  readonly services: Pick<ScheduleServices, 'tell'>
}

const REPEAT_MS = 60_000

export class Notices {
  readonly #actor: string
  readonly #host: NoticesHost
  /** To be taken by the next look. */
  readonly #pending = new Map<string, Notice[]>()
  /** Chains to other actors whose mailboxes our user may not write to, that were told of. */
  readonly #refused = new Set<string>()
  /** The word in the keys of what timers put into mailboxes. */
  salt = ''

  constructor(actor: string, host: NoticesHost) {
    this.#actor = actor
    this.#host = host
  }

  add(schedule: string, notice: Notice): void {
    const pending = this.#pending.get(schedule)
    if (pending === undefined) this.#pending.set(schedule, [notice])
    else pending.push(notice)
  }

  /** What came for a schedule since it was asked last. */
  take(schedule: string): Notice[] {
    const pending = this.#pending.get(schedule) ?? []
    this.#pending.delete(schedule)
    return pending
  }

  /** Takes a notice to the actor whose schedule it is for; it is known there by its key, however often it is taken. */
  async forward(target: string, schedule: string, notice: Notice): Promise<void> {
    const { publisher, subjects } = this.#host.broker
    const published = publisher.publish({
      subject: subjects.later(target, notice.message),
      payload: Buffer.from(JSON.stringify(notice)),
      headers: encodeHeaders([
        [H.dedupe, `after:${notice.cause.place}:${schedule}:${this.salt}`],
        [H.after, schedule],
      ]),
      stream: subjects.mailboxStream(target),
      repeatMs: REPEAT_MS,
      awayMs: 0,
    })
    await published.catch((error: unknown) => {
      const isForbidden = error instanceof BrokerError && error.code === 'FORBIDDEN'
      throw isForbidden ? this.#forbidden(target, schedule, error) : error
    })
  }

  /** Told once; the notice is kept and tried again, less and less often: it goes when the right is given. */
  #forbidden(target: string, schedule: string, cause: Error): Refused {
    const key = `${target} ${schedule}`
    const detail = `expected workers of ${this.#actor} to be let send to ${target}, since it runs after their messages, but they may not. Give their user that right ("troupe permissions --role worker --actors ${this.#actor} --sends-to ${target}"): what has ended is kept until then.`
    if (!this.#refused.has(key)) this.#host.services.tell({ schedule, what: 'refused', detail })
    this.#refused.add(key)
    return new Refused(cause, false)
  }
}

/** With a message that ended, where the schedule runs after such a one: a stranger may write a notice too. */
export function withNotice(record: ScheduleRecord, { cause, planned }: Notice): ScheduleRecord {
  const { after } = record.definition.rule
  const isMeant =
    after?.actor === cause.actor && after.message === cause.message && isCause(after, cause.status as Status)
  return (isMeant ? withCause(record, cause, planned) : undefined) ?? record
}

/** A notice's bytes; undefined for what is none. */
export function readNotice(data: Uint8Array): Notice | undefined {
  try {
    const { cause, planned, message } = JSON.parse(Buffer.from(data).toString()) as Partial<
      Record<keyof Notice, unknown>
    >
    if (typeof planned !== 'number' || !(planned >= 0 && planned <= LATEST_DUE) || typeof message !== 'string')
      return undefined
    return { cause: readCause(cause, 'the notice'), planned, message }
  } catch {
    return undefined
  }
}
