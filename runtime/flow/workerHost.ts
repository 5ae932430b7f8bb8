/** What a worker is given: its settings, its system, and the pool of an isolated actor. */
import type { Broker } from '../broker/broker.ts'
import type { Trouble } from '../broker/pull.ts'
import type { Sender } from '../client/sender.ts'
import type { EventLevel, MessageEvents } from '../events.ts'
import type { Logger } from '../log.ts'
import type { Message } from '../message.ts'
import type { ActorTally } from '../observe/tally.ts'
import type { Accounts } from '../schedules/accounts.ts'
import type { Secrets } from '../secrets.ts'
import type { Clock } from '../time/clock.ts'
import type { Invoke } from './execute.ts'

export interface WorkerSettings {
  readonly name: string
  readonly concurrency: number
  /** For messages that set none: ms. */
  readonly timeLimitMs: number
  /** Between a run's signal and giving it up: ms. */
  readonly graceMs: number
}

/** What a worker needs of the pool that its handlers run in. */
export interface WorkerPool {
  /** Messages that it can run at once, now. */
  readonly capacity: number
  /** Longest time, beyond a run's limit and grace, until it has begun and ended: ms. */
  readonly patienceMs: number
  /** From now on so many messages at once. */
  scale(concurrency: number): void
  /** Ends what still runs, and resolves when that is told. */
  killRunning(): Promise<void>
}

/** What a worker is given by its system. */
export interface WorkerHost {
  readonly broker: Broker
  readonly clock: Clock
  readonly log: Logger
  readonly events: EventLevel
  /** What is hidden in events. */
  readonly secrets: Secrets
  /** Whether somebody in this process listens to every event, whatever the level. */
  readonly listens: boolean
  /** Epoch ms by the server's clock. */
  serverNow(): number
  /** Monotonic ms: what arrives now left the server after that. */
  deliveredSince(): number
  /** Why a message is cancelled that waited, or was just parked, if it is. Who asked for that is told. */
  cancelled(message: Message, was: 'waiting' | 'parked'): string | undefined
  senderFor(message: Message): Sender
  /** What handlers find in `ctx.resources`. */
  resources(): Readonly<Record<string, unknown>>
  readonly invoke: Invoke
  /** What schedules are told when a message ends. */
  readonly accounts: Accounts
  /** What became of this actor's messages, counted. */
  readonly tally: ActorTally
  /** Messages that may still be begun, all workers together. */
  readonly budget: { left: number }
  /** Of an isolated actor: the threads or processes that its handlers run in. */
  readonly pool: WorkerPool | undefined
  /** Told of every event of a message, whatever is published. */
  onEvent<K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void
  onTrouble(actor: string, trouble: Trouble): void
}
