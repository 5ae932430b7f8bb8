/** What waits in a mailbox: looking at it, taking it out, moving it. */
import { defineActor, type System } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, gate, rejection, testBundle, type Bundle, type Gate } from '../kit/system.ts'

const names = { work: async (_payload: { n: number }) => {}, other: async (_payload: { n: number }) => {} }

async function listed(t: Bundle, actor: string, filter = {}): Promise<string[]> {
  const found: string[] = []
  for await (const { lane, position, id } of t.troupe.mailboxes.peek(actor, filter))
    found.push(`${lane} ${position} ${id}`)
  return found
}

/** A worker that holds one message until the gate opens. */
async function holding(t: Bundle, name: string, wait: Gate): Promise<{ system: System; ran: string[] }> {
  const ran: string[] = []
  const actor = defineActor(name, {
    concurrency: 1,
    messages: {
      work: async (_payload: { n: number }, ctx) => {
        ran.push(ctx.id)
        await wait.passed
      },
      other: async (_payload: { n: number }, ctx) => void ran.push(ctx.id),
    },
  })
  return { system: await t.another([actor]), ran }
}

describe('a mailbox', () => {
  it('is looked at lane by lane, oldest first, with places, payloads and options, and nothing is touched', async () => {
    await using t = await testBundle()
    const actor = defineActor('looked', { messages: names })
    await t.troupe.send(actor.work, { n: 1 }, { id: 'a' })
    await t.troupe.send(actor.work, { n: 2 }, { id: 'b', lane: 'low', headers: { 'X-A': 'b' } })
    await t.troupe.send(actor.other, { n: 3 }, { id: 'c.d e', format: 'msgpack' })
    await t.troupe.send(actor.work, { n: 4 }, { id: 'd', lane: 'high', expires: '1h' })
    expect(await listed(t, 'looked')).toEqual(['high 0 d', 'normal 0 a', 'normal 1 c.d e', 'low 0 b'])
    expect(await listed(t, 'looked', { message: 'other' })).toEqual(['normal 1 c.d e'])
    expect(await listed(t, 'looked', { header: { name: 'x-a', value: 'b' } })).toEqual(['low 0 b'])
    expect(await listed(t, 'looked', { olderThan: '1h' })).toEqual([])
    expect(await listed(t, 'looked', { lane: 'high', id: 'd' })).toEqual(['high 0 d'])
    for await (const { payload, expiresAt, size } of t.troupe.mailboxes.peek('looked', { id: 'c.d e' }))
      expect({ payload, expiresAt, size }).toEqual({ payload: { n: 3 }, expiresAt: undefined, size: 4 })
    expect(await listed(t, 'looked')).toHaveLength(4)
  })

  it('is read through to its end, however many wait and however large they are', async () => {
    await using t = await testBundle()
    const actor = defineActor('long', { messages: { work: async (_payload: { n: number; text: string }) => {} } })
    const payloads = Array.from({ length: 1_234 }, (_, n) => ({ n, text: n % 100 === 0 ? 'x'.repeat(500_000) : '' }))
    await t.troupe.sendMany(actor.work, payloads, { id: ({ n }) => String(n) })
    const ids: string[] = []
    for await (const { id, position } of t.troupe.mailboxes.peek('long')) {
      expect(position).toBe(ids.length)
      ids.push(id)
    }
    expect(ids).toEqual(payloads.map(({ n }) => String(n)))
  })

  it('gives up what waits by a purge, after a dry run, and leaves what runs', async () => {
    await using t = await testBundle()
    const wait = gate()
    const actor = defineActor('purged', { messages: names })
    const { ran } = await holding(t, 'purged', wait)
    await t.troupe.send(actor.work, { n: 0 }, { id: 'runs' })
    await eventually('it runs', () => ran.length === 1)
    for (const n of [1, 2, 3]) await t.troupe.send(actor.work, { n }, { id: `w${n}` })
    await t.troupe.send(actor.other, { n: 4 }, { id: 'other' })
    const would = await t.troupe.mailboxes.purge('purged', { message: 'work' }, { dryRun: true })
    expect(would.map(({ id }) => id)).toEqual(['w1', 'w2', 'w3'])
    const did = await t.troupe.mailboxes.purge('purged', { message: 'work' }, { limit: 2 })
    expect(did.map(({ id }) => id)).toEqual(['w1', 'w2'])
    wait.open()
    await eventually('the rest ran', () => ran.includes('other'))
    expect(ran).toEqual(['runs', 'w3', 'other'])
  })

  it('has its messages moved to another lane and to another actor: id, attempt, headers and payload stay', async () => {
    await using t = await testBundle()
    const actor = defineActor('mover', { messages: names })
    const target = defineActor('taker', { messages: names })
    await t.troupe.send(target.work, { n: 9 }, { id: 'first' })
    await t.troupe.send(actor.work, { n: 1 }, { id: 'a', headers: { 'X-A': '1' } })
    await t.troupe.send(actor.work, { n: 2 }, { id: 'b' })
    await t.troupe.mailboxes.move('mover', { id: 'a' }, { lane: 'high' })
    expect(await listed(t, 'mover')).toEqual(['high 0 a', 'normal 0 b'])
    const moved = await t.troupe.mailboxes.move(
      'mover',
      { lane: 'high' },
      { actor: 'taker', message: 'other', lane: 'low' },
    )
    expect(moved.map(({ id }) => id)).toEqual(['a'])
    expect(await listed(t, 'mover')).toEqual(['normal 0 b'])
    expect(await listed(t, 'taker')).toEqual(['normal 0 first', 'low 0 a'])
    for await (const { payload, headers, message, attempt } of t.troupe.mailboxes.peek('taker', { id: 'a' }))
      expect({ payload, message, attempt, header: headers['X-A'] }).toEqual({
        payload: { n: 1 },
        message: 'other',
        attempt: 1,
        header: '1',
      })
  })

  it('is emptied once by two movers at the same time, and each message arrives once', async () => {
    await using t = await testBundle()
    const actor = defineActor('both', { messages: names })
    const target = defineActor('arrived', { messages: names })
    await t.troupe.send(target.work, { n: -1 }, { id: 'there' })
    const payloads = Array.from({ length: 60 }, (_, n) => ({ n }))
    await t.troupe.sendMany(actor.work, payloads, { id: ({ n }) => String(n) })
    const moves = [1, 2].map(() => t.troupe.mailboxes.move('both', {}, { actor: 'arrived' }))
    const moved = (await Promise.all(moves)).flat()
    expect(await listed(t, 'both')).toEqual([])
    expect(moved.map(({ id }) => Number(id)).toSorted((a, b) => a - b)).toEqual(payloads.map(({ n }) => n))
    const ids = (await listed(t, 'arrived')).map((line) => line.split(' ')[2])
    expect(ids.toSorted()).toEqual([...payloads.map(({ n }) => String(n)), 'there'].toSorted())
  })

  it('loses nothing that is moved while a worker works on it; what ran twice is counted', async () => {
    await using t = await testBundle()
    const ran: string[] = []
    const messages = { work: async (_payload: { n: number }, ctx: { id: string }) => void ran.push(ctx.id) }
    const actor = defineActor('busy', { concurrency: 3, messages })
    const target = defineActor('beside', { concurrency: 3, messages })
    const payloads = Array.from({ length: 500 }, (_, n) => ({ n }))
    await t.troupe.sendMany(actor.work, payloads, { id: ({ n }) => String(n) })
    await t.another([target])
    const [moved] = await Promise.all([t.troupe.mailboxes.move('busy', {}, { actor: 'beside' }), t.another([actor])])
    await eventually('all ran', () => new Set(ran).size === 500)
    console.log(`moved while they were run: ${moved.length} of 500 moved, ${ran.length - 500} twice`)
    expect(new Set(ran).size).toBe(500)
    // Only what was taken in the moment of its move.
    expect(ran.length - 500).toBeLessThanOrEqual(10)
  })

  it('that does not exist is named, with the nearest one that does; a lane that is none too', async () => {
    await using t = await testBundle()
    const actor = defineActor('known', { messages: names })
    await t.troupe.send(actor.work, { n: 1 })
    const unknown = await rejection(t.troupe.mailboxes.purge('knwon', {}))
    expect(unknown['code']).toBe('UNKNOWN_ACTOR')
    expect(unknown.message).toContain('did you mean "known"')
    const nowhere = await rejection(t.troupe.mailboxes.move('known', {}, {}))
    expect(nowhere.message).toContain('expected a lane, an actor or a message to move to')
    const lane = await rejection(t.troupe.mailboxes.move('known', {}, { lane: 'middle' as never }))
    expect(lane.message).toContain('expected lane to be one of high, normal, low, got: "middle"')
    expect(await listed(t, 'known')).toHaveLength(1)
  })
})
