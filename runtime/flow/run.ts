/** One value that goes from fetch to settle: a delivery, what it says, and how far its run is. */
import type { MessageSpec } from '../actor.ts'
import type { Delivery } from '../broker/delivery.ts'
import type { RunContext } from '../context.ts'
import type { Crashes } from '../isolation/crash.ts'
import type { Message } from '../message.ts'

export interface Run {
  readonly delivery: Delivery
  readonly message: Message
  /** The message's definition; undefined where the actor has none of that name. */
  readonly spec: MessageSpec | undefined
  readonly ctx: RunContext
  /** Its row in the table of leases. */
  readonly row: number
  /** Monotonic ms. */
  readonly startedAt: number
  /** Its place among the worker's runs. */
  slot: number
  /** Crashes of earlier runs, as far as they were looked up. */
  crashes: Crashes
  /** Whether a start mark was written: it must go when the run ends. */
  marked: boolean
  /** Monotonic ms at which it was told to stop. */
  abortedAt: number | undefined
  /** Its slot is free again, its outcome is being settled or was. What the handler does from then on changes nothing. */
  over: boolean
}
