/** What a worker process and a sender process can be told, the same for both sides. */
import type { EventLevel } from 'troupe'

import type { Mark, Memory } from './meter.ts'
import type { Shape } from './troupe/isolated.ts'

/** What the handler does with a message, beside counting it. */
export type Handler =
  | { readonly kind: 'nothing' }
  /** Decode it (the runtime always does; the bare loop only where asked). */
  | { readonly kind: 'read' }
  /** Sample the milliseconds since it was sent. */
  | { readonly kind: 'latency' }
  /** Sample the milliseconds since it was due. */
  | { readonly kind: 'lateness' }
  /** Sample the milliseconds since the full second that it was due at. */
  | { readonly kind: 'recurring' }
  /** Return a value to the asking sender. */
  | { readonly kind: 'answer' }
  | { readonly kind: 'sleep'; readonly ms: number }

export interface Place {
  readonly url: string
  /** Namespace of the runtime, stream name and first token of the bare loop. */
  readonly space: string
}

export interface WorkerJob extends Place {
  readonly handler: Handler
  readonly concurrency: number
  /** After how many messages to make a mark. */
  readonly marks: readonly number[]
  /** Of the runtime: which events it publishes, and how long they are kept. Default: as without. */
  readonly events?: EventLevel
  readonly keepEvents?: string
}

/** A process that handles messages. */
export interface WorkerRole {
  start(job: WorkerJob): Promise<void>
  mark(index: number): Promise<Mark>
  samples(): Promise<readonly number[]>
  memory(): Promise<Memory>
  stop(): Promise<void>
}

/** A process that hosts an actor whose handlers run inline, in threads or in processes. */
export interface PoolRole {
  start(job: Place & { readonly shape: Shape; readonly marks: readonly number[] }): Promise<void>
  mark(index: number): Promise<Mark>
  /** Milliseconds from send to handler start. */
  samples(): Promise<readonly number[]>
  /** CPU that it takes in so many milliseconds, child processes too, and what all of them hold. */
  idle(ms: number): Promise<{ readonly cpuMs: number; readonly rssMb: number }>
  /** Kills a process in mid-handler: milliseconds until the message begins again, and until all processes are there again. */
  recover(number: number): Promise<{ readonly againMs: number; readonly fullMs: number }>
  stop(): Promise<void>
}

export interface Sent {
  /** Monotonic milliseconds of the first send and of the last acknowledgement. */
  readonly startedAt: number
  readonly endedAt: number
  /** CPU for it, user and system, in microseconds. */
  readonly cpuUs: number
  readonly peakRssMb: number
}

/** A process that sends messages. */
export interface SenderRole {
  start(place: Place): Promise<void>
  /**
   * Sends `count` messages with `window` in flight, one promise and one id each. `encode`: the bare loop makes JSON of
   * each (the runtime always does), else it sends the same bytes.
   */
  pump(count: number, window: number, encode: boolean): Promise<Sent>
  /** Sends one message every `everyMs`, without waiting for the acknowledgement of the one before. */
  pace(count: number, everyMs: number): Promise<void>
  /** Sends and awaits the outcome, one after the other. Resolves to the milliseconds of each. */
  ask(count: number): Promise<readonly number[]>
  /** Sends one message for each due time (epoch milliseconds). */
  later(dues: readonly number[]): Promise<Sent>
  /** Makes so many schedules of every full second. */
  recur(count: number): Promise<Sent>
  stop(): Promise<void>
}
