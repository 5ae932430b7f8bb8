/** What this process sent: how many messages, how long it took until they were stored, and what failed. By actor and message. */
import { Histogram } from './histogram.ts'

export class SendTally {
  readonly actor: string
  readonly message: string
  /** Of messages that were stored. */
  readonly durations = new Histogram()
  /** How many were not, by the error's code. */
  readonly errors = new Map<string, number>()
  /** Told of each in this process besides: metrics that can't be read from here. */
  onEnded: ((ms: number, error: string | undefined) => void) | undefined

  constructor(actor: string, message: string) {
    this.actor = actor
    this.message = message
  }

  stored(ms: number): void {
    this.durations.add(ms)
    this.onEnded?.(ms, undefined)
  }

  failed(ms: number, error: Error): void {
    const code = codeOf(error)
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1)
    this.onEnded?.(ms, code)
  }
}

/** More names than any application has: who sends under names that he makes up is counted under one. */
const MOST = 1_000
const OTHERS = '(others)'

export class SendTallies {
  /** By actor, then by message: two look-ups cost less than to put the names together. */
  readonly #tallies = new Map<string, Map<string, SendTally>>()
  #count = 0
  /** Called for each that is made. */
  onMade: ((tally: SendTally) => void) | undefined

  of(actor: string, message: string): SendTally {
    return this.#tallies.get(actor)?.get(message) ?? this.#make(actor, message)
  }

  all(): SendTally[] {
    return [...this.#tallies.values()].flatMap((messages) => [...messages.values()])
  }

  #make(actor: string, message: string): SendTally {
    if (this.#count >= MOST && actor !== OTHERS) return this.of(OTHERS, OTHERS)
    const tally = new SendTally(actor, message)
    const messages = this.#tallies.get(actor) ?? new Map<string, SendTally>()
    messages.set(message, tally)
    this.#tallies.set(actor, messages)
    this.#count++
    this.onMade?.(tally)
    return tally
  }
}

/** A word for what failed, of which there are few: an error's code, else its name. */
export function codeOf(error: Error): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : error.name
}
