/** Schedules in the testing kit: time that is moved makes them due, in order, and what is parked for its next time is at rest. */
import { defineActor } from 'troupe'
import { testSystem } from 'troupe/testing'
import { describe, expect, it } from 'vitest'

import { serverOfFile } from '../kit/system.ts'

function diary() {
  const seen: string[] = []
  const actor = defineActor('diary', {
    messages: {
      write: (_: unknown, ctx) => {
        seen.push(`${ctx.schedule?.id} ${ctx.schedule?.planned.toISOString()} ${ctx.schedule?.by}`)
      },
    },
  })
  return { actor, seen }
}

describe('a test system with schedules', () => {
  it('is at rest between their times, and runs them as time is moved', async () => {
    const { actor, seen } = diary()
    await using t = await testSystem({ actors: [actor], servers: (await serverOfFile()).url })
    const { schedules } = t.troupe
    await schedules.put('daily', { cron: '0 8 * * *', timeZone: 'Europe/Paris', send: actor.write.with({}) })
    await t.settled()
    expect(seen).toEqual([])
    const preview = (await schedules.describe('daily')).upcoming.slice(0, 3).map(({ planned }) => planned.toISOString())
    await t.clock.advance('3d')
    await t.settled()
    expect(seen).toEqual(preview.map((planned) => `daily ${planned} rule`))
    expect(await schedules.get('daily')).toMatchObject({ counts: { sent: 3, skipped: 0, missed: 0 } })
    const runs = await schedules.history('daily')
    expect(runs.map(({ outcome }) => outcome?.status)).toEqual(['done', 'done', 'done'])
  })

  it('keeps the order of several, and triggers and delays beside them', async () => {
    const { actor, seen } = diary()
    await using t = await testSystem({ actors: [actor], servers: (await serverOfFile()).url })
    const { schedules } = t.troupe
    await schedules.put('two', { every: '2h', overlap: 'allow', send: actor.write.with({}) })
    await schedules.put('three', { every: '3h', overlap: 'allow', send: actor.write.with({}) })
    await t.clock.advance('12h')
    const times = seen.map((line) => line.split(' ')[1] ?? '')
    expect(times).toEqual(times.toSorted())
    expect(seen.filter((line) => line.startsWith('two'))).toHaveLength(6)
    expect(seen.filter((line) => line.startsWith('three'))).toHaveLength(4)
    await schedules.trigger('two')
    await t.settled()
    expect(seen.at(-1)).toMatch(/^two .* trigger$/)
  })
})
