/** A steady stream of messages under which a fault happens, and how long nothing got through. */
import { setTimeout as sleep } from 'node:timers/promises'

import type { Bed } from './bed.ts'

/** A kind of messages; each has its own stretch of the road to take. */
export interface Kind {
  readonly name: string
  readonly send: (t: Bed, id: string) => Promise<unknown>
}

/** Through the mailbox alone; through it and the timer, from the sender and from a handler. */
export const KINDS: readonly Kind[] = [
  { name: 'plain', send: (t, id) => t.troupe.send(t.box.work, { ms: 5 }, { id }) },
  {
    name: 'delayed',
    send: (t, id) => t.troupe.send(t.box.timed, {}, { id, delay: 700 + Math.round(Math.random() * 2_000) }),
  },
  { name: 'retried', send: (t, id) => t.troupe.send(t.box.fail, { until: 2, after: '700ms' }, { id }) },
]

export interface Load {
  /** Ids whose send resolved. */
  readonly acknowledged: readonly string[]
  readonly errors: readonly Error[]
  /** Longest time in which nothing was acknowledged, from `since` (epoch ms) until now: ms. */
  silence(since: number): number
  /** The ids of a kind that were sent after that moment. */
  sentAfter(kind: Kind, at: number): ReadonlySet<string>
  /** Sends no more; resolves when every send has ended. */
  stop(): Promise<void>
}

/** Sends messages of all kinds in turn until it is stopped, under ids that begin with `prefix`. */
export function startLoad(t: Bed, prefix: string, kinds: readonly Kind[] = KINDS): Load {
  const sent: { id: string; kind: Kind; at: number }[] = []
  const acknowledged: string[] = []
  const acks: number[] = []
  const errors: Error[] = []
  let isOver = false
  const sendOnAndOn = async (): Promise<void> => {
    while (!isOver) {
      const kind = kinds[sent.length % kinds.length] as Kind
      const id = `${prefix}-${kind.name}-${sent.length}`
      sent.push({ id, kind, at: Date.now() })
      await kind.send(t, id).then(
        () => acknowledged.push(id) && acks.push(Date.now()),
        (error: Error) => errors.push(error),
      )
      // A steady load, not as much as goes: three servers, workers and this share the machine.
      await sleep(PAUSE_MS)
    }
  }
  const sending = Promise.all(Array.from({ length: IN_FLIGHT }, sendOnAndOn))
  return {
    acknowledged,
    errors,
    silence: (since) => longestGap([since, ...acks.filter((at) => at > since), Date.now()]),
    sentAfter: (kind, after) => new Set(sent.filter((one) => one.kind === kind && one.at > after).map(({ id }) => id)),
    stop: async () => {
      isOver = true
      await sending
    },
  }
}

const IN_FLIGHT = 15
const PAUSE_MS = 30

/** The longest time between two of these moments. */
export function longestGap(moments: readonly number[]): number {
  const ordered = moments.toSorted((a, b) => a - b)
  return Math.max(0, ...ordered.slice(1).map((at, index) => at - (ordered[index] ?? at)))
}
