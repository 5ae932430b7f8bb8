/** Schedules after downtime over 50 occurrences, and on machines whose clocks are wrong (P6). */
import { defineActor, type ScheduledRun, type ScheduleInput } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, testBundle, type Bundle } from '../kit/system.ts'
import { bed, ids, until } from './bed.ts'

const DOWN = 50

/** Leaves the record as it was when the last timer stopped, so many seconds ago. */
async function downFor({ troupe, namespace }: Bundle, id: string, seconds: number): Promise<number> {
  const subject = `$KV.${namespace}-schedules-clerk.${id}`
  const got = await troupe.connection.request(
    `$JS.API.STREAM.MSG.GET.KV_${namespace}-schedules-clerk`,
    JSON.stringify({ last_by_subj: subject }),
  )
  const { message } = got.json<{ message: { data: string } }>()
  const record = JSON.parse(Buffer.from(message.data, 'base64').toString()) as { state: object }
  const then = Math.floor(Date.now() / 1_000) * 1_000 - seconds * 1_000
  const at = new Date(then).toISOString()
  const left = { ...record, since: at, createdAt: at, state: { ...record.state, cursor: at } }
  await troupe.connection.request(subject, JSON.stringify(left))
  return then
}

describe(`after ${DOWN} seconds in which nothing ran`, () => {
  async function afterwards(
    catchUp: ScheduleInput['catchUp'] & {},
  ): Promise<{ down: ScheduledRun[]; seen: Set<number> }> {
    const seen = new Set<number>()
    const actor = defineActor('clerk', {
      concurrency: 100,
      messages: { file: (_: unknown, ctx) => void seen.add(ctx.schedule?.planned.getTime() ?? NaN) },
    })
    await using t = await testBundle()
    await t.troupe.schedules.put('s', { every: '1s', overlap: 'allow', catchUp, send: actor.file.with({}) })
    const from = await downFor(t, 's', DOWN)
    await t.another([actor])
    // The downtime is over with the first run that was sent in time.
    let up = 0
    await eventually('it runs in time again', async () => {
      const runs = await t.troupe.schedules.history('s', { limit: 10 })
      const inTime = runs.find(
        ({ by, sentAt, planned }) => by === 'rule' && sentAt && sentAt.getTime() - planned.getTime() < 900,
      )
      up = inTime?.planned.getTime() ?? 0
      return up > 0
    })
    await eventually('nothing is left to catch up', async () => {
      const { spans, counts } = await t.troupe.schedules.get('s')
      // The ledger is written before the record: as long as that counts nothing, the first look is not over.
      return spans.length === 0 && counts.sent > 0
    })
    const runs = await t.troupe.schedules.history('s', { limit: 1_000, from, until: new Date(up) })
    return { down: runs.toReversed(), seen }
  }

  /** One account for each second of the downtime. */
  function expectEach(down: readonly ScheduledRun[]): void {
    const times = down.map(({ planned }) => planned.getTime())
    expect(times.length).toBeGreaterThanOrEqual(DOWN - 1)
    expect(times).toEqual(times.map((_, index) => (times[0] ?? 0) + index * 1_000))
  }

  it('latest: the newest is sent, each other is missed with its reason', async () => {
    const { down } = await afterwards('latest')
    expectEach(down)
    const missed = down.filter(({ state }) => state === 'missed')
    expect(missed.length).toBeGreaterThanOrEqual(DOWN - 2)
    for (const { reason } of missed) expect(reason).toMatch(/^catchUp latest: .* came due before a timer ran$/)
  })

  it('skip: none of them is caught up', async () => {
    const { down } = await afterwards({ policy: 'skip', within: '500ms' })
    expectEach(down)
    expect(down.filter(({ by, state }) => by !== 'rule' || state !== 'missed').length).toBeLessThanOrEqual(1)
  })

  it('all: each is sent, once, at its pace', async () => {
    const { down, seen } = await afterwards({ policy: 'all', pace: '20ms' })
    expectEach(down)
    expect(down.filter(({ state }) => state === 'missed' || state === 'skipped')).toEqual([])
    for (const { planned } of down) expect(seen).toContain(planned.getTime())
    const caughtUp = down.filter(({ by }) => by === 'catchUp').map(({ sentAt }) => sentAt?.getTime() ?? 0)
    expect(caughtUp.length).toBeGreaterThanOrEqual(DOWN - 3)
    // Never a flood: spread over the time that the pace takes.
    const spreadMs = (caughtUp.at(-1) ?? 0) - (caughtUp[0] ?? 0)
    expect(spreadMs).toBeGreaterThanOrEqual((caughtUp.length - 1) * 20 - 50)
  })

  it('all within a window: what is older is missed, the rest is sent', async () => {
    const { down } = await afterwards({ policy: 'all', within: '20s', pace: '20ms' })
    expectEach(down)
    const missed = down.filter(({ state }) => state === 'missed')
    expect(missed.length).toBeGreaterThan(20)
    expect(missed.length).toBeLessThan(40)
    for (const { reason } of missed) expect(reason).toBe('catchUp all: more than 20s late')
    expect(down.slice(missed.length).every(({ state }) => state === 'sent' || state === 'ended')).toBe(true)
  })
})

describe('timers on machines whose clocks are 3 s ahead, 3 s behind and jumping', () => {
  it('are never early by the clock of the server, and leave nothing out (P5, P6)', { timeout: 120_000 }, async () => {
    await using t = await bed({ lease: '2s', concurrency: 100 })
    await Promise.all(
      ([3_000, -3_000, 'jumping'] as const).map((clockSkew, index) => t.worker(`skewed${index}`, { clockSkew })),
    )
    const all = ids(20, 's')
    await Promise.all(
      all.map((id) =>
        t.troupe.schedules.put(id, {
          every: '1s',
          limit: 5,
          overlap: 'allow',
          catchUp: { policy: 'all', pace: '1ms' },
          send: t.box.timed.with({}),
        }),
      ),
    )
    await until('all have run', () => t.entries('done').length >= all.length * 5)
    const late = t.entries('late').map(({ detail }) => Number(detail))
    expect(late.filter((ms) => !(ms >= 0))).toEqual([])
    const done = t.entries('done').map(({ id }) => id)
    expect(done).toHaveLength(all.length * 5)
    expect(new Set(done).size).toBe(done.length)
    late.sort((a, b) => a - b)
    console.log(
      `wrong clocks: late p50 ${late[late.length >> 1]} ms, at most ${late.at(-1)} ms, earliest ${late[0]} ms`,
    )
  })
})
