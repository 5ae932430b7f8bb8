/**
 * The event `sent`: told by the sender, after JetStream has stored the message, at level `all` of its actor as the sender knows
 * it (the actor's definition, the sender's own setting). A mailbox itself tells nobody of what comes in, and who uses a bare
 * NATS client tells nothing: `started` is the first that is heard of such a message.
 */
import type { ActorSpec } from '../actor.ts'
import type { Connection } from '../broker/connection.ts'
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import type { SentEvent } from '../events.ts'
import type { EventLevels } from '../observe/levels.ts'
import { systemClock } from '../time/clock.ts'

/** What is told of a message that was stored. */
export type SentDetail = Omit<SentEvent, 'attempt' | 'at' | 'sender'>

export class SentEvents {
  readonly #publisher: Publisher
  readonly #subjects: Subjects
  readonly #levels: EventLevels
  readonly #sender: string
  #mayPublish = true
  /** Who listens in this process hears all of them, whatever the level. */
  listener: ((event: SentEvent) => void) | undefined

  constructor(
    broker: { readonly connection: Connection; readonly publisher: Publisher; readonly subjects: Subjects },
    levels: EventLevels,
    sender: string,
  ) {
    this.#publisher = broker.publisher
    this.#subjects = broker.subjects
    this.#levels = levels
    this.#sender = sender
    broker.connection.onProblem((problem) => this.#onProblem(problem))
  }

  /** Whether anybody would hear of a message sent to this actor: else the event is not even made. */
  isHeard(actor: string, spec: ActorSpec | undefined): boolean {
    return this.listener !== undefined || (this.#mayPublish && this.#levels.of(actor, spec) === 'all')
  }

  tell(detail: SentDetail, spec: ActorSpec | undefined): void {
    const at = new Date(systemClock.now()).toISOString()
    const event: SentEvent = { ...detail, attempt: 1, at, sender: this.#sender }
    this.listener?.(event)
    if (!this.#mayPublish || this.#levels.of(event.actor, spec) !== 'all') return
    const subject = this.#subjects.event(event.actor, event.message, 'sent')
    this.#publisher.tell(subject, Buffer.from(JSON.stringify(event)))
  }

  /** A sender of few rights may not publish events: then it does without, and the server is not asked each time. */
  #onProblem(problem: Error): void {
    const { operation, subject } = problem as { operation?: unknown; subject?: unknown }
    if (operation === 'publish' && String(subject).startsWith(this.#subjects.eventsOf(''))) this.#mayPublish = false
  }
}
