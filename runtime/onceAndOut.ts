/**
 * Systems that end by themselves: when their mailboxes are empty, after so many messages, or after so long without work.
 *
 * Empty means by JetStream's own counts: no lane of these actors has a message that waits or runs anywhere, twice in a row,
 * nothing is on its way into a mailbox (`later`, or due now), and nothing runs or is being settled here. What is parked for
 * a later time does not count: it is for whoever runs then.
 */
import { JetStreamError } from './broker/api.ts'
import type { Broker } from './broker/broker.ts'
import { ConfigError, describe, didYouMean } from './errors.ts'
import type { ActorWorker } from './flow/worker.ts'
import { sleep, systemClock } from './time/clock.ts'
import { parseDuration, type Duration } from './time/duration.ts'

/** When a system ends by itself; whichever comes first. */
export interface Until {
  /** As soon as nothing waits and nothing runs. */
  empty?: boolean
  /** After so many messages were run, all actors together. No more are begun. */
  messages?: number
  /** After so long without a message that runs. */
  idle?: Duration
}

export interface EndRule {
  readonly empty: boolean
  readonly messages: number
  readonly idleMs: number
}

const KEYS = ['empty', 'messages', 'idle']

/** Throws `ConfigError` `INVALID_OPTION`. */
export function endRule(until: Until): EndRule {
  for (const key of Object.keys(until)) {
    if (!KEYS.includes(key)) throw invalid(`until.${key}`, `one of ${KEYS.join(', ')}${didYouMean(key, KEYS)}`, key)
  }
  const { empty = false, messages = Infinity, idle } = until
  if (typeof empty !== 'boolean') throw invalid('until.empty', 'true or false', empty)
  if (messages !== Infinity && (!Number.isInteger(messages) || messages < 1))
    throw invalid('until.messages', 'a whole number from 1', messages)
  const idleMs = idle === undefined ? Infinity : parseDuration(idle, 'until.idle')
  if (idleMs < 1) throw invalid('until.idle', 'a duration above 0', idle)
  return { empty, messages, idleMs }
}

/** How many messages may still be begun: shared by all workers of a system. */
export class Budget {
  left: number

  constructor(messages: number) {
    this.left = messages
  }
}

export interface EndHost {
  readonly broker: Broker
  readonly budget: Budget
  readonly stopped: Promise<void>
  /** Those that run now: a worker may have been restarted meanwhile. */
  workers(): ReadonlyMap<string, ActorWorker>
}

const LOOK_MS = 100

/** Resolves with the reason when the system should end; with undefined where it was stopped before. */
export async function whenDone(host: EndHost, rule: EndRule): Promise<string | undefined> {
  const over = new AbortController()
  void host.stopped.then(() => over.abort())
  let busyAt = systemClock.monotonic()
  let started = 0
  let emptyLooks = 0
  while (!over.signal.aborted) {
    const workers = [...host.workers().values()]
    const now = systemClock.monotonic()
    const begun = workers.reduce((sum, worker) => sum + worker.counts.started, 0)
    const isBusy = workers.some((worker) => worker.running.length > 0)
    if (isBusy || begun !== started) busyAt = now
    started = begun
    const isUnsettled = workers.some((worker) => worker.unsettled > 0 || worker.buffered > 0)
    if (host.budget.left <= 0 && !isBusy) return `${rule.messages} messages were run`
    if (now - busyAt >= rule.idleMs) return 'nothing to do for the time that was set'
    const mayBeEmpty = rule.empty && !isBusy && !isUnsettled
    // While NATS is away nobody knows.
    emptyLooks = mayBeEmpty && (await isEmpty(host).catch(() => false)) ? emptyLooks + 1 : 0
    if (emptyLooks >= 2) return 'nothing waits'
    await sleep(LOOK_MS, over.signal).catch(() => {})
  }
  return undefined
}

/** No message in the mailboxes, none that the server has released and a timer has not put there yet. */
async function isEmpty(host: EndHost): Promise<boolean> {
  const { api, subjects } = host.broker
  for (const actor of host.workers().keys()) {
    const mailbox = await api.streamInfo(subjects.mailboxStream(actor)).catch(gone)
    if ((mailbox?.state.messages ?? 0) > 0) return false
    const filter = { subjects_filter: subjects.wildcard('timer.due', actor) }
    const timer = await api.streamInfo(subjects.timerStream(actor), filter).catch(gone)
    if (Object.keys(timer?.state.subjects ?? {}).length > 0) return false
  }
  return true
}

function gone(error: unknown): undefined {
  if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
  throw error
}

function invalid(name: string, expected: string, got: unknown): ConfigError {
  return new ConfigError('INVALID_OPTION', `expected ${name} to be ${expected}, got: ${describe(got)}`, {
    data: { name },
  })
}
