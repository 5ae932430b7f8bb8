/**
 * How the streams and consumers that wanted.ts names come to be, and to be again where somebody deleted them.
 *
 * Whoever comes first creates an asset; creating it again with the same settings does nothing. Where it exists with other
 * settings, both values are in the error or, if changing them loses nothing, it is updated. Nothing is ever narrowed: a
 * bound that is smaller than what exists, or another kind of stream, is reported and left to the operator.
 */
import type { StreamInfo } from '@nats-io/jetstream'

import type { ActorSpec } from '../actor.ts'
import { BrokerError } from '../errors.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { JetStreamError, type JetStreamApi } from './api.ts'
import { differencesOf, differs, isCosmetic, isSafe, SALT, updated, type Consumer, type Stream } from './differences.ts'
import type { Subjects } from './subjects.ts'
import { WantedAssets, type Queue, type WantedSettings } from './wanted.ts'

export interface AssetSettings extends WantedSettings {
  /** Whether assets may be created and updated; else they must exist. */
  readonly manage: boolean
}

/** The largest share of a dedupe window in which a repeat is surely recognised. */
export const SAFE_SHARE_OF_WINDOW = 0.8
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

export class Assets {
  readonly #api: JetStreamApi
  readonly #subjects: Subjects
  readonly settings: AssetSettings
  /** What there should be. */
  readonly wanted: WantedAssets
  readonly #ensured = new Map<string, Promise<void>>()
  readonly #remade = new Map<string, { readonly at: number; readonly made: Promise<void> }>()
  /** Workers' assets that are about to be made again. */
  readonly #again = new Map<string, Promise<void>>()

  constructor(api: JetStreamApi, subjects: Subjects, settings: AssetSettings) {
    this.#api = api
    this.#subjects = subjects
    this.settings = settings
    this.wanted = new WantedAssets(subjects, settings)
  }

  /** Names of the queues that an actor's messages are run from, highest lane first. */
  lanesOf(spec: ActorSpec): Queue['lane'][] {
    return this.wanted.lanes(spec).map(({ lane }) => lane)
  }

  leaseMs(spec: ActorSpec): number {
    return this.wanted.leaseMs(spec)
  }
  dedupeWindowMs(spec: ActorSpec): number {
    return this.wanted.dedupeWindowMs(spec)
  }

  /** The mailbox's stream alone: what a sender needs. */
  mailbox(spec: ActorSpec): Promise<void> {
    return this.#once(`mailbox ${spec.name}`, () => this.#ensureStream(this.wanted.mailbox(spec)))
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
    await this.#timer(spec)
  }

  #timer(spec: ActorSpec): Promise<void> {
    return this.#once(`timer ${spec.name}`, () => this.#ensureStream(this.wanted.timer(spec)))
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
    await this.#timer(spec)
    await Promise.all(
      this.wanted.consumers(spec).map((consumer) => this.#ensureConsumer(consumer.stream, consumer.wanted)),
    )
    return {
      lanes: this.wanted.lanes(spec),
      later: { lane: 'later', stream, consumer: 'later' },
      due: { stream: timer, consumer: 'due' },
    }
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
    return this.#once(`schedules ${actor}`, () => this.#ensureStream(this.wanted.schedules(actor)))
  }

  /** The streams that all actors share. */
  shared(): Promise<void> {
    return this.#once('shared', async () => {
      await Promise.all(this.wanted.shared().map((stream) => this.#ensureStream(stream)))
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
