/** Cancels as a system carries them out: followed from the stored list, applied to what runs, waits and is parked, and answered. */
import type { Broker } from './broker/broker.ts'
import { followCancels, Cancels, type Cancel, type CancelAnswer } from './broker/cancels.ts'
import { toError } from './errors.ts'
import type { Logger } from './log.ts'
import type { Message } from './message.ts'
import type { Roster } from './roster.ts'
import { systemClock } from './time/clock.ts'

export interface CancellingHost {
  readonly broker: Broker
  readonly log: Logger
  /** How long a cancel holds: ms. */
  readonly keepMs: number
  readonly roster: Roster
}

const PRUNE_MS = 60_000

export class Cancelling {
  readonly #host: CancellingHost
  readonly #cancels: ReadonlyMap<string, Cancels>
  #prune: NodeJS.Timeout | undefined
  #following: { stop(): Promise<void> } | undefined

  constructor(host: CancellingHost, actors: readonly string[]) {
    this.#host = host
    this.#cancels = new Map(actors.map((actor) => [actor, new Cancels(host.keepMs)]))
  }

  /** Reads all cancels to their end, then follows: before the first fetch, since what was cancelled must not run. */
  async start(): Promise<void> {
    const actors = [...this.#cancels.keys()]
    this.#following = await followCancels(this.#host.broker, actors, (actor, cancel) => this.#onCancel(actor, cancel))
    this.#prune = setInterval(() => {
      for (const cancels of this.#cancels.values()) cancels.prune(systemClock.now())
    }, PRUNE_MS)
    this.#prune.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#prune)
    await this.#following?.stop()
  }

  /** The cancel that a message falls under which is about to run, or on its way to parking. Who asked for it is told. */
  find(actor: string, message: Message, was: CancelAnswer['was']): Cancel | undefined {
    const cancel = this.#cancels.get(actor)?.find(message)
    if (cancel !== undefined) this.#answer(cancel, { was, id: message.id })
    return cancel
  }

  #onCancel(actor: string, cancel: Cancel): void {
    const cancels = this.#cancels.get(actor)
    cancels?.add(cancel)
    // Lives that failed and still end have runs too.
    const running = this.#host.roster
      .living(actor)
      .flatMap(({ worker }) => worker.recheckCancels((message) => cancels?.find(message)))
    for (const run of running) this.#answer(cancel, { was: 'running', id: run.message.id })
    this.#host.roster
      .of(actor)
      ?.timer.cancel(cancel)
      .then(
        (ids) => ids.forEach((id) => this.#answer(cancel, { was: 'parked', id })),
        (error: unknown) =>
          this.#host.log.warn('a cancel could not reach what is parked', { actor, error: toError(error) }),
      )
  }

  #answer(cancel: Cancel, answer: CancelAnswer): void {
    if (cancel.reply === undefined) return
    this.#host.broker.publisher.tell(cancel.reply, Buffer.from(JSON.stringify(answer)))
  }
}
