/** `troupe.schedules`: what is stored, refused, listed and changed. That it runs is shown in ticks.test.ts. */
import { actorRef, defineActor, type MessageRef } from 'troupe'
import { describe, expect, it } from 'vitest'

import { testBundle, type Bundle } from '../kit/system.ts'

const text = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) =>
      typeof (value as { list?: unknown })?.list === 'string'
        ? { value: value as { list: string } }
        : { issues: [{ message: 'expected a list', path: ['list'] }] },
  },
}

function mailerActor(name = 'mailer') {
  return defineActor(name, {
    messages: {
      digest: { payload: text, handle: ({ list }: { list: string }) => list.length },
      report: (_payload: { day: string }) => 'reported',
    },
  })
}

/** A record as somebody writes it by hand, with `nats kv put`. */
async function writeByHand({ troupe, namespace }: Bundle, actor: string, id: string, body: string): Promise<void> {
  await troupe.connection.request(`$KV.${namespace}-schedules-${actor}.${id}`, body)
}

describe('a schedule', () => {
  it('is stored with all that was said, in words and in its normal form', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const put = await t.troupe.schedules.put('daily-digest', {
      cron: '0 8 * * mon-fri',
      timeZone: 'Europe/Paris',
      send: mailer.digest.with({ list: 'all' }),
      options: { lane: 'low', expires: '2h', headers: { 'X-Kind': 'digest' } },
      overlap: 'skip',
      catchUp: { policy: 'latest', within: '2h' },
      jitter: '30s',
      until: '2199-01-01T00:00:00Z',
      limit: 100,
      note: 'owned by growth',
    })
    expect(put).toMatchObject({ was: 'created', generation: 1, actor: 'mailer', state: 'active', isEdited: false })
    expect(put.words).toContain('08:00')
    const got = await t.troupe.schedules.get('daily-digest')
    expect(got.definition).toMatchObject({
      send: { actor: 'mailer', message: 'digest', payload: { list: 'all' }, options: { lane: 'low', expires: '2h' } },
      overlap: 'skip',
      catchUp: { policy: 'latest', within: '2h' },
      jitter: '30s',
      limit: 100,
      note: 'owned by growth',
    })
    expect(got.next?.getTime()).toBeGreaterThan(Date.now())
    expect((await t.troupe.schedules.describe('daily-digest')).upcoming).toHaveLength(10)
  })

  it('that is put again as it is changes nothing; put otherwise it changes in place', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const { schedules } = t.troupe
    const input = { every: '15m', send: mailer.report.with({ day: 'today' }) } as const
    expect((await schedules.put('report', input)).was).toBe('created')
    expect(await schedules.put('report', input)).toMatchObject({ was: 'same', generation: 1 })
    expect(await schedules.put('report', { ...input, every: '5m' })).toMatchObject({ was: 'changed', generation: 2 })
    expect(await schedules.list()).toHaveLength(1)
  })

  it('that two edit at once is changed by one; the other gets a typed conflict', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const other = await t.sender()
    const input = { every: '15m', send: mailer.report.with({ day: 'today' }) } as const
    const { generation } = await t.troupe.schedules.put('report', input)
    const edits = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        (index % 2 === 0 ? t.troupe : other).schedules.put(
          'report',
          { ...input, note: `edit ${index}` },
          { generation },
        ),
      ),
    )
    const lost = edits.flatMap((edit) => (edit.status === 'rejected' ? [edit.reason as { code: string }] : []))
    expect(lost.map(({ code }) => code)).toEqual(Array.from({ length: 9 }, () => 'SCHEDULE_CONFLICT'))
    expect(await t.troupe.schedules.get('report')).toMatchObject({ generation: 2 })
  })

  it('is paused with a note, resumed, and removed', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const { schedules } = t.troupe
    await schedules.put('report', { every: '1h', send: mailer.report.with({ day: 'x' }) })
    const paused = await schedules.pause('report', { note: 'mail server moves' })
    expect(paused).toMatchObject({ state: 'paused', next: undefined, paused: { note: 'mail server moves' } })
    expect(await schedules.resume('report')).toMatchObject({ state: 'active', paused: undefined, generation: 3 })
    await schedules.remove('report')
    await expect(schedules.get('report')).rejects.toMatchObject({ code: 'NO_SCHEDULE' })
    expect(await schedules.list()).toEqual([])
    expect(await schedules.put('report', { every: '1h', send: mailer.report.with({ day: 'x' }) })).toMatchObject({
      was: 'created',
    })
  })

  it('is exported and imported again as it was', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const { schedules } = t.troupe
    await schedules.put('a', { every: '1h', send: mailer.report.with({ day: 'x' }), options: { format: 'msgpack' } })
    await schedules.put('b', { cron: '@daily', send: 'mailer.digest', payload: { list: 'few' }, limit: 3 })
    const exported = JSON.parse(JSON.stringify(await schedules.export())) as Awaited<
      ReturnType<typeof schedules.export>
    >
    await schedules.remove('a')
    await schedules.remove('b')
    expect((await schedules.import(exported)).map(({ was }) => was)).toEqual(['created', 'created'])
    expect(await schedules.export()).toEqual(exported)
  })

  it('previews its times without being stored', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const input = { cron: '30 2 * * *', timeZone: 'Europe/Paris', send: mailer.report.with({ day: 'x' }) } as const
    const times = await t.troupe.schedules.preview('night', input, { from: '2027-03-27T00:00:00Z', count: 3 })
    expect(times.map((time) => time.toISOString())).toEqual([
      '2027-03-27T01:30:00.000Z',
      '2027-03-28T01:00:00.000Z',
      '2027-03-29T00:30:00.000Z',
    ])
    expect(await t.troupe.schedules.list()).toEqual([])
  })
})

describe('a put is refused', () => {
  const mailer = mailerActor()
  const good = { every: '1h', send: mailer.report.with({ day: 'x' }) } as const
  const refused: readonly (readonly [string, object, string, RegExp])[] = [
    ['of an unknown zone', { ...good, timeZone: 'Europe/Pariss' }, 'INVALID_SCHEDULE', /timeZone/],
    [
      'from after until',
      { ...good, from: '2030-01-01T00:00:00Z', until: '2029-01-01T00:00:00Z' },
      'INVALID_SCHEDULE',
      /from to be before .*until/,
    ],
    ['of a limit of 0', { ...good, limit: 0 }, 'INVALID_SCHEDULE', /limit/],
    ['of a cron of the wrong arity', { cron: '0 8 *', send: good.send }, 'INVALID_SCHEDULE', /cron/],
    ['of a rule that is never true', { cron: '0 0 30 2 *', send: good.send }, 'INVALID_SCHEDULE', /cron/],
    [
      'of a rule that is never true within its bounds',
      { cron: '0 0 1 1 *', send: good.send, from: '2027-02-01T00:00:00Z', until: '2027-03-01T00:00:00Z' },
      'INVALID_SCHEDULE',
      /never is/,
    ],
    ['without a rule', { send: good.send }, 'INVALID_SCHEDULE', /exactly one of/],
    ['of two rules', { ...good, cron: '@daily' }, 'INVALID_SCHEDULE', /exactly one of/],
    ['of a key that is none', { ...good, overlapp: 'skip' }, 'INVALID_SCHEDULE', /did you mean "overlap"/],
    ['of an overlap that is none', { ...good, overlap: 'queue' }, 'INVALID_SCHEDULE', /overlap/],
    ['of a pace without "all"', { ...good, catchUp: { policy: 'skip', pace: '1s' } }, 'INVALID_SCHEDULE', /pace/],
    ['of an option that send has not', { ...good, options: { delay: '1s' } }, 'INVALID_SCHEDULE', /delay/],
    ['of no message', { every: '1h', send: 'mailer' }, 'INVALID_SCHEDULE', /send/],
    [
      'of a payload its schema refuses',
      { every: '1h', send: mailer.digest.with({} as never) },
      'INVALID_PAYLOAD',
      /list/,
    ],
    [
      'of a message that its actor has not',
      { every: '1h', send: { ...mailer.report, message: 'digst', spec: mailer.report.spec } },
      'UNKNOWN_MESSAGE',
      /did you mean "digest"/,
    ],
    ['of a target that does not exist', { every: '1h', send: 'nobody.hello' }, 'UNKNOWN_ACTOR', /nobody/],
  ]

  it.each(refused)('%s, and nothing is stored', async (_what, input, code, message) => {
    await using t = await testBundle()
    const { schedules } = t.troupe
    await expect(schedules.put('bad', input as never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as unknown,
    })
    expect(await schedules.list()).toEqual([])
  })

  it('of an id that is none, and of one that another actor has', async () => {
    await using t = await testBundle()
    const { schedules } = t.troupe
    await expect(schedules.put('a.b', good)).rejects.toMatchObject({ code: 'INVALID_SCHEDULE' })
    await schedules.put('mine', good)
    const other = mailerActor('other')
    await expect(schedules.put('mine', { ...good, send: other.report.with({ day: 'x' }) })).rejects.toMatchObject({
      code: 'SCHEDULE_ELSEWHERE',
    })
  })

  it('where it is larger than a message may be', async () => {
    await using t = await testBundle()
    const report = mailer.report as MessageRef<{ day: string }, string>
    await expect(
      t.troupe.schedules.put('big', { every: '1h', send: report.with({ day: 'x'.repeat(1_100_000) }) }),
    ).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})

describe('a record that was written by hand', () => {
  it('needs no more than its definition', async () => {
    const mailer = mailerActor()
    await using t = await testBundle()
    await t.troupe.schedules.put('one', { every: '1h', send: mailer.report.with({ day: 'x' }) })
    const definition = { rule: { every: '5m' }, send: { actor: 'mailer', message: 'report', payload: { day: 'y' } } }
    await writeByHand(t, 'mailer', 'two', JSON.stringify({ definition }))
    expect(await t.troupe.schedules.get('two')).toMatchObject({
      state: 'active',
      generation: 1,
      words: 'every 5 minutes',
    })
  })

  it.each([
    ['no JSON', 'nonsense', /no JSON/],
    ['no definition', '{}', /definition/],
    [
      'a rule that is none',
      '{"definition":{"rule":{"cron":"0 8"},"send":{"actor":"mailer","message":"report"}}}',
      /cron/,
    ],
    [
      'a state that is none',
      '{"definition":{"rule":{"every":"1h"},"send":{"actor":"mailer","message":"report"}},"state":{"cursor":"soon"}}',
      /cursor/,
    ],
  ])('with %s shows as broken with its reason, and a put repairs it', async (_what, body, problem) => {
    const mailer = mailerActor()
    await using t = await testBundle()
    const { schedules } = t.troupe
    const input = { every: '1h', send: mailer.report.with({ day: 'x' }) } as const
    await schedules.put('good', input)
    await writeByHand(t, 'mailer', 'bad', body)
    const [bad, good] = await schedules.list()
    expect(bad).toMatchObject({ id: 'bad', state: 'broken', problem: expect.stringMatching(problem) as unknown })
    expect(good).toMatchObject({ id: 'good', state: 'active' })
    await expect(schedules.pause('bad')).rejects.toMatchObject({ code: 'BROKEN_SCHEDULE' })
    expect(await schedules.put('bad', input)).toMatchObject({ state: 'active' })
  })
})

describe('a schedule of an actor whose code is not held here', () => {
  it('is stored where the actor has a mailbox', async () => {
    const mailer = mailerActor()
    await using t = await testBundle({ actors: [mailer] })
    const ref = actorRef<typeof mailer>('mailer')
    const put = await t.troupe.schedules.put('far', { every: '1h', send: ref.report.with({ day: 'x' }) })
    expect(put).toMatchObject({ actor: 'mailer', was: 'created' })
  })
})
