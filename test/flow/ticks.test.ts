/** Schedules that run: due by the second, accounted for, known to their handlers. */
import { describe, expect, it } from 'vitest'

import { clerk, NEVER, runsOf, statesOf } from '../kit/clerk.ts'
import { eventually, testBundle } from '../kit/system.ts'

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
    await eventually('all ended', async () => (await runsOf(t, 'tick')).every(({ state }) => state === 'ended'))
    const runs = await runsOf(t, 'tick')
    expect(runs.map((run) => run.planned.getTime())).toEqual(seen.map((run) => run.planned))
    expect(runs[0]).toMatchObject({ by: 'rule', outcome: { status: 'done', result: 'it', attempts: 1 } })
    expect(await t.troupe.schedules.get('tick')).toMatchObject({ counts: { sent: runs.length, skipped: 0, missed: 0 } })
  })

  it('ran as its preview said (P6)', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    const input = { cron: '*/2 * * * * *', jitter: '500ms', send: actor.file.with({ what: 'it' }), limit: 3 } as const
    const put = await t.troupe.schedules.put('even', input)
    const preview = await t.troupe.schedules.preview('even', input, { from: put.createdAt ?? 0, count: 3 })
    await eventually('three runs', () => seen.length === 3, 15_000)
    expect(seen.map((run) => run.planned)).toEqual(preview.map((time) => time.getTime()))
    for (const run of seen) expect(run.at - run.planned).toBeLessThan(1_500)
    expect(await t.troupe.schedules.get('even')).toMatchObject({ state: 'finished', next: undefined })
  })

  it('is changed in place: what the old rule planned until then, then the new one, none twice, none left out', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    const put = (every: string, what: string): Promise<unknown> =>
      t.troupe.schedules.put('tick', { every, overlap: 'allow', send: actor.file.with({ what }) })
    await put('1s', 'first')
    await eventually('two runs', () => seen.length === 2)
    await Promise.all(Array.from({ length: 5 }, (_, index) => put('2s', `edit ${index}`).catch(() => {})))
    await eventually('runs by the new rule', () => seen.filter((run) => run.payload !== undefined).length >= 4)
    const planned = seen.map((run) => run.planned)
    expect(new Set(planned).size).toBe(planned.length)
    for (const time of planned.slice(3)) expect(time % 2_000).toBe(0)
    const runs = await runsOf(t, 'tick')
    expect(runs.filter(({ state }) => state === 'missed')).toEqual([])
  })
})

describe('by hand', () => {
  it('a trigger runs it now, also while it is paused', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('rare', { ...NEVER, send: actor.file.with({ what: 'now' }) })
    await t.troupe.schedules.pause('rare', { note: 'wait' })
    await t.troupe.schedules.trigger('rare')
    await eventually('it runs', () => seen.length === 1)
    expect(seen[0]).toMatchObject({ by: 'trigger', schedule: 'rare' })
    expect(await t.troupe.schedules.get('rare')).toMatchObject({ state: 'paused', counts: { sent: 1 } })
  })

  it('a trigger that is stored while nothing runs is run by whoever comes', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle()
    await t.troupe.schedules.put('rare', { ...NEVER, send: actor.file.with({ what: 'now' }) })
    await t.troupe.schedules.trigger('rare')
    await t.another([actor])
    await eventually('it runs', () => seen.length === 1)
  })

  it('a backfill sends what was planned in a past range, and what was sent before not again', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    const { schedules } = t.troupe
    await schedules.put('hourly', { every: '1h', overlap: 'allow', send: actor.file.with({ what: 'x' }) })
    const until = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000)
    const from = new Date(until.getTime() - 5 * 3_600_000)
    await schedules.backfill('hourly', { from, until, pace: '50ms' })
    await eventually('five runs', () => seen.length === 5)
    await eventually('it is over', async () => (await schedules.get('hourly')).spans.length === 0)
    await schedules.backfill('hourly', { from: new Date(from.getTime() - 3_600_000), until, pace: '1ms' })
    await eventually('one more', () => seen.length === 6)
    await eventually('it is over', async () => (await schedules.get('hourly')).spans.length === 0)
    expect(seen.every((run) => run.by === 'backfill')).toBe(true)
    expect(new Set(seen.map((run) => run.planned)).size).toBe(6)
    await expect(schedules.backfill('hourly', { from: until, until: from })).rejects.toMatchObject({
      code: 'INVALID_SCHEDULE',
    })
  })
})

describe('a handler', () => {
  it('gets the result of the run before', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('count', { every: '1s', send: actor.chain.with({}), limit: 3 })
    await eventually('three runs', async () => (await statesOf(t, 'count')).join() === 'done,done,done', 15_000)
    expect((await runsOf(t, 'count')).map(({ outcome }) => outcome?.result)).toEqual([1, 2, 3])
    expect(seen).toHaveLength(3)
  })

  it('sees no schedule in a message that only claims to be of one, and its account is left alone', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('real', { ...NEVER, overlap: 'skip', send: actor.hold.with({}) })
    await t.troupe.schedules.trigger('real')
    await eventually('it runs', () => seen.length === 1)
    const claimed = `real@${new Date(seen[0]?.planned ?? 0).toISOString()}`
    const { headers: newHeaders } = await import('@nats-io/transport-node')
    for (const proof of [undefined, '', 'x'.repeat(27)]) {
      const headers = newHeaders()
      headers.set('Troupe-Schedule', claimed)
      headers.set('Nats-Msg-Id', `${claimed}:${proof}`)
      headers.set('Troupe-Id', claimed)
      if (proof !== undefined) headers.set('Troupe-Proof', proof)
      t.troupe.connection.publish(`${t.namespace}.do.clerk.file`, JSON.stringify({ what: 'forged' }), { headers })
    }
    await eventually('the forged ones ran as what they are', () => seen.length === 4)
    expect(seen.slice(1).map((run) => run.schedule)).toEqual([undefined, undefined, undefined])
    expect(await statesOf(t, 'real')).toEqual(['sent'])
  })
})
