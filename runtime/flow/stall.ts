/**
 * Whether an actor has stopped making progress: a queue has a backlog, there was room for it all the time, and nothing came (P9).
 *
 * No stall is: a queue without a backlog; one that is paused; one whose cluster-wide limit is used up, since nobody may get more; an
 * actor whose slots were all taken at some moment, since then its lanes have priorities; anything while NATS does not answer.
 * A consumer that is gone, and stays so though it was to be made again, is one.
 */

/** One queue as it is now. */
export interface QueueLook {
  /** Deliveries that ever came from it. */
  readonly arrived: number
  /** Whether at some moment since the last look there was no room for more. */
  readonly wasFull: boolean
  /** What JetStream says of it; undefined: it did not say. Only asked where nothing came though there was room. */
  readonly consumer: ConsumerLook | 'gone' | undefined
}

export interface ConsumerLook {
  /** Not delivered to anybody. */
  readonly waiting: number
  readonly isPaused: boolean
  /** Delivered and not settled, by all workers, and how many there may be; -1: any number. */
  readonly unsettled: number
  readonly limit: number
}

/** What is remembered between looks. */
export interface Standing {
  readonly arrived: number
  /** Since when it has looked like a stall: monotonic ms. */
  readonly suspectSince: number | undefined
}

/** The next standing of a queue: pure. */
export function judge(before: Standing | undefined, look: QueueLook, now: number): Standing {
  const { arrived, wasFull, consumer } = look
  const isQuiet = before !== undefined && arrived === before.arrived && !wasFull
  const isSuspect = isQuiet && consumer !== undefined && (consumer === 'gone' || isDeliverable(consumer))
  return { arrived, suspectSince: isSuspect ? (before.suspectSince ?? now) : undefined }
}

export function isStalled({ suspectSince }: Standing, afterMs: number, now: number): boolean {
  return suspectSince !== undefined && now - suspectSince >= afterMs
}

function isDeliverable({ waiting, isPaused, unsettled, limit }: ConsumerLook): boolean {
  return waiting > 0 && !isPaused && (limit < 0 || unsettled < limit)
}
