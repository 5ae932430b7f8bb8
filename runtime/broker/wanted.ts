/**
 * Which streams and consumers Troupe needs (DESIGN section 4), and what they are set to. Nothing is asked or made here, and the
 * same settings give the same assets, but for the salt of a timer's stream: of that the one that was first counts (differences.ts).
 *
 * Does not own: bringing them about (assets.ts, deploy.ts), what there is instead (differences.ts), names and subjects (subjects.ts).
 */
import type { ActorSpec } from '../actor.ts'
import { randomToken } from '../time/chance.ts'
import { bucketStream } from './bucket.ts'
import { SALT, type Consumer, type Stream } from './differences.ts'
import type { Lane, Subjects } from './subjects.ts'

/** What of the configuration the settings of assets follow. Milliseconds. */
export interface WantedSettings {
  readonly replicas: number
  readonly leaseMs: number
  readonly dedupeWindowMs: number
  /** Bounds of mailboxes whose actors set none. */
  readonly maxMessages?: number | undefined
  readonly maxBytes?: number | undefined
  readonly keepDeadMs: number
  readonly keepCancelsMs: number
  /** Events are captured for so long; undefined: not at all. */
  readonly keepEventsMs?: number | undefined
  readonly eventBytes: number
  readonly keepLedgerMs: number
}

/** Streams and consumers as they should be. */
export interface Wanted {
  readonly streams: readonly Stream[]
  readonly consumers: readonly { readonly stream: string; readonly wanted: Consumer }[]
}

/** One place in a mailbox that messages are pulled from. */
export interface Queue {
  readonly lane: Lane | 'all' | 'later'
  readonly stream: string
  readonly consumer: string
}

/** Timers park and release under keys of their own in this window: a redelivery comes within a lease. */
const TIMER_WINDOW_MS = 120_000

/** A run that was marked and never ended is forgotten after this: its message is long gone. */
const MARKS_AGE_MS = 30 * 86_400_000

const nanos = (ms: number): number => ms * 1_000_000

export class WantedAssets {
  readonly #subjects: Subjects
  readonly #settings: WantedSettings

  constructor(subjects: Subjects, settings: WantedSettings) {
    this.#subjects = subjects
    this.#settings = settings
  }

  leaseMs(spec: ActorSpec): number {
    return spec.leaseMs ?? this.#settings.leaseMs
  }
  dedupeWindowMs(spec: ActorSpec): number {
    return spec.dedupeWindowMs ?? this.#settings.dedupeWindowMs
  }

  /** All that workers of the actor need. */
  all(spec: ActorSpec): Wanted {
    return {
      streams: [...this.shared(), this.mailbox(spec), this.timer(spec)],
      consumers: this.consumers(spec),
    }
  }

  /** The queues that an actor's messages are run from, highest lane first. */
  lanes(spec: ActorSpec): Queue[] {
    const stream = this.#subjects.mailboxStream(spec.name)
    if (spec.limit !== undefined) return [{ lane: 'all', stream, consumer: 'all' }]
    return spec.lanes.map((lane) => ({ lane, stream, consumer: lane }))
  }

  mailbox(spec: ActorSpec): Stream {
    const lanes = spec.lanes.map((lane) => this.#subjects.lane(spec.name, lane))
    return {
      ...this.#stream(this.#subjects.mailboxStream(spec.name), [...lanes, this.#subjects.wildcard('later', spec.name)]),
      ...about('mailbox', spec.name, `the mailbox of actor ${spec.name}`),
      retention: 'workqueue',
      discard: 'new',
      max_msgs: spec.maxMessages ?? this.#settings.maxMessages ?? -1,
      max_bytes: spec.maxBytes ?? this.#settings.maxBytes ?? -1,
      duplicate_window: nanos(this.dedupeWindowMs(spec)),
      allow_direct: true,
    }
  }

  timer(spec: ActorSpec): Stream {
    const text = `delayed messages and retries of actor ${spec.name}`
    return {
      ...this.#stream(this.#subjects.timerStream(spec.name), [`${this.#subjects.namespace}.timer.*.${spec.name}.>`]),
      retention: 'workqueue',
      // What was parked or released comes again after a lease; the window must know it then.
      duplicate_window: nanos(Math.max(TIMER_WINDOW_MS, 2 * this.leaseMs(spec))),
      allow_msg_schedules: true,
      // Scheduling needs roll-ups; the server would turn them on by itself and the settings would differ.
      allow_rollup_hdrs: true,
      // For counts of what is parked (depth.ts).
      allow_direct: true,
      // Whoever creates it first leaves a word here that only workers of the actor can read: assets.ts, timerSalt.
      ...about('timer', spec.name, text, undefined, { [SALT]: randomToken(12) }),
    }
  }

  /** As `nats kv add` would make it (ADR-8), so that `nats kv` can read and edit it. */
  schedules(actor: string): Stream {
    const bucket = this.#subjects.schedulesBucket(actor)
    return {
      ...this.#stream(bucketStream(bucket), [`$KV.${bucket}.>`]),
      ...about('schedules', actor, `the schedules of actor ${actor}`),
      retention: 'limits',
      discard: 'new',
      max_msgs_per_subject: 1,
      allow_direct: true,
      allow_rollup_hdrs: true,
      deny_delete: true,
    }
  }

  /** The streams that all actors share. */
  shared(): Stream[] {
    const { deadStream, resultStream, cancelStream, markStream, ledgerStream } = this.#subjects
    const limits = (name: string, kind: string, description: string): Stream => ({
      ...this.#stream(name, [this.#subjects.wildcard(kind)]),
      ...about(kind, undefined, description),
      retention: 'limits',
      allow_direct: true,
    })
    return [
      { ...limits(deadStream, 'dead', 'dead letters'), max_age: nanos(this.#settings.keepDeadMs) },
      { ...limits(resultStream, 'result', 'kept results'), max_msgs_per_subject: 1 },
      { ...limits(cancelStream, 'cancel', 'cancels'), max_age: nanos(this.#settings.keepCancelsMs) },
      {
        ...limits(markStream, 'mark', 'runs that were begun after a redelivery'),
        max_msgs_per_subject: 1,
        max_age: nanos(MARKS_AGE_MS),
      },
      { ...limits(ledgerStream, 'ledger', 'the accounts of schedules'), max_age: nanos(this.#settings.keepLedgerMs) },
      ...this.#eventStreams(),
    ]
  }

  consumers(spec: ActorSpec): { stream: string; wanted: Consumer }[] {
    const stream = this.#subjects.mailboxStream(spec.name)
    const due = `${this.#subjects.namespace}.timer.due.${spec.name}.>`
    return [
      ...this.lanes(spec).map((queue) => ({ stream, wanted: this.#laneConsumer(spec, queue) })),
      {
        stream,
        wanted: {
          ...this.#consumer('later', [this.#subjects.wildcard('later', spec.name)], this.leaseMs(spec)),
          ...about('later', spec.name, `delayed messages of actor ${spec.name}, on their way to its timers`),
        },
      },
      {
        stream: this.#subjects.timerStream(spec.name),
        wanted: {
          ...this.#consumer('due', [due], this.leaseMs(spec)),
          ...about('due', spec.name, `what is due for actor ${spec.name}, on its way to its mailbox`),
        },
      },
    ]
  }

  #laneConsumer(spec: ActorSpec, { lane }: Queue): Consumer {
    const lease = this.leaseMs(spec)
    if (lane === 'all') {
      const filters = spec.lanes.map((name) => this.#subjects.lane(spec.name, name))
      const text = `all lanes of actor ${spec.name}, ${spec.limit} messages at once in all workers`
      return {
        ...this.#consumer('all', filters, lease),
        ...about('lane', spec.name, text, lane),
        max_ack_pending: spec.limit ?? -1,
      }
    }
    return {
      ...this.#consumer(lane, [this.#subjects.lane(spec.name, lane as Lane)], lease),
      ...about('lane', spec.name, `lane ${lane} of actor ${spec.name}`, lane),
    }
  }

  #consumer(name: string, filters: string[], leaseMs: number): Consumer {
    const filter = filters.length === 1 ? { filter_subject: filters[0] ?? '' } : { filter_subjects: filters }
    return {
      name,
      durable_name: name,
      ...filter,
      ack_policy: 'explicit',
      deliver_policy: 'all',
      ack_wait: nanos(leaseMs),
      // The runtime counts attempts and crashes itself, and knows how many it may hold.
      max_deliver: -1,
      max_ack_pending: -1,
      max_waiting: 4096,
      num_replicas: this.#settings.replicas,
    }
  }

  /** Events are published without an ack, so what is captured is what the server took. */
  #eventStreams(): Stream[] {
    const { keepEventsMs, eventBytes } = this.#settings
    if (keepEventsMs === undefined) return []
    return [
      {
        ...this.#stream(this.#subjects.eventStream, [this.#subjects.wildcard('event')]),
        ...about('event', undefined, 'events, for history'),
        retention: 'limits',
        discard: 'old',
        allow_direct: true,
        max_age: nanos(keepEventsMs),
        max_bytes: eventBytes,
      },
    ]
  }

  #stream(name: string, subjects: string[]): Stream {
    return { name, subjects, storage: 'file', num_replicas: this.#settings.replicas, allow_msg_ttl: true }
  }
}

/** What an asset says of itself in `nats stream ls`, `nats consumer info` and the like. */
function about(
  kind: string,
  actor: string | undefined,
  text: string,
  lane?: Queue['lane'],
  more: Readonly<Record<string, string>> = {},
): { description: string; metadata: Record<string, string> } {
  return {
    description: `Troupe: ${text}`,
    metadata: {
      troupe_kind: kind,
      ...(actor === undefined ? {} : { troupe_actor: actor }),
      ...(lane === undefined ? {} : { troupe_lane: lane }),
      ...more,
    },
  }
}
