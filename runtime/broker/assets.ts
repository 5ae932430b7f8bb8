/**
 * The streams and consumers of DESIGN section 4: what they are set to, and how they come to be.
 *
 * Whoever comes first creates an asset; creating it again with the same settings does nothing. Where it exists with other
 * settings, both values are in the error or, if changing them loses nothing, it is updated. Nothing is ever narrowed: a
 * bound that is smaller than what exists, or another kind of stream, is reported and left to the operator.
 */
import type { StreamInfo } from '@nats-io/jetstream'

import type { ActorSpec } from '../actor.ts'
import { BrokerError } from '../errors.ts'
import { randomToken } from '../time/chance.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { JetStreamError, type JetStreamApi } from './api.ts'
import { bucketStream } from './bucket.ts'
import { differencesOf, differs, isCosmetic, isSafe, SALT, updated, type Consumer, type Stream } from './differences.ts'
import type { Lane, Subjects } from './subjects.ts'

/** Settings of the assets that come from the configuration. Milliseconds. */
export interface AssetSettings {
  readonly replicas: number
  /** Whether assets may be created and updated; else they must exist. */
  readonly manage: boolean
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

/** The largest share of a dedupe window in which a repeat is surely recognised. */
export const SAFE_SHARE_OF_WINDOW = 0.8
/** Timers park and release under keys of their own in this window: a redelivery comes within a lease. */
const TIMER_WINDOW_MS = 120_000

/** How long a stream may be in the making whose name is taken already. */
const MADE_MS = 10_000
const MADE_PAUSE_MS = 100

/** Whoever failed before a mailbox was made learns of it a moment later. */
const REMADE_MS = 1_000
/**
 * Between the news that a stream was deleted and making it again. Tried: made again within milliseconds, one in a hundred is broken until
 * the server is restarted, since the server has still to remove the files of the one before, and removes those of the new one
 * ("critical write error" in its log; it acknowledges nothing from then on).
 */
const AFTER_DELETION_MS = 1_000

const nanos = (ms: number): number => ms * 1_000_000

export class Assets {
  readonly #api: JetStreamApi
  readonly #subjects: Subjects
  readonly settings: AssetSettings
  readonly #ensured = new Map<string, Promise<void>>()
  readonly #remade = new Map<string, { readonly at: number; readonly made: Promise<void> }>()
  /** Workers' assets that are about to be made again. */
  readonly #again = new Map<string, Promise<void>>()

  constructor(api: JetStreamApi, subjects: Subjects, settings: AssetSettings) {
    this.#api = api
    this.#subjects = subjects
    this.settings = settings
  }

  /** Names of the queues that an actor's messages are run from, highest lane first. */
  lanesOf(spec: ActorSpec): Queue['lane'][] {
    return this.#lanes(spec, '').map(({ lane }) => lane)
  }

  leaseMs(spec: ActorSpec): number {
    return spec.leaseMs ?? this.settings.leaseMs
  }
  dedupeWindowMs(spec: ActorSpec): number {
    return spec.dedupeWindowMs ?? this.settings.dedupeWindowMs
  }

  /** The mailbox's stream alone: what a sender needs. */
  mailbox(spec: ActorSpec): Promise<void> {
    return this.#once(`mailbox ${spec.name}`, () => this.#ensureStream(this.#mailboxStream(spec)))
  }

  /**
   * The mailbox, made again: somebody deleted it, or nobody has made it yet. Thousands may find that out at once; it is
   * made once for all of them. `isKnown`: it was there before.
   */
  mailboxAgain(spec: ActorSpec, isKnown: boolean): Promise<void> {
    const known = this.#remade.get(spec.name)
    const now = systemClock.monotonic()
    if (known !== undefined && now - known.at < REMADE_MS + (isKnown ? AFTER_DELETION_MS : 0)) return known.made
    this.#ensured.delete(`mailbox ${spec.name}`)
    const made = isKnown ? this.#afterDeletion(spec).then(() => this.mailbox(spec)) : this.mailbox(spec)
    this.#remade.set(spec.name, { at: now, made })
    return made
  }

  /** The streams of an actor, without the consumers that its workers pull from: what schedules need. */
  async streams(spec: ActorSpec): Promise<void> {
    await this.mailbox(spec)
    await this.#once(`timer ${spec.name}`, () => this.#ensureStream(this.#timerStream(spec)))
  }

  /** Waits where it is really gone: that nobody answers for it may also mean that its leader is being elected. */
  async #afterDeletion(spec: ActorSpec): Promise<void> {
    const problem = await this.#api.streamInfo(this.#subjects.mailboxStream(spec.name)).catch((error: unknown) => error)
    if (problem instanceof JetStreamError && problem.refusal === 'gone') await sleep(AFTER_DELETION_MS)
  }

  /** All that a worker needs, made again since some of it was deleted; once for all of its queues that find that out. */
  workerAgain(spec: ActorSpec): Promise<void> {
    const known = this.#again.get(spec.name)
    if (known !== undefined) return known
    const made = sleep(AFTER_DELETION_MS).then(async () => {
      this.#again.delete(spec.name)
      this.forget()
      await this.worker(spec)
    })
    this.#again.set(spec.name, made)
    return made
  }

  /** Everything that a worker of the actor needs; returns the queues to pull from, highest lane first. */
  async worker(spec: ActorSpec): Promise<{ lanes: Queue[]; later: Queue; due: { stream: string; consumer: string } }> {
    await this.mailbox(spec)
    await this.shared()
    const stream = this.#subjects.mailboxStream(spec.name)
    const timer = this.#subjects.timerStream(spec.name)
    await this.#once(`timer ${spec.name}`, () => this.#ensureStream(this.#timerStream(spec)))
    await Promise.all(this.#consumers(spec).map((consumer) => this.#ensureConsumer(consumer.stream, consumer.wanted)))
    return {
      lanes: this.#lanes(spec, stream),
      later: { lane: 'later', stream, consumer: 'later' },
      due: { stream: timer, consumer: 'due' },
    }
  }

  /** All that workers of the actor need, for `troupe deploy` to compare with what there is. */
  wanted(spec: ActorSpec): Wanted {
    return {
      streams: [...this.#sharedStreams(), this.#mailboxStream(spec), this.#timerStream(spec)],
      consumers: this.#consumers(spec),
    }
  }

  /** The buckets of these actors' schedules, for `troupe deploy`. */
  wantedBuckets(actors: readonly string[]): Stream[] {
    return actors.map((actor) => this.#scheduleBucket(actor))
  }

  #consumers(spec: ActorSpec): { stream: string; wanted: Consumer }[] {
    const stream = this.#subjects.mailboxStream(spec.name)
    const due = `${this.#subjects.namespace}.timer.due.${spec.name}.>`
    return [
      ...this.#lanes(spec, stream).map((queue) => ({ stream, wanted: this.#laneConsumer(spec, queue) })),
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

  /**
   * A word that stands in the dedupe keys of what timers put into this actor's mailbox. Senders publish there too: without
   * it a message under the id `at:7` would make the timer's own publish under that key look like a repeat, and be lost.
   */
  async timerSalt(actor: string): Promise<string> {
    const { config } = await this.#api.streamInfo(this.#subjects.timerStream(actor))
    return config.metadata?.[SALT] ?? ''
  }

  /** The bucket of an actor's schedules, made with the first of them. */
  schedules(actor: string): Promise<void> {
    return this.#once(`schedules ${actor}`, () => this.#ensureStream(this.#scheduleBucket(actor)))
  }

  /** The streams that all actors share. */
  shared(): Promise<void> {
    return this.#once('shared', async () => {
      await Promise.all(this.#sharedStreams().map((stream) => this.#ensureStream(stream)))
    })
  }

  /** Forgets what was seen to exist: somebody deleted an asset. */
  forget(): void {
    this.#ensured.clear()
  }

  #once(key: string, ensure: () => Promise<void>): Promise<void> {
    const known = this.#ensured.get(key)
    if (known !== undefined) return known
    const ensured = ensure()
    this.#ensured.set(key, ensured)
    ensured.catch(() => this.#ensured.delete(key))
    return ensured
  }

  #lanes(spec: ActorSpec, stream: string): Queue[] {
    if (spec.limit !== undefined) return [{ lane: 'all', stream, consumer: 'all' }]
    return spec.lanes.map((lane) => ({ lane, stream, consumer: lane }))
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
      num_replicas: this.settings.replicas,
    }
  }

  #mailboxStream(spec: ActorSpec): Stream {
    const lanes = spec.lanes.map((lane) => this.#subjects.lane(spec.name, lane))
    return {
      ...this.#stream(this.#subjects.mailboxStream(spec.name), [...lanes, this.#subjects.wildcard('later', spec.name)]),
      ...about('mailbox', spec.name, `the mailbox of actor ${spec.name}`),
      retention: 'workqueue',
      discard: 'new',
      max_msgs: spec.maxMessages ?? this.settings.maxMessages ?? -1,
      max_bytes: spec.maxBytes ?? this.settings.maxBytes ?? -1,
      duplicate_window: nanos(this.dedupeWindowMs(spec)),
      allow_direct: true,
    }
  }

  #timerStream(spec: ActorSpec): Stream {
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
      // Whoever creates it first leaves a word here that only workers of the actor can read: see timerSalt.
      ...about('timer', spec.name, text, undefined, { [SALT]: randomToken(12) }),
    }
  }

  /** As `nats kv add` would make it (ADR-8), so that `nats kv` can read and edit it. */
  #scheduleBucket(actor: string): Stream {
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

  #sharedStreams(): Stream[] {
    const { deadStream, resultStream, cancelStream, markStream, ledgerStream } = this.#subjects
    const limits = (name: string, kind: string, description: string): Stream => ({
      ...this.#stream(name, [this.#subjects.wildcard(kind)]),
      ...about(kind, undefined, description),
      retention: 'limits',
      allow_direct: true,
    })
    return [
      { ...limits(deadStream, 'dead', 'dead letters'), max_age: nanos(this.settings.keepDeadMs) },
      { ...limits(resultStream, 'result', 'kept results'), max_msgs_per_subject: 1 },
      { ...limits(cancelStream, 'cancel', 'cancels'), max_age: nanos(this.settings.keepCancelsMs) },
      {
        ...limits(markStream, 'mark', 'runs that were begun after a redelivery'),
        max_msgs_per_subject: 1,
        max_age: nanos(MARKS_AGE_MS),
      },
      { ...limits(ledgerStream, 'ledger', 'the accounts of schedules'), max_age: nanos(this.settings.keepLedgerMs) },
      ...this.#eventStreams(),
    ]
  }

  /** Events are published without an ack, so what is captured is what the server took. */
  #eventStreams(): Stream[] {
    const { keepEventsMs, eventBytes } = this.settings
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
    return { name, subjects, storage: 'file', num_replicas: this.settings.replicas, allow_msg_ttl: true }
  }

  async #ensureStream(wanted: Stream): Promise<void> {
    if (!this.settings.manage) return this.#checkStream(wanted)
    try {
      await this.#api.createStream(wanted)
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.refusal !== 'differs') throw error
      await this.#reconcileStream(wanted)
    }
  }

  async #reconcileStream(wanted: Stream): Promise<void> {
    const { config } = await this.#infoOfMade(wanted.name)
    const differences = differencesOf(wanted, config)
    const unsafe = differences.filter(({ key, want, have }) => !isSafe(key, want, have))
    if (unsafe.length > 0) throw differs(wanted.name, unsafe)
    if (differences.length > 0) await this.#api.updateStream(updated(config, wanted))
  }

  /** A stream that another creates at this very moment has its name before it can be found (tried, on three servers). */
  async #infoOfMade(name: string): Promise<StreamInfo> {
    const until = systemClock.monotonic() + MADE_MS
    for (;;) {
      try {
        return await this.#api.streamInfo(name)
      } catch (error) {
        const isComing = error instanceof JetStreamError && error.refusal === 'gone'
        if (!isComing || systemClock.monotonic() >= until) throw error
        await sleep(MADE_PAUSE_MS)
      }
    }
  }

  async #checkStream(wanted: Stream): Promise<void> {
    const { config } = await this.#api.streamInfo(wanted.name).catch((error: unknown) => {
      if (!(error instanceof JetStreamError) || error.refusal !== 'gone') throw error
      const text = `expected stream ${wanted.name} to exist, since nats.manage is off, but it does not. Run "troupe deploy" as an operator.`
      throw new BrokerError('MISSING_ASSET', text, { cause: error, data: { stream: wanted.name } })
    })
    const differences = differencesOf(wanted, config).filter((difference) => !isCosmetic(difference))
    if (differences.length > 0) throw differs(wanted.name, differences)
  }

  async #ensureConsumer(stream: string, wanted: Consumer): Promise<void> {
    if (!this.settings.manage) return void (await this.#api.consumerInfo(stream, wanted.name))
    // Without an action the server creates it or updates what may be updated; the rest it refuses with its reason.
    await this.#api.putConsumer(stream, wanted)
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

/** A run that was marked and never ended is forgotten after this: its message is long gone. */
const MARKS_AGE_MS = 30 * 86_400_000
