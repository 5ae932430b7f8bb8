/** P7: bodies and subjects that a stranger made up, and sizes at the server's limit. */
import { connect, defineActor } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

import { hostileServer, openStage, victim, type HeaderInput, type Stage } from '../interop/stage.ts'
import type { TestServer } from '../kit/server.ts'

/** Small, so that a body of exactly the maximum is made and moved fast. */
const MAX = 65_536
const MSGPACK = { 'Content-Type': 'application/msgpack' }

let server: TestServer
beforeAll(async () => void (server = await hostileServer(`max_payload: ${MAX}`)))
afterAll(() => server.stop())

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const full = (length = MAX): string => `{"x":"${'y'.repeat(length - 8)}"}`

const text = (fill: number): Uint8Array => {
  const length = MAX - 100
  return Buffer.concat([bytes(0xda, length >> 8, length & 255), Buffer.alloc(length, fill)])
}

describe('P7: bodies that are not what they say', () => {
  const bad: readonly (readonly [string, string | Uint8Array, HeaderInput, RegExp])[] = [
    ['not JSON', 'welcome!', {}, /not JSON/],
    ['JSON cut off', '{"to":{"mail":"a@', {}, /not JSON/],
    ['bytes that are no UTF-8', bytes(34, 0xff, 0xfe, 34), {}, /not UTF-8/],
    ['not MessagePack', bytes(0xc1), MSGPACK, /0xc1/],
    ['MessagePack cut off', bytes(0x82, 0xa1, 0x61, 0x01), MSGPACK, /middle of a value/],
    [
      'MessagePack with a claim of 4 billion entries',
      bytes(0xdf, 0xff, 0xff, 0xff, 0xff),
      MSGPACK,
      /middle of a value/,
    ],
    ['MessagePack with an extension that makes classes', bytes(0xd4, 0x72, 0x01), MSGPACK, /extension/],
    ['more after the end', bytes(0x01, 0x02), MSGPACK, /more bytes/],
    ['JSON that says it is MessagePack', '{"to":1}', MSGPACK, /application\/msgpack/],
    ['MessagePack that says nothing', bytes(0x81, 0xa1, 0x61, 0x01), {}, /application\/json/],
    ['another content type', '<to/>', { 'Content-Type': 'text/xml' }, /text\/xml/],
    [
      'a content type that is nearly right',
      '{}',
      { 'Content-Type': 'application/msgpak' },
      /did you mean "application\/msgpack"/,
    ],
    ['10,000 nested arrays in MessagePack', new Uint8Array(10_000).fill(0x91), MSGPACK, /nested|middle of a value/],
  ]
  it.each(bad)(
    '%s: a dead letter with its reason, the body as it came, and the asker is told',
    async (_what, body, own, problem) => {
      await using stage = await openStage(server)
      const told = await stage.outcomeOf('do.mailer.welcome', body, own)
      expect(told.headers?.get('Troupe-Status')).toBe('dead')
      expect(told.json()).toMatchObject({ name: 'PayloadError', code: 'UNDECODABLE', attempts: 1 })
      const [letter] = await stage.dead()
      expect(letter).toMatchObject({ reason: 'invalid', failure: { code: 'UNDECODABLE' }, attempts: 1 })
      expect(letter?.failure.message).toMatch(problem)
      expect(Buffer.from(letter?.body ?? []).equals(Buffer.from(body))).toBe(true)
      await stage.isWell()
      expect(stage.handled.filter(({ message }) => message === 'welcome')).toEqual([])
    },
  )

  it('names the path of what the schema refuses, to the asker and in the dead letter', async () => {
    await using stage = await openStage(server)
    const told = await stage.outcomeOf('do.mailer.welcome', '{"to":{"mail":7}}')
    const issues = [{ path: 'to.mail', message: expect.any(String) as string }]
    expect(told.json()).toMatchObject({ code: 'INVALID_PAYLOAD', issues })
    const [letter] = await stage.dead()
    expect(letter).toMatchObject({ reason: 'invalid', failure: { code: 'INVALID_PAYLOAD', issues } })
    expect(letter?.failure.message).toContain('to.mail')
    await stage.isWell()
  })

  it('an empty body is the payload undefined: refused by a schema, taken without one', async () => {
    await using stage = await openStage(server)
    expect((await stage.outcomeOf('do.mailer.any', '')).json()).toEqual({ got: 'nothing' })
    await stage.stored('do.mailer.welcome', '')
    expect((await stage.dead())[0]).toMatchObject({ reason: 'invalid', failure: { code: 'INVALID_PAYLOAD' } })
    await stage.isWell()
  })

  it('10,000 nested arrays in JSON run, or die with a reason; the worker lives', async () => {
    await using stage = await openStage(server)
    const told = await stage.outcomeOf('do.mailer.any', `${'['.repeat(10_000)}${']'.repeat(10_000)}`)
    expect(told.headers?.get('Troupe-Status')).toMatch(/^(done|dead)$/)
    await stage.isWell()
  })

  it('__proto__ keys change no prototype, whichever format brings them', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.any', '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}')
    const packed = Buffer.concat([
      bytes(0x81, 0xa9),
      Buffer.from('__proto__'),
      bytes(0x81, 0xa5),
      Buffer.from('admin'),
      bytes(0xc3),
    ])
    await stage.stored('do.mailer.any', packed, MSGPACK)
    await expect
      .poll(() => stage.handled.length + stage.events.filter((event) => event === 'dead').length, { timeout: 5_000 })
      .toBe(2)
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
    for (const { payload } of stage.handled) {
      expect(Object.getPrototypeOf(payload)).toBe(Object.prototype)
      expect((payload as { admin?: boolean }).admin).toBeUndefined()
    }
    await stage.isWell()
  })
})

describe('P7: subjects beyond the known', () => {
  const names: readonly (readonly [string, string, string])[] = [
    ['a name that nobody defined', 'welcom', 'did you mean "welcome"?'],
    ['more tokens', 'a.b.c', '"a.b.c"'],
    ['a name like a property', '__proto__', '"__proto__"'],
    ['a very long name', 'x'.repeat(3_000), 'xxx'],
  ]
  it.each(names)('%s: unknown-message, with the names that there are', async (_what, name, hint) => {
    await using stage = await openStage(server)
    await stage.stored(`do.mailer.${name}`, '{"k":1}')
    await stage.stored(`later.mailer.${name}`, '{"k":2}')
    const letters = await stage.dead(2)
    for (const letter of letters) {
      expect(letter).toMatchObject({ reason: 'unknown-message', failure: { code: 'UNKNOWN_MESSAGE' } })
      expect(letter.failure.message).toContain('any, welcome, fail, slow')
      expect(letter.failure.message).toContain(hint)
    }
    await stage.isWell()
  })

  it('a dead letter with the id "tail" is listed like any other', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.nothing', '{}', { 'Troupe-Id': 'tail' })
    expect((await stage.dead())[0]).toMatchObject({ id: 'tail' })
    await stage.isWell()
  })

  it('extra tokens on a broadcast run nothing', async () => {
    await using stage = await openStage(server)
    stage.nc.publish(`${stage.ns}.all.mailer.x.y.any`, '{}')
    stage.nc.publish(`${stage.ns}.all.mailer.any`, '{"right":true}')
    await expect.poll(() => stage.handled.map(({ payload }) => payload), { timeout: 5_000 }).toEqual([{ right: true }])
    await stage.isWell()
  })
})

describe("P7: sizes at the server's limit", () => {
  const ways: readonly (readonly [string, string, string, HeaderInput])[] = [
    ['fails', 'do.mailer.fail', 'failed', {}],
    ['would be parked for a retry', 'do.mailer.slow', 'failed', {}],
    ['nobody knows', 'do.mailer.nothing', 'unknown-message', {}],
    ['is to be sent later', 'later.mailer.any', 'undeliverable', { 'Troupe-Due': '9000000000000' }],
    ['is to be sent in a moment', 'later.mailer.any', 'undeliverable', {}],
  ]
  it.each(ways)(
    'a message of exactly the maximum that %s becomes a dead letter with its whole body',
    async (_what, subject, reason, own) => {
      await using stage = await openStage(server)
      const room = Object.keys(own).length === 0 ? 0 : `NATS/1.0\r\nTroupe-Due: ${own['Troupe-Due']}\r\n\r\n`.length
      const body = full(MAX - room)
      await stage.stored(subject, body, own)
      const [letter] = await stage.dead()
      expect(letter?.reason).toBe(reason)
      expect(Buffer.from(letter?.body ?? []).toString() === body).toBe(true)
      expect(letter?.payload).toEqual(JSON.parse(body))
      await stage.isWell()
      expect(await stage.system.troupe.dead.purge({})).toHaveLength(1)
      expect(await stage.count('dead')).toBe(0)
    },
  )

  it('a header block that fills the message leaves a dead letter with its reason', async () => {
    await using stage = await openStage(server)
    await stage.stored('do.mailer.fail', '{"small":1}', { 'X-Large': 'z'.repeat(MAX - 200) })
    expect((await stage.dead())[0]).toMatchObject({ reason: 'failed', payload: { small: 1 } })
    await stage.isWell()
  })

  it('two deaths of one id keep their own bodies, and the format that they were written in', async () => {
    await using stage = await openStage(server)
    for (const fill of [97, 98])
      await stage.stored('do.mailer.nothing', text(fill), { ...MSGPACK, 'Troupe-Id': 'same' })
    const letters = await stage.dead(2)
    expect(letters.map(({ payload }) => (payload as string).replaceAll(/(.)\1+/g, '$1'))).toEqual(['a', 'b'])
    await expect(stage.system.troupe.dead.retry({ id: 'same' })).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(await stage.dead(2)).toHaveLength(2)
    await stage.isWell()
  })

  it('our sender refuses what is too large, with its size and the limit, before it is sent', async () => {
    await using stage = await openStage(server)
    await using sender = await connect({ servers: server.url, namespace: stage.ns })
    const big = sender.send({ actor: 'mailer', message: 'any' } as never, 'x'.repeat(MAX))
    await expect(big).rejects.toMatchObject({
      name: 'PayloadError',
      code: 'TOO_LARGE',
      data: { size: expect.any(Number) as number, limit: MAX - 16_384 },
    })
    await stage.isWell()
  })

  it('a schema with thousands of complaints, and an error of megabytes, are told in a bounded way', async () => {
    await using stage = await openStage(server, { actors: (handled) => [talkative(), victim(handled)] })
    await stage.stored('do.talker.schema', `[${'1,'.repeat(20_000)}1]`)
    await stage.stored('do.talker.error', '{}')
    const letters = await stage.dead(2)
    expect(letters.map(({ reason }) => reason).sort()).toEqual(['failed', 'invalid'])
    for (const letter of letters) expect(letter.failure.message.length).toBeLessThan(10_000)
    expect(letters.find(({ reason }) => reason === 'invalid')?.failure.issues?.[0]?.path).toBe('[0]')
    await stage.isWell()
  })
})

describe('P7: results that cannot be sent', () => {
  it.each(['cyclic', 'huge'])('%s: the message is done, and the asker gets a typed error', async (name) => {
    await using stage = await openStage(server, { actors: (handled) => [results(), victim(handled)] })
    const ref = { actor: 'results', message: name } as never
    const code = name === 'huge' ? 'TOO_LARGE' : 'UNENCODABLE'
    await expect(stage.system.troupe.ask(ref, {})).rejects.toMatchObject({ name: 'PayloadError', code })
    const sent = await stage.system.troupe.send(ref, {}, { keep: '1m' })
    await expect(sent.result()).rejects.toMatchObject({ name: 'PayloadError', code })
    await expect(stage.system.troupe.call(ref, {}, { timeout: '5s' })).rejects.toMatchObject({
      name: 'OutcomeError',
      failure: { code },
      data: { code: 500 },
    })
    expect(await stage.count('dead')).toBe(0)
    expect(await stage.count('mailbox-results')).toBe(0)
    await isIdle(stage, 'results')
    await stage.isWell()
  })

  it('progress that is too large or cannot be written ends nothing', async () => {
    await using stage = await openStage(server, { actors: (handled) => [results(), victim(handled)] })
    await expect(stage.system.troupe.ask({ actor: 'results', message: 'progress' } as never, {})).resolves.toBe('done')
    await stage.isWell()
  })
})

async function isIdle(stage: Stage, actor: string): Promise<void> {
  await expect.poll(() => stage.system.workers.get(actor)?.unsettled, { timeout: 5_000 }).toBe(0)
}

function talkative(): ReturnType<typeof defineActor> {
  return defineActor('talker', {
    retry: { attempts: 2, backoff: { base: 1 } },
    messages: {
      schema: { payload: z.array(z.string()), handle: async () => {} },
      error: async () => {
        throw Object.assign(new Error('e'.repeat(3 * MAX)), { name: 'N'.repeat(MAX), code: 'C'.repeat(MAX) })
      },
    },
  }) as never
}

function results(): ReturnType<typeof defineActor> {
  return defineActor('results', {
    messages: {
      cyclic: async () => {
        const value: { self?: unknown } = {}
        value.self = value
        return value
      },
      huge: async () => 'x'.repeat(2 * MAX),
      progress: async (_payload: unknown, ctx) => {
        ctx.progress('x'.repeat(2 * MAX))
        ctx.progress(1n)
        return 'done'
      },
    },
  }) as never
}
