/** The testing kit with isolated actors: their handlers see the moved time, their errors come through, plain unit tests need nothing. */
import { testContext, testSystem } from 'troupe/testing'
import { describe, expect, it } from 'vitest'

import { rejection, testBundle } from '../kit/system.ts'
import { kitProcess, kitThread, linked, unlinked } from './fixtures/kit.ts'

describe.each([
  ['thread', kitThread],
  ['process', kitProcess],
] as const)('the testing kit, with handlers in a %s', (_kind, actor) => {
  it('moves the time that they see, and waits for what they do', { timeout: 60_000 }, async () => {
    await using t = await testSystem({ actors: [actor] })
    const before = Date.parse(await t.ask(actor.now, {}))
    expect(Math.abs(before - Date.now())).toBeLessThan(10_000)
    await t.send(actor.second, {}, { id: 'second', keep: '1h' })
    await t.clock.advance('2h')
    await t.settled()
    const done = t.events.find(({ event, id }) => event === 'done' && id === 'second')
    expect(done?.attempt).toBe(2)
    const after = Date.parse(await t.ask(actor.now, {}))
    expect(after - before).toBeGreaterThanOrEqual(2 * 3_600_000)
    expect(after - before).toBeLessThan(2 * 3_600_000 + 30_000)
  })

  it("rejects with the handler's own error when a message dies", { timeout: 60_000 }, async () => {
    await using t = await testSystem({ actors: [actor] })
    await t.send(actor.refuse, {}, { retry: { attempts: 1 } })
    const error = await rejection(t.settled())
    expect(error).toMatchObject({ name: 'Refused', message: 'never', code: 'REFUSED' })
    expect(error.stack).toContain('fixtures/kit.ts')
  })

  it('tells them of the schedule that made their message, and of the run before', { timeout: 60_000 }, async () => {
    await using t = await testSystem({ actors: [actor] })
    await t.troupe.schedules.put('often', { every: '1h', send: actor.scheduled.with({}), options: { keep: '1d' } })
    await t.clock.advance('150m')
    await t.settled({ parked: false })
    const runs = await t.troupe.schedules.history('often')
    const [first, second] = runs.toSorted((a, b) => a.planned.getTime() - b.planned.getTime())
    const planned = (run: typeof first) => run?.planned.toISOString()
    const told = { id: 'often', by: 'rule' }
    expect(first?.outcome).toMatchObject({ status: 'done', result: { ...told, planned: planned(first) } })
    const result = { ...told, planned: planned(second), before: planned(first) }
    expect(second?.outcome).toMatchObject({ status: 'done', result })
  })
})

it('a handler is called in a plain unit test as it is', () => {
  const ctx = testContext({ now: '2027-03-28T01:00:00Z' })
  expect(kitProcess.now.handle({}, ctx)).toBe('2027-03-28T01:00:00.000Z')
})

it('a connection of its own is there where it is asked for; else the error says how', { timeout: 60_000 }, async () => {
  await using t = await testBundle({ actors: [linked, unlinked] })
  t.troupe.connection.subscribe('own.question', { callback: (_error, msg) => void msg.respond('an answer') })
  expect(await t.troupe.ask(linked.ask, 'own.question')).toBe('an answer')
  const error = await rejection(t.troupe.ask(unlinked.ask, 'own.question', { retry: { attempts: 1 } }))
  expect(error).toMatchObject({ failure: { code: 'NO_CONNECTION' } })
  expect(error.message).toMatch(/connection: true/)
})
