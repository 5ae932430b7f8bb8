/** What a worker tells of its messages: events on NATS by the actor's level, and to listeners in this process whatever the level. */
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import { isTold, LEAST_LEVEL, type EventLevel, type MessageEvent, type MessageEvents } from '../events.ts'
import type { Message } from '../message.ts'
import type { Secrets } from '../secrets.ts'
import { systemClock } from '../time/clock.ts'

export interface TellingHost {
  readonly publisher: Publisher
  readonly subjects: Subjects
  readonly secrets: Secrets
  /** Name of the worker, as events carry it. */
  readonly worker: string
  /** Whether somebody in this process listens to every event, whatever the level. */
  readonly listens: boolean
  onEvent<K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void
}

/** Whom an event is about. */
export type About = Pick<Message, 'id' | 'actor' | 'name' | 'attempt'>

/** What an event says beyond what every event of a message does. */
export type Detail<K extends keyof MessageEvents> = Omit<MessageEvents[K], keyof MessageEvent>

export class Telling {
  readonly #host: TellingHost
  #level: EventLevel
  #tellsAll: boolean

  constructor(host: TellingHost, level: EventLevel) {
    this.#host = host
    this.#level = level
    this.#tellsAll = level === 'all' || host.listens
  }

  get level(): EventLevel {
    return this.#level
  }
  /** May be changed while messages run: it holds from the next event on. */
  set level(level: EventLevel) {
    this.#level = level
    this.#tellsAll = level === 'all' || this.#host.listens
  }

  /** Whether events of healthy messages are heard by anybody: else they are not even made. */
  get tellsAll(): boolean {
    return this.#tellsAll
  }

  tell<K extends keyof MessageEvents>(event: K, message: About, detail: Detail<K>): void {
    const data = this.#dataOf(message, detail) as MessageEvents[K]
    this.#host.onEvent(event, data)
    if (!isTold(event, this.#level)) return
    this.#host.publisher.tell(this.#host.subjects.event(message.actor, message.name, event), this.#json(event, data))
  }

  #json(event: keyof MessageEvents, data: object): Uint8Array {
    // What happens to healthy messages carries nothing of theirs.
    if (LEAST_LEVEL[event] === 'all') return Buffer.from(JSON.stringify(data))
    try {
      return Buffer.from(this.#host.secrets.toJson(data) ?? '')
    } catch {
      return Buffer.from(JSON.stringify({ ...data, value: '[cannot be written as JSON]' }))
    }
  }

  #dataOf<D extends object>(message: About, detail: D): MessageEvent & D {
    return {
      id: message.id,
      actor: message.actor,
      message: message.name,
      attempt: message.attempt,
      worker: this.#host.worker,
      at: new Date(systemClock.now()).toISOString(),
      ...detail,
    }
  }
}
