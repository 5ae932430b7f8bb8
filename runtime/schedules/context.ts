/** What a handler sees of the schedule that made its message: `ctx.schedule`. */
import type { Broker } from '../broker/broker.ts'
import { readPlanned } from '../time/planned.ts'
import type { RunOccurrence } from './accounts.ts'
import { readAccount } from './ledger.ts'
import type { Cause, Maker } from './record.ts'
import { runOf, type ScheduledRun } from './view.ts'

export interface ScheduleContext {
  /** The schedule's id. */
  readonly id: string
  /** The planned time of this run. With `jitter` it is sent later: `ctx.planned`. */
  readonly planned: Date
  /** Why it runs: its `rule`, a `catchUp` after downtime, a `trigger` by hand, a `backfill`, or `after` another message. */
  readonly by: Maker
  /** With `after`: the message that ended. */
  readonly cause: Cause | undefined
  /** The run before this one, with its outcome and result as far as they are known by now; undefined for the first. Reads the ledger. */
  previous(): Promise<ScheduledRun | undefined>
}

export function scheduleContext(broker: Broker, actor: string, occurrence: RunOccurrence): ScheduleContext {
  return scheduleView(occurrence, () => runBefore(broker, actor, occurrence))
}

/** The same, where something else reads the ledger. */
export function scheduleView(
  { claim, account }: RunOccurrence,
  previous: ScheduleContext['previous'],
): ScheduleContext {
  const { schedule, planned } = claim
  const { by = 'rule', cause } = account?.entry ?? {}
  return { id: schedule, planned: new Date(planned), by, cause, previous }
}

/** The run before this one, read from the ledger; undefined for the first. */
export async function runBefore(
  broker: Broker,
  actor: string,
  { claim, account }: RunOccurrence,
): Promise<ScheduledRun | undefined> {
  const before = account?.entry.previous === undefined ? undefined : readPlanned(account.entry.previous)
  if (before === undefined) return undefined
  const found = await readAccount(broker, { actor, schedule: claim.schedule, planned: before })
  return found && runOf(before, found)
}
