/** How many threads or processes an isolated actor needs, and how many messages each of them runs (rule 2 of pool.ts): pure. */
import { availableParallelism } from 'node:os'

/** What a pool is meant to hold. */
export interface PoolSize {
  /** Messages of the mailbox at once, in all members together. */
  readonly concurrency: number
  /** Members that the definition sets; undefined: one for each message. */
  readonly workers: number | undefined
  readonly spares: number
}

/** What is there now. */
export interface PoolLoad {
  /** One that is ready is to be replaced: its successor comes beside it. */
  readonly isReplacing: boolean
  /** Members that are ready. */
  readonly ready: number
  /** Places in them that are taken, by live calls too: all of one whose run is to be alone. */
  readonly running: number
  /** Runs without a place. */
  readonly waiting: number
  /** One of these is to be alone. */
  readonly hasSuspect: boolean
}

/** Started at once, at most: more would only make each of them slower. */
const STARTS_AT_ONCE = Math.min(4, availableParallelism())

/** Messages that one member runs at once. */
export function slotsEach({ concurrency, workers }: PoolSize): number {
  return workers === undefined ? 1 : Math.ceil(concurrency / workers)
}

/** Members that the mailbox's messages need, with spares and a successor. */
export function membersWanted({ concurrency, workers, spares }: PoolSize, isReplacing: boolean): number {
  return (workers ?? concurrency) + spares + (isReplacing ? 1 : 0)
}

/** The same with those for what waits: live calls have slots of their own, as many again; a suspect has one for itself. */
export function membersNeeded(size: PoolSize, load: PoolLoad): number {
  const { isReplacing, ready, running, waiting, hasSuspect } = load
  const most = 2 * (size.workers ?? size.concurrency) + size.spares
  const forAll = Math.ceil((running + waiting) / slotsEach(size))
  const forSuspect = hasSuspect ? Math.min(most, ready) + 1 : 0
  return Math.max(membersWanted(size, isReplacing), Math.min(most, forAll), forSuspect)
}

/** How many to start now, beside those that are starting. */
export function startsDue(needed: number, ready: number, starting: number): number {
  return Math.max(0, Math.min(needed - ready - starting, STARTS_AT_ONCE - starting))
}
