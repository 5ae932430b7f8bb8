/** P7: headers that a stranger made up. Each is sent by a client that knows nothing of Troupe. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { hostileServer, openStage, type Answer, type HeaderInput, type Stage } from '../interop/stage.ts'
import type { TestServer } from '../kit/server.ts'

let server: TestServer
beforeAll(async () => void (server = await hostileServer()))
afterAll(() => server.stop())

/** The mailbox and what was parked are as they were: one message waits in the timer, and is still there. */
async function withParked(stage: Stage, attack: () => Promise<unknown>): Promise<void> {
  await stage.stored('later.mailer.any', '{}', { 'Troupe-Id': 'parked', 'Troupe-Due': String(Date.now() + 60_000) })
  await expect.poll(() => stage.count('timer-mailer'), { timeout: 5_000 }).toBe(1)
  await attack()
  expect(await stage.count('timer-mailer')).toBe(1)
  expect(await stage.system.troupe.cancel('mailer', { id: 'parked' })).toEqual({ was: 'parked' })
}

describe('P7: headers of JetStream on a mailbox', () => {
  it('drops Nats-Expected-Stream from every copy, so that a retry and a dead letter are taken', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.fail', '{"n":1}', { 'Nats-Expected-Stream': `${stage.ns}-mailbox-mailer` })
    const [letter] = await stage.dead()
    expect(letter).toMatchObject({ reason: 'failed', attempts: 2, payload: { n: 1 } })
    expect(letter?.headers).not.toHaveProperty('Nats-Expected-Stream')
    await stage.isWell()
  })

  it('drops Nats-TTL from a dead letter, which outlives the message that it was', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.fail', '{}', { 'Nats-TTL': '1s' })
    const [letter] = await stage.dead()
    const stored = await stage.api<{ message: { hdrs: string } }>(`STREAM.MSG.GET.${stage.ns}-dead`, {
      seq: letter?.sequence,
    })
    expect(Buffer.from(stored.message.hdrs, 'base64').toString()).not.toMatch(/Nats-TTL/i)
    await stage.isWell()
  })

  const refused: readonly (readonly [string, HeaderInput])[] = [
    ['another stream expected', { 'Nats-Expected-Stream': 'elsewhere' }],
    ['a TTL that is none', { 'Nats-TTL': 'soon' }],
    ['a roll-up of all', { 'Nats-Rollup': 'all' }],
    ['a roll-up of the subject', { 'Nats-Rollup': 'sub' }],
    ['a schedule', { 'Nats-Schedule': '@every 1s', 'Nats-Schedule-Target': 'TARGET' }],
    [
      'a schedule with a source',
      { 'Nats-Schedule': '@every 1s', 'Nats-Schedule-Target': 'TARGET', 'Nats-Schedule-Source': 'TARGET' },
    ],
    ['a last sequence expected', { 'Nats-Expected-Last-Sequence': '999' }],
  ]
  it.each(refused)('%s is refused by the server to its sender, and erases nothing', async (_what, own) => {
    await using stage = await openStage(server)
    const filled = Object.fromEntries(
      Object.entries(own).map(([name, value]) => [name, value.replace('TARGET', `${stage.ns}.do.mailer.any`)]),
    )
    const before = await pausedWith(stage, 3)
    const answer = await stage.put('do.mailer.any', '{}', filled)
    expect(answer.error, JSON.stringify(answer)).toBeDefined()
    expect(await stage.count('mailbox-mailer')).toBe(before)
    await resume(stage)
    await stage.isWell()
    expect(stage.handled).toHaveLength(6)
  })

  it.each([{ 'Nats-Schedule-Target': 'x' }, { 'Nats-Schedule-Source': 'x' }, { 'Nats-Schedule-TTL': '1s' }])(
    '%j alone is refused or is a header like any other',
    async (own: HeaderInput) => {
      await using stage = await openStage(server)
      const answer: Answer = await stage.put('do.mailer.any', '{}', own)
      await stage.isWell()
      expect(stage.handled).toHaveLength(answer.error === undefined ? 4 : 3)
    },
  )

  it('cannot purge what is parked by naming it as its scheduler', async () => {
    await using stage = await openStage(server)
    const own = { 'Nats-Scheduler': `${stage.ns}.timer.at.mailer.any.parked`, 'Nats-Schedule-Next': 'purge' }
    await withParked(stage, () => stage.put('do.mailer.any', '{}', own))
    await stage.isWell()
  })
})

describe("P7: Troupe's own headers, forged", () => {
  const nonsense: readonly (readonly [string, string])[] = [
    ['Troupe-Attempt', 'abc'],
    ['Troupe-Attempt', '-1'],
    ['Troupe-Attempt', '0'],
    ['Troupe-Attempt', '99999999999999999999'],
    ['Troupe-Expires', 'tomorrow'],
    ['Troupe-Deadline', '1e9'],
    ['Troupe-Retry', 'often'],
    ['Troupe-Retry', 'null'],
    ['Troupe-Retry', '{"attempts":"3x"}'],
    ['Troupe-Retry', '{"attempts":-1}'],
    ['Troupe-Retry', '{"backoff":{"base":"never"}}'],
    ['Troupe-Id', 'x'.repeat(10_240)],
    ['Nats-Msg-Id', 'x'.repeat(10_240)],
  ]
  it.each(nonsense)('%s: %s makes a dead letter that says what was expected', async (name, value) => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.any', '{"a":1}', { [name]: value })
    const [letter] = await stage.dead()
    expect(letter?.reason).toBe('invalid')
    expect(letter?.failure.message).toMatch(/^expected /)
    expect(letter?.failure.code).toMatch(/INVALID_(HEADER|ID)/)
    expect(letter?.payload).toEqual({ a: 1 })
    expect(stage.handled).toEqual([])
    await stage.isWell()
  })

  it('names the attribute of Troupe-Retry that is wrong', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.any', '{}', { 'Troupe-Retry': '{"attempts":"3x"}' })
    const [letter] = await stage.dead()
    expect(letter?.failure.message).toContain('expected Troupe-Retry.attempts to be a whole number from 1, got: "3x"')
  })

  const asides: readonly (readonly [string, string])[] = [
    ['Troupe-Keep', 'for ever'],
    ['Troupe-Sent', 'long ago'],
    ['Troupe-History', '[{"attempt":1},7,'],
    ['Troupe-Sender', '> * .'.repeat(100)],
    ['Troupe-Schedule', '\u0001'],
    ['Troupe-Lane', 'fastest'],
    ['Troupe-Newer', 'who knows'],
  ]
  it.each(asides)('%s: %s asks a favour at most: the message runs', async (name, value) => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.any', '{}', { [name]: value })
    await stage.isWell()
    expect(stage.handled).toHaveLength(4)
    expect(await stage.count('dead')).toBe(0)
  })

  it('takes a huge attempt for the last one', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.fail', '{}', { 'Troupe-Attempt': '999999999999999' })
    expect((await stage.dead())[0]).toMatchObject({ reason: 'failed', attempts: 999_999_999_999_999 })
    await stage.isWell()
  })

  it('keeps a result under the wildest sender name, in one subject token', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.any', '{}', { 'Troupe-Sender': 'a.b > *', 'Troupe-Keep': '1h', 'Troupe-Id': 'x.y' })
    await expect.poll(() => stage.count('results'), { timeout: 5_000 }).toBe(1)
    const kept = await stage.api<{ message?: object }>(`STREAM.MSG.GET.${stage.ns}-results`, {
      last_by_subj: `${stage.ns}.result.mailer.a%2Eb%20%3E%20%2A.x%2Ey`,
    })
    expect(kept.message).toBeDefined()
    await stage.isWell()
  })

  it.each(['do', 'later'])('deletes and skips nothing for a forged Troupe-Origin on %s', async (kind) => {
    await using stage = await openStage(server)
    const waiting = await pausedWith(stage, 2)
    const own = { 'Troupe-Origin': `${stage.ns}-mailbox-mailer:1`, 'Troupe-Status': 'done' }
    await stage.stored(`${kind}.mailer.any`, '{"forged":true}', own)
    if (kind === 'later') await expect.poll(() => stage.count('mailbox-mailer'), { timeout: 5_000 }).toBe(waiting + 1)
    await resume(stage)
    await stage.isWell()
    expect(stage.handled).toHaveLength(6)
  })

  it('deletes nothing for a released retry that is forged', async () => {
    await using stage = await openStage(server)
    const waiting = await pausedWith(stage, 2)
    const due = `${stage.ns}.timer.due.mailer.retry`
    for (const [place, origin] of [
      ['2', `${stage.ns}-mailbox-mailer:1`],
      ['x', 'nonsense'],
      ['3', `${stage.ns}-dead:3`],
    ] as const) {
      await stage.stored(`${due.slice(stage.ns.length + 1)}.${place}`, '{}', {
        'Troupe-Origin': origin,
        'Troupe-Subject': `${stage.ns}.do.mailer.any`,
      })
    }
    // They are put into the mailbox as messages; that is all that they can do.
    await expect.poll(() => stage.count('mailbox-mailer'), { timeout: 5_000 }).toBe(waiting + 3)
    await resume(stage)
    await stage.isWell()
    expect(stage.handled).toHaveLength(8)
  })

  it('never publishes an outcome outside its own reply subjects', async () => {
    await using stage = await openStage(server)
    const aims = [
      `$JS.API.STREAM.DELETE.${stage.ns}-dead`,
      `_INBOX.somebody`,
      `${stage.ns}.do.mailer.fail`,
      `${stage.ns}.reply.*.x`,
      `${stage.ns}.reply.>`,
      `${stage.ns}.reply.x`,
      `${stage.ns}.reply..x`,
      `x${stage.ns}.reply.a.b`,
      `${stage.ns}.reply.a.b c`,
    ]
    const heard: string[] = []
    for (const subject of ['_INBOX.somebody', `${stage.ns}.reply.>`, `x${stage.ns}.>`]) {
      stage.nc.subscribe(subject, {
        callback: (_error, msg) => void heard.push(`${msg.subject} ${msg.headers?.get('Troupe-Id')}`),
      })
    }
    for (const [index, aim] of aims.entries()) {
      await stage.stored('do.mailer.any', '{}', { 'Troupe-Reply': aim, 'Troupe-Id': `aim${index}` })
    }
    await stage.isWell()
    expect(stage.handled).toHaveLength(aims.length + 3)
    expect(heard.filter((line) => line.includes('aim'))).toEqual([])
    expect(await stage.count('dead')).toBe(0)
  })

  it("does not take the timer's release for a repeat of a message that guessed its key", async () => {
    await using stage = await openStage(server)
    // The guesses are the mailbox's first 30 messages: what follows has the places 31, 32, 33.
    const kinds = ['at', 'retry', 'snooze'].flatMap((kind) => [31, 32, 33, 34, 35].map((place) => `${kind}:${place}`))
    for (const key of kinds.flatMap((guess) => [guess, `${guess}:`])) {
      await stage.stored('do.mailer.any', '{"guess":true}', { 'Nats-Msg-Id': key })
    }
    await stage.stored('later.mailer.any', '{"late":1}', { 'Troupe-Due': String(Date.now() + 300) })
    await stage.stored('later.mailer.any', '{"late":2}', { 'Troupe-Due': String(Date.now() + 1_200) })
    expect(await stage.stored('do.mailer.slow', '{}')).toBe(33)
    expect((await stage.dead())[0]).toMatchObject({ attempts: 2 })
    const late = (): unknown[] =>
      stage.handled.map(({ payload }) => payload).filter((payload) => (payload as { late?: number }).late !== undefined)
    await expect.poll(late, { timeout: 10_000 }).toEqual([{ late: 1 }, { late: 2 }])
    await stage.isWell()
  })
})

describe('P7: header bytes that no client library writes', () => {
  const blocks: readonly (readonly [string, string])[] = [
    ['a line break within a value', 'NATS/1.0\r\nX-A: one\nNats-Rollup: all\r\n\r\n'],
    ['a bare carriage return', 'NATS/1.0\r\nX-A: one\rTroupe-Attempt: x\r\n\r\n'],
    ['a name with spaces', 'NATS/1.0\r\nno name at all : x\r\n\r\n'],
    ['a line without a colon', 'NATS/1.0\r\nnothing\r\n\r\n'],
    ['no lines', 'NATS/1.0\r\n\r\n'],
    ['another first line', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n'],
    ['no end', 'NATS/1.0\r\nX: y'],
    ['bytes that are no text', 'NATS/1.0\r\n\xff\xfe\x00: \xff\x00\x80\r\n\r\n'],
    ['__proto__ as a name', 'NATS/1.0\r\n__proto__: x\r\nconstructor: y\r\n\r\n'],
    ['a status line', 'NATS/1.0 503 No Responders\r\n\r\n'],
  ]
  it.each(blocks)('%s: the message runs, fails and dies like any other', async (_what, block) => {
    await using stage = await openStage(server)
    await stage.raw('do.mailer.fail', block)
    const letters = await stage.dead()
    expect(letters[0]?.reason).toBe('failed')
    await stage.isWell()
  })

  it.each(blocks)('%s on a broadcast, a call, a cancel and a delayed message', async (_what, block) => {
    await using stage = await openStage(server)
    await stage.raw('all.mailer.any', block)
    await stage.raw('call.mailer.any', block)
    await stage.raw('cancel.mailer', block, '{"id":"nobody"}')
    await stage.raw('later.mailer.any', block)
    await expect.poll(() => stage.handled.length, { timeout: 5_000 }).toBe(3)
    await stage.isWell()
  })

  it('an id with control characters is one message, and is found again', async () => {
    await using stage = await openStage(server)
    await stage.raw('do.mailer.fail', 'NATS/1.0\r\nTroupe-Id: a\nb\x00.*>\r\n\r\n')
    const [letter] = await stage.dead()
    expect(letter?.subject).toBe(`${stage.ns}.do.mailer.fail`)
    await stage.isWell()
  })
})

/** Stops the delivery of all lanes, and leaves so many messages waiting. */
async function pausedWith(stage: Stage, count: number): Promise<number> {
  await pause(stage, new Date(Date.now() + 600_000).toISOString())
  for (let index = 0; index < count; index++) await stage.stored('do.mailer.any', `{"waiting":${index}}`)
  return count
}

const resume = (stage: Stage): Promise<void> => pause(stage, undefined)

async function pause(stage: Stage, until: string | undefined): Promise<void> {
  for (const lane of ['high', 'normal', 'low']) {
    await stage.api(
      `CONSUMER.PAUSE.${stage.ns}-mailbox-mailer.${lane}`,
      until === undefined ? '' : { pause_until: until },
    )
  }
}
