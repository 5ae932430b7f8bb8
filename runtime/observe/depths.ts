/**
 * Depths of this system's actors (broker/depth.ts), read at most once in a while: whoever scrapes, asks for stats or for
 * status gets the same numbers, a second old at most, however many ask.
 */
import type { ActorSpec } from '../actor.ts'
import type { Broker } from '../broker/broker.ts'
import { countMessages, readDepth, type ActorDepth } from '../broker/depth.ts'
import { systemClock } from '../time/clock.ts'

const FRESH_MS = 1_000
/** Who looks does not wait longer than that for NATS: then there are no numbers this time. */
const PATIENCE_MS = 1_000

export interface Depth extends ActorDepth {
  /** Messages in the mailbox by name: waiting and running. */
  readonly stored: ReadonlyMap<string, number>
}

interface Read {
  readonly at: number
  readonly depth: Promise<Depth | undefined>
}

export class Depths {
  readonly #broker: Broker
  readonly #read = new Map<string, Read>()

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Undefined where NATS did not say in time, or this user may not ask. Never rejects. */
  of(spec: ActorSpec): Promise<Depth | undefined> {
    const known = this.#read.get(spec.name)
    const now = systemClock.monotonic()
    if (known !== undefined && now - known.at < FRESH_MS) return known.depth
    const depth = within(PATIENCE_MS, this.#ask(spec))
    this.#read.set(spec.name, { at: now, depth })
    return depth
  }

  async #ask(spec: ActorSpec): Promise<Depth> {
    const names = [...spec.messages.keys()]
    const [depth, counts] = await Promise.all([
      readDepth(this.#broker, spec.name, this.#broker.assets.lanesOf(spec)),
      Promise.all(names.map((name) => countMessages(this.#broker, spec.name, name))),
    ])
    return { ...depth, stored: new Map(names.map((name, at) => [name, counts[at] ?? 0])) }
  }
}

/** What a promise gives, or undefined where it fails or takes too long. */
function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = systemClock.setTimer(() => resolve(undefined), ms, { unref: true })
    const end = (value: T | undefined): void => {
      systemClock.clearTimer(timer)
      resolve(value)
    }
    promise.then(end, () => end(undefined))
  })
}
