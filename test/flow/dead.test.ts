import { defineActor, type DeadLetter, type Troupe } from 'troupe'
import { describe, expect, it } from 'vitest'

import { rejection, testBundle } from '../kit/system.ts'

function failing() {
  const state = { isBroken: true, ran: 0, headers: {} as Readonly<Record<string, string>> }
  const actor = defineActor('bank', {
    retry: { attempts: 2, backoff: { base: '1ms' } },
    messages: {
      pay: (payload: { sum: number }, ctx) => {
        state.ran++
        state.headers = { ...ctx.headers }
        if (state.isBroken) throw new Error('closed')
        return payload.sum
      },
      note: (): never => {
        throw new TypeError('no ink')
      },
    },
  })
  return { state, actor }
}

async function listed(troupe: Troupe, filter = {}): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of troupe.dead.list(filter)) letters.push(letter)
  return letters
}

describe('dead letters', () => {
  it('are none before anything died', async () => {
    await using t = await testBundle()
    expect(await listed(t.troupe)).toEqual([])
    expect(await rejection(t.troupe.dead.show('x'))).toMatchObject({ name: 'ActorError', code: 'NO_DEAD_LETTER' })
  })

  it('tell everything about their message and its end', async () => {
    const { actor } = failing()
    await using t = await testBundle({ actors: [actor], system: 'here' })
    const before = Date.now()
    await t.troupe.send(actor.pay, { sum: 5 }, { id: 'p 1/ü', headers: { tenant: 'acme' }, lane: 'high' })
    await t.events.wait('dead')
    const letter = await t.troupe.dead.show('p 1/ü')
    expect(letter).toMatchObject({
      id: 'p 1/ü',
      actor: 'bank',
      message: 'pay',
      reason: 'failed',
      attempts: 2,
      failure: { name: 'Error', message: 'closed', attempts: 2 },
      worker: 'here/bank',
      subject: `${t.namespace}.high.bank.pay`,
      payload: { sum: 5 },
    })
    expect(letter.headers['tenant']).toBe('acme')
    expect(letter.stack).toContain('dead.test.ts')
    expect(letter.history).toMatchObject([{ attempt: 1, error: 'Error: closed' }])
    expect(letter.origin).toMatch(new RegExp(`^${t.namespace}-mailbox-bank:\\d+$`))
    expect(Math.abs(letter.diedAt.getTime() - before)).toBeLessThan(10_000)
    expect(letter.sentAt?.getTime()).toBeLessThanOrEqual(letter.diedAt.getTime())
  })

  it('are found by id, actor, message, reason, age and number', async () => {
    const { actor } = failing()
    const other = defineActor('other', { retry: false, messages: { pay: (): never => { throw new Error('no') } } }) // prettier-ignore
    await using t = await testBundle({ actors: [actor, other] })
    await t.troupe.send(actor.pay, { sum: 1 }, { id: 'a' })
    await t.troupe.send(actor.note, undefined, { id: 'b' })
    await t.troupe.send(other.pay, undefined, { id: 'c' })
    await t.troupe.connection.request(`${t.namespace}.do.bank.unknown`, '{}', { timeout: 5_000 })
    await t.events.wait('dead', { count: 4 })
    const ids = async (filter: object): Promise<string[]> =>
      (await listed(t.troupe, filter)).map((letter) => letter.id).toSorted()
    expect(await ids({ id: 'a' })).toEqual(['a'])
    expect(await ids({ actor: 'other' })).toEqual(['c'])
    expect(await ids({ message: 'pay' })).toEqual(['a', 'c'])
    expect(await ids({ actor: 'bank', message: 'note' })).toEqual(['b'])
    expect(await ids({ actor: 'bank', message: 'note', id: 'a' })).toEqual([])
    expect(await ids({ reason: 'failed' })).toEqual(['a', 'b', 'c'])
    expect((await listed(t.troupe, { reason: 'unknown-message' })).map((letter) => letter.message)).toEqual(['unknown'])
    expect(await ids({ olderThan: '1h' })).toEqual([])
    expect((await listed(t.troupe, { olderThan: 0 })).length).toBe(4)
    expect(await ids({ since: new Date(Date.now() + 60_000) })).toEqual([])
    const [first] = await listed(t.troupe)
    expect((await listed(t.troupe, { sequence: first?.sequence })).map((letter) => letter.id)).toEqual([first?.id])
    const two: string[] = []
    for await (const letter of t.troupe.dead.list({}, { limit: 2 })) two.push(letter.id)
    expect(two).toHaveLength(2)
  })

  it('are retried once, as attempt 1, with their history and where they come from', async () => {
    const { actor, state } = failing()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.pay, { sum: 5 }, { id: 'p', headers: { tenant: 'acme' } })
    await t.events.wait('dead')
    const letter = await t.troupe.dead.show('p')
    state.isBroken = false
    expect((await t.troupe.dead.retry({ id: 'p' })).map((one) => one.id)).toEqual(['p'])
    expect(await t.events.wait('done')).toMatchObject({ id: 'p', attempt: 1 })
    expect(state.headers).toMatchObject({
      tenant: 'acme',
      'Troupe-Origin': `${t.namespace}-dead:${letter.sequence}`,
      'Troupe-Error': 'Error: closed',
    })
    expect(await listed(t.troupe)).toEqual([])
    expect(await t.troupe.dead.retry({ id: 'p' })).toEqual([])
    expect(state.ran).toBe(3)
  })

  it('are retried once also where two people do it at the same time', async () => {
    const { actor, state } = failing()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.sendMany(
      actor.pay,
      Array.from({ length: 20 }, (_, sum) => ({ sum })),
    )
    await t.events.wait('dead', { count: 20 })
    state.isBroken = false
    const second = await t.sender()
    await Promise.all([t.troupe.dead.retry({ actor: 'bank' }), second.dead.retry({ actor: 'bank' })])
    await t.events.wait('done', { count: 20 })
    await t.troupe.ask(actor.pay, { sum: 1 })
    expect(t.events.of('done')).toHaveLength(21)
    expect(await listed(t.troupe)).toEqual([])
  })

  it('that die again are there again, with the attempts of both lives', async () => {
    const { actor } = failing()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.pay, { sum: 5 }, { id: 'p' })
    await t.events.wait('dead')
    await t.troupe.dead.retry({ id: 'p' })
    await t.events.wait('dead', { count: 2 })
    const letters = await listed(t.troupe)
    expect(letters).toHaveLength(1)
    expect(letters[0]).toMatchObject({ id: 'p', attempts: 2 })
    expect(letters[0]?.history.length).toBeGreaterThanOrEqual(2)
  })

  it('a dry run says what would be done, and does nothing', async () => {
    const { actor, state } = failing()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.sendMany(actor.pay, [{ sum: 1 }, { sum: 2 }, { sum: 3 }])
    await t.events.wait('dead', { count: 3 })
    state.isBroken = false
    expect(await t.troupe.dead.retry({ actor: 'bank' }, { dryRun: true })).toHaveLength(3)
    expect(await t.troupe.dead.purge({ actor: 'bank' }, { dryRun: true })).toHaveLength(3)
    expect(await listed(t.troupe)).toHaveLength(3)
    const [oldest, ...younger] = await listed(t.troupe)
    expect((await t.troupe.dead.purge({ actor: 'bank' }, { limit: 1 })).map((one) => one.id)).toEqual([oldest?.id])
    expect((await listed(t.troupe)).map((letter) => letter.id)).toEqual(younger.map((letter) => letter.id))
    expect(state.ran).toBe(6)
  })

  it('that are purged are gone, the others stay', async () => {
    const { actor } = failing()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.pay, { sum: 1 }, { id: 'a' })
    await t.troupe.send(actor.note, undefined, { id: 'b' })
    await t.events.wait('dead', { count: 2 })
    expect((await t.troupe.dead.purge({ message: 'pay' })).map((letter) => letter.id)).toEqual(['a'])
    expect((await listed(t.troupe)).map((letter) => letter.id)).toEqual(['b'])
  })

  it('keep a body of any format as it was', async () => {
    const actor = defineActor('packs', { retry: false, messages: { go: (): never => { throw new Error('no') } } }) // prettier-ignore
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go as never, new Map([['at', new Date(1)]]) as never, { id: 'm', format: 'msgpack' })
    await t.troupe.connection.request(`${t.namespace}.do.packs.go`, 'not json', { timeout: 5_000 })
    await t.events.wait('dead', { count: 2 })
    expect((await t.troupe.dead.show('m')).payload).toEqual(new Map([['at', new Date(1)]]))
    const [broken] = await listed(t.troupe, { reason: 'invalid' })
    expect(broken).toMatchObject({ payload: undefined, failure: { name: 'PayloadError' } })
    expect(Buffer.from(broken?.body ?? []).toString()).toBe('not json')
  })
})
