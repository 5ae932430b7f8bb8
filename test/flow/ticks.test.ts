/** Schedules that run: due by the second, accounted for, known to their handlers. */
import { defineActor, type Context } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, testBundle } from '../kit/system.ts'

type Seen = { id: string; schedule: string; planned: number; at: number; by: string }

/** An actor that writes down what its schedules made it do. */
function clerk() {
  const seen: Seen[] = []
  const note = (ctx: Context): void => {
    const { schedule } = ctx
    if (schedule === undefined) return
    seen.push({
      id: ctx.id,
      schedule: schedule.id,
      planned: schedule.planned.getTime(),
      at: ctx.sent.getTime(),
      by: schedule.by,
    })
  }
  const actor = defineActor('clerk', {
    retry: false,
    messages: {
      file: (payload: { what: string }, ctx) => {
        note(ctx)
        return payload.what
      },
      fail: (_: unknown, ctx) => {
        note(ctx)
        throw new Error('as asked')
      },
    },
  })
  return { actor, seen }
}

describe('a schedule every second', () => {
  it('runs each second, never early, and each run is accounted for with its outcome', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('tick', { every: '1s', send: actor.file.with({ what: 'it' }) })
    await eventually('three runs', () => seen.length >= 3)
    await t.troupe.schedules.pause('tick')
    const planned = seen.map((run) => run.planned)
    expect(planned).toEqual(planned.map((_, index) => (planned[0] ?? 0) + index * 1_000))
    for (const run of seen) {
      expect(run.at).toBeGreaterThanOrEqual(run.planned)
      expect(run.id).toBe(`tick@${new Date(run.planned).toISOString().replace('.000Z', 'Z')}`)
    }
    await eventually('all ended', async () => {
      const runs = await t.troupe.schedules.history('tick')
      return runs.every(({ state }) => state === 'ended')
    })
    const runs = await t.troupe.schedules.history('tick')
    expect(runs.map((run) => run.planned.getTime()).toReversed()).toEqual(seen.map((run) => run.planned))
    expect(runs[0]).toMatchObject({ by: 'rule', outcome: { status: 'done', result: 'it', attempts: 1 } })
    expect(await t.troupe.schedules.get('tick')).toMatchObject({ counts: { sent: runs.length, skipped: 0, missed: 0 } })
  })
})
