/** An actor for tests of schedules, and how to read what became of them. */
import { defineActor, type Context, type ScheduledRun } from 'troupe'

import { eventually, type Bundle } from './system.ts'

export interface Seen {
  readonly id: string
  readonly schedule: string | undefined
  readonly planned: number
  /** When it was stored in the mailbox. */
  readonly at: number
  readonly by: string | undefined
  readonly payload: unknown
}

/** An actor that writes down what its schedules made it do, and whose runs end when the test says so. */
export function clerk(name = 'clerk') {
  const seen: Seen[] = []
  const holding: (() => void)[] = []
  const note = ({ id, schedule, sent }: Context, payload: unknown): void => {
    const planned = schedule?.planned.getTime() ?? NaN
    seen.push({ id, schedule: schedule?.id, planned, at: sent.getTime(), by: schedule?.by, payload })
  }
  const actor = defineActor(name, {
    retry: false,
    messages: {
      file: (payload: { what: string }, ctx) => {
        note(ctx, payload)
        return payload.what
      },
      fail: (payload: unknown, ctx) => {
        note(ctx, payload)
        throw new Error('as asked')
      },
      hold: async (payload: unknown, ctx) => {
        note(ctx, payload)
        await new Promise<void>((resolve, reject) => {
          holding.push(resolve)
          ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error))
        })
      },
      /** Tells how the run before it ended. */
      chain: async (payload: unknown, ctx) => {
        const before = await ctx.schedule?.previous()
        note(ctx, payload)
        return (Number(before?.outcome?.result) || 0) + 1
      },
    },
  })
  /** Lets the oldest run that holds end. */
  const release = (): void => holding.shift()?.()
  return { actor, seen, release }
}

export const runsOf = async ({ troupe }: Bundle, id: string): Promise<ScheduledRun[]> =>
  (await troupe.schedules.history(id, { limit: 100 })).toReversed()

export const statesOf = async (t: Bundle, id: string): Promise<string[]> =>
  (await runsOf(t, id)).map(({ state, outcome }) => outcome?.status ?? state)

/** Resolves when the accounts of a schedule are these, oldest first. */
export function accounts(t: Bundle, id: string, ...states: string[]): Promise<void> {
  return eventually(`the accounts of ${id} are ${states.join(', ')}`, async () => {
    const found = await statesOf(t, id)
    return found.join() === states.join()
  })
}

/** A rule that is not due while a test runs. */
export const NEVER = { cron: '0 0 1 1 *' } as const
