/**
 * Where the handlers of an actor run, in one of its lives: with its resources open, after `onStart` and before `onStop`.
 *
 * Opening: resources in the order in which they are named, then `onStart`. Closing is the reverse: `onStop`, then resources. Where
 * opening fails, what was opened is closed. Each is made for one life, opened once and closed once.
 */
import type { ActorSpec } from './actor.ts'
import { UnavailableError, toError } from './errors.ts'
import type { Logger } from './log.ts'
import { acquire, release, type Resource } from './resources.ts'
import { sleep } from './time/clock.ts'
import { formatDuration } from './time/duration.ts'

/** What `onStart` and `onStop` of an actor are given. */
export interface WorkerContext<Resources = unknown> {
  readonly actor: string
  /** Name of the worker. */
  readonly worker: string
  /** A logger whose lines carry the actor. */
  readonly log: Logger
  readonly resources: Resources
}

export interface PlaceHost {
  readonly worker: string
  readonly log: Logger
  /** Values by name that stand for what would be opened. */
  readonly given: Readonly<Record<string, unknown>>
}

export class Place {
  readonly #spec: ActorSpec
  readonly #host: PlaceHost
  readonly #opened: Resource<unknown>[] = []
  #resources: Readonly<Record<string, unknown>> = Object.freeze({})
  #isStarted = false

  constructor(spec: ActorSpec, host: PlaceHost) {
    this.#spec = spec
    this.#host = host
  }

  /** Values by name: empty until it is open. */
  get resources(): Readonly<Record<string, unknown>> {
    return this.#resources
  }

  /** Rejects with what a resource or `onStart` throws, with `UnavailableError` `TIMEOUT` after `startWithin`, with the signal's reason. */
  async open(signal: AbortSignal): Promise<void> {
    const over = new AbortController()
    const { startWithinMs, name } = this.#spec
    const late = async (): Promise<never> => {
      await sleep(startWithinMs, AbortSignal.any([signal, over.signal]))
      const text = `expected ${name} to open its resources and to end onStart within ${formatDuration(startWithinMs)} (startWithin), but it did not`
      throw new UnavailableError('TIMEOUT', text, { data: { actor: name } })
    }
    try {
      await Promise.race([this.#open(over.signal), late()])
    } catch (error) {
      over.abort()
      await this.close()
      throw error
    }
    over.abort()
  }

  /** Never rejects: what does not close is told. */
  async close(): Promise<void> {
    if (this.#isStarted) await this.#attempt('onStop failed', async () => this.#spec.onStop?.(this.#context()))
    this.#isStarted = false
    for (let last = this.#opened.pop(); last !== undefined; last = this.#opened.pop()) {
      const one = last
      await this.#attempt('a resource could not be closed', () => release(one))
    }
  }

  async #open(givenUp: AbortSignal): Promise<void> {
    const values: Record<string, unknown> = {}
    for (const [name, from] of this.#spec.resources) {
      values[name] = name in this.#host.given ? this.#host.given[name] : await this.#acquire(from, givenUp)
    }
    this.#resources = Object.freeze(values)
    await this.#spec.onStart?.(this.#context())
    this.#isStarted = true
    // It took too long: what it began is ended, since nobody else will.
    if (givenUp.aborted) await this.close()
  }

  async #acquire(from: Resource<unknown>, givenUp: AbortSignal): Promise<unknown> {
    const value = await acquire(from)
    // It took too long: nobody waits for it any more.
    if (givenUp.aborted) await release(from)
    givenUp.throwIfAborted()
    this.#opened.push(from)
    return value
  }

  #context(): WorkerContext {
    const { name } = this.#spec
    const { worker, log } = this.#host
    return { actor: name, worker, log: log.child({ actor: name }), resources: this.#resources }
  }

  async #attempt(what: string, close: () => Promise<unknown>): Promise<void> {
    try {
      await close()
    } catch (error) {
      this.#host.log.error(what, { actor: this.#spec.name, error: toError(error) })
    }
  }
}
