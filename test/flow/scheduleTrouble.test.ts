/** Schedules when something goes wrong: nonsense, lost ticks, full mailboxes, runs that fail. */
import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { accounts, clerk, NEVER, runsOf } from '../kit/clerk.ts'
import { eventually, testBundle } from '../kit/system.ts'

describe('what goes wrong', () => {
  it('a record of nonsense stops no other, is told of, and runs when it is repaired', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor], timer: { check: '200ms' } })
    const events: { schedule: string; what: string; detail: string }[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.system.*.schedule`, {
      callback: (_error, msg) => void events.push(msg.json()),
    })
    const { schedules } = t.troupe
    await schedules.put('good', { every: '1s', overlap: 'allow', send: actor.file.with({ what: 'good' }) })
    await schedules.put('bad', { every: '1s', send: actor.file.with({ what: 'bad' }) })
    await t.troupe.connection.request(`$KV.${t.namespace}-schedules-clerk.bad`, '{"definition":{"rule":{"cron":"no"}}}')
    await eventually('it is told', () => events.some(({ schedule, what }) => schedule === 'bad' && what === 'broken'))
    const before = seen.length
    await eventually('the other goes on', () => seen.length >= before + 2)
    expect((await schedules.list()).map(({ id, state }) => `${id} ${state}`)).toEqual(['bad broken', 'good active'])
    await schedules.put('bad', { every: '1s', send: actor.file.with({ what: 'repaired' }) })
    await eventually('it runs', () => seen.some(({ payload }) => (payload as { what: string }).what === 'repaired'))
  })

  it('a tick that is gone is made again, and so is one that nobody ever made', async () => {
    const { actor, seen } = clerk()
    await using t = await testBundle({ actors: [actor], timer: { check: '200ms' } })
    const { jetstreamManager } = await import('@nats-io/jetstream')
    await t.troupe.schedules.put('tick', { every: '1s', overlap: 'allow', send: actor.file.with({ what: 'tick' }) })
    await eventually('it runs', () => seen.length > 0)
    const jsm = await jetstreamManager(t.troupe.connection)
    await jsm.streams.purge(`${t.namespace}-timer-clerk`)
    const after = seen.length
    await eventually('it runs again', () => seen.length >= after + 2)
    // As `nats kv put` does it: the definition is all that a record needs.
    const definition = {
      rule: { every: '1s' },
      send: { actor: 'clerk', message: 'file', payload: { what: 'by hand' } },
    }
    await t.troupe.connection.request(`$KV.${t.namespace}-schedules-clerk.hand`, JSON.stringify({ definition }))
    await eventually('what was written by hand runs', () => seen.some(({ schedule }) => schedule === 'hand'))
  })

  it('a mailbox that is full: the run waits, is sent when there is room, and is sent once', async () => {
    const seen: string[] = []
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => (open = resolve))
    const small = defineActor('small', {
      concurrency: 1,
      mailbox: { maxMessages: 1 },
      messages: {
        work: async ({ what }: { what: string }) => {
          seen.push(what)
          if (what === 'first') await opened
        },
      },
    })
    await using t = await testBundle({ actors: [small] })
    await t.troupe.send(small.work, { what: 'first' })
    await eventually('it is full', () => seen.length === 1)
    await t.troupe.schedules.put('one', { ...NEVER, send: small.work.with({ what: 'scheduled' }) })
    await t.troupe.schedules.trigger('one')
    await accounts(t, 'one', 'intent')
    open()
    await eventually('there is room', () => seen.includes('scheduled'), 15_000)
    await accounts(t, 'one', 'done')
    expect(seen).toEqual(['first', 'scheduled'])
  })

  it('a dead letter that is given another try runs, and its account says how it ended then', async () => {
    let isBroken = true
    const actor = defineActor('mender', {
      retry: false,
      messages: {
        work: () => {
          if (isBroken) throw new Error('not yet')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('one', { ...NEVER, send: actor.work.with({}) })
    await t.troupe.schedules.trigger('one')
    await accounts(t, 'one', 'dead')
    isBroken = false
    expect(await t.troupe.dead.retry({ actor: 'mender' })).toHaveLength(1)
    await accounts(t, 'one', 'done')
  })

  it('retries are one run: its account says how the last attempt ended', async () => {
    const actor = defineActor('trier', {
      retry: { attempts: 3, backoff: { base: '50ms', jitter: 0 } },
      messages: {
        work: (_: unknown, ctx) => {
          if (ctx.attempt < 3) throw new Error('not yet')
          return `${ctx.schedule?.id} ${ctx.attempt}`
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.schedules.put('one', { ...NEVER, send: actor.work.with({}) })
    await t.troupe.schedules.trigger('one')
    await accounts(t, 'one', 'done')
    expect((await runsOf(t, 'one'))[0]?.outcome).toMatchObject({ attempts: 3, result: 'one 3' })
  })
})
