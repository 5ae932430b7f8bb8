/**
 * The watch on running messages: their time limits, their leases, and what becomes of those that do not end when told.
 *
 * A run is told to stop by its signal, once, with the first reason. After the grace it is given up: its message is settled,
 * its slot is free, and an event (`abandoned`) says that its code may still run.
 */
import type { Leases } from '../broker/leases.ts'
import { AbortedError, type AbortCause } from '../errors.ts'
import type { MessageEvent, MessageEvents } from '../events.ts'
import type { Outcome } from '../outcome.ts'
import { systemClock } from '../time/clock.ts'
import { abortedOutcome } from './execute.ts'
import type { Run } from './run.ts'

export interface WatchHost {
  readonly leases: Leases
  /** Between a run's signal and giving it up: ms. */
  readonly graceMs: number
  /** Epoch ms by the server's clock. */
  serverNow(): number
  finish(run: Run, outcome: Outcome): void
  tell<K extends keyof MessageEvents>(event: K, run: Run, data: Omit<MessageEvents[K], keyof MessageEvent>): void
}

/** Looks at one run: aborts it where it has to stop, gives it up where it did not. `now` is monotonic. */
export function watchRun(host: WatchHost, run: Run, now: number): void {
  if (!host.leases.holds(run.row, run.delivery))
    abortRun(run, 'lease-lost', 'the lease of this message could not be confirmed in time')
  else if (now >= run.ctx.limitAt) abortAtLimit(host, run)
  if (run.abortedAt !== undefined && now - run.abortedAt >= host.graceMs) abandonRun(host, run)
}

/** Tells a run to stop. Only the first reason counts. */
export function abortRun(run: Run, why: AbortCause, text: string): void {
  if (run.abortedAt !== undefined) return
  run.abortedAt = systemClock.monotonic()
  run.ctx.abort(new AbortedError(why, text))
}

/** Its signal did not end it: its message is settled, its code may still run. */
export function abandonRun(host: WatchHost, run: Run): void {
  const { aborted } = run.ctx
  if (aborted === undefined || run.over) return
  host.tell('abandoned', run, { reason: aborted.message })
  const rule = run.spec?.retry
  host.finish(run, rule === undefined ? { kind: 'released' } : abortedOutcome(aborted, aborted, run, rule))
}

function abortAtLimit(host: WatchHost, run: Run): void {
  const { deadline } = run.message
  const isDeadline = deadline !== undefined && host.serverNow() >= deadline
  const ms = Math.round(run.ctx.limitAt - run.startedAt)
  if (isDeadline) abortRun(run, 'deadline', `the deadline of the message passed after ${ms} ms of this attempt`)
  else abortRun(run, 'time-limit', `expected the handler to end within its time limit of ${ms} ms, but it still runs`)
}
