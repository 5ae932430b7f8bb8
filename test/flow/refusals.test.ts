/** What a sender is told where nothing can be sent: typed, soon, and with what to do. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

import { connect as dial } from '@nats-io/transport-node'
import { connect, defineActor, run, type ConfigInput, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { freePort, startServer, type TestServer } from '../kit/server.ts'

let server: TestServer
beforeAll(async () => void (server = await startServer()))
afterAll(() => server.stop())

let spaces = 0
const to = (actor: string, message = 'any'): never => ({ actor, message }) as never
const note = defineActor('note', { messages: { any: async () => {} } })
const open = (url: string, config: ConfigInput = {}): Promise<Troupe> =>
  connect({ servers: url, namespace: `refusal${++spaces}`, ...config })

const as = (user: string, password: string): { nats: { user: string; password: string } } => ({
  nats: { user, password },
})

/** The error that came, and how long it took. */
async function refusal(act: () => Promise<unknown>): Promise<{ error: Error & { code?: string }; ms: number }> {
  const from = performance.now()
  const error = await act().then(
    () => new Error('nothing was refused'),
    (thrown: unknown) => thrown as Error,
  )
  return { error, ms: performance.now() - from }
}

describe('sending to a mailbox that does not take it', () => {
  it('an actor that nobody has created: its name, the nearest one, and what to do', async () => {
    await using troupe = await open(server.url)
    await troupe.send(note.any, undefined)
    const { error, ms } = await refusal(() => troupe.send(to('notee'), {}))
    expect(error).toMatchObject({ name: 'ActorError', code: 'UNKNOWN_ACTOR', data: { actor: 'notee' } })
    expect(error.message).toContain('did you mean "note"?')
    expect(error.message).toContain('Start a worker of it')
    expect(ms).toBeLessThan(5_000)
  })

  it('an actor that nobody has created, before anything exists', async () => {
    await using troupe = await open(server.url)
    await expect(troupe.send(to('mailer'), {})).rejects.toMatchObject({
      code: 'UNKNOWN_ACTOR',
      message: expect.stringContaining('none exists yet') as string,
    })
    await expect(troupe.ask(to('mailer'), {})).rejects.toMatchObject({ code: 'UNKNOWN_ACTOR' })
    await expect(troupe.send(to('mailer'), {}, { delay: '1h' })).rejects.toMatchObject({
      code: 'UNKNOWN_ACTOR',
    })
    await expect(troupe.call(to('mailer'), {})).rejects.toMatchObject({
      name: 'ActorError',
      code: 'NO_LIVE_WORKER',
    })
    const [fate] = await troupe.sendMany(to('mailer'), [{}])
    expect(fate?.error).toMatchObject({ code: 'UNKNOWN_ACTOR' })
  })

  it('where somebody else listens on the mailbox: an actor that nobody has created, and one that is created', async () => {
    await using troupe = await open(server.url, { nats: { requestTimeout: '300ms' } })
    const nc = await dial({ servers: server.url })
    nc.subscribe(`refusal${spaces}.>`, { callback: () => {} })
    await nc.flush()
    const { error, ms } = await refusal(() => troupe.send(to('mailer'), {}))
    expect(error).toMatchObject({ code: 'UNKNOWN_ACTOR' })
    expect(ms).toBeLessThan(5_000)
    expect(await troupe.send(note.any, undefined)).toMatchObject({ duplicate: false })
    await nc.close()
  })

  it('a message that the definition does not have', async () => {
    await using troupe = await open(server.url)
    const wrong = (note as unknown as Record<string, never>)['anny'] as never
    await expect(troupe.send(wrong, {})).rejects.toMatchObject({ name: 'ActorError', code: 'UNKNOWN_MESSAGE' })
  })

  it('a full bounded mailbox, and then one with room again', async () => {
    const small = defineActor('small', { mailbox: { maxMessages: 2 }, messages: { any: async () => {} } })
    await using troupe = await open(server.url)
    const fates = await troupe.sendMany(small.any, [undefined, undefined, undefined])
    const codes = fates.map(({ error }) => (error as { code?: string } | undefined)?.code ?? 'stored')
    expect(codes.sort()).toEqual(['MAILBOX_FULL', 'stored', 'stored'])
    const { error, ms } = await refusal(() => troupe.send(small.any, undefined))
    expect(error).toMatchObject({ name: 'UnavailableError', code: 'MAILBOX_FULL' })
    expect(error.message).toContain('Try again later, run more workers, or raise its bound')
    expect(ms).toBeLessThan(5_000)
    await using system = await run({
      actors: [small],
      servers: server.url,
      namespace: `refusal${spaces}`,
      signals: false,
      logLevel: 'silent',
    })
    await expect.poll(() => system.workers.get('small')?.counts.done, { timeout: 5_000 }).toBe(2)
    await expect
      .poll(
        () =>
          troupe.send(small.any, undefined).then(
            () => true,
            () => false,
          ),
        { timeout: 5_000 },
      )
      .toBe(true)
  })

  it('an option, a header or an id that cannot be: before anything is sent', async () => {
    await using troupe = await open(server.url)
    const cases: readonly (readonly [object, string, string])[] = [
      [{ headers: { 'X-A': 'one\r\nNats-Rollup: all' } }, 'PayloadError', 'INVALID_HEADER'],
      [{ headers: { 'X-A': 'one\ntwo' } }, 'PayloadError', 'INVALID_HEADER'],
      [{ headers: { 'X A': 'one' } }, 'PayloadError', 'INVALID_HEADER'],
      [{ headers: { 'X:A': 'one' } }, 'PayloadError', 'INVALID_HEADER'],
      [{ headers: { 'nats-rollup': 'all' } }, 'PayloadError', 'INVALID_HEADER'],
      [{ headers: { 'Troupe-Reply': 'x' } }, 'PayloadError', 'INVALID_HEADER'],
      [{ headers: { 'X-A': 7 } }, 'PayloadError', 'INVALID_HEADER'],
      [{ id: 'x'.repeat(10_240) }, 'PayloadError', 'INVALID_ID'],
      [{ id: '' }, 'PayloadError', 'INVALID_ID'],
      [{ id: 'a\r\nb' }, 'PayloadError', 'INVALID_ID'],
      [{ id: 'a\uD83D' }, 'PayloadError', 'INVALID_ID'],
      [{ id: 'a\uD83D', delay: '1h', replace: true }, 'PayloadError', 'INVALID_ID'],
      [{ lane: 'fast' }, 'ConfigError', 'INVALID_OPTION'],
      [{ dealy: '1s' }, 'ConfigError', 'INVALID_OPTION'],
      [{ delay: 'soon' }, 'ConfigError', 'INVALID_OPTION'],
      [{ retry: { attempts: '3x' } }, 'ConfigError', 'INVALID_OPTION'],
      [{ at: new Date(8.64e15) }, 'ConfigError', 'INVALID_OPTION'],
    ]
    for (const [options, name, code] of cases) {
      await expect(troupe.send(note.any, undefined, options), JSON.stringify(options)).rejects.toMatchObject({
        name,
        code,
      })
    }
  })

  it.each(['expires', 'deadline'])('takes %s as far away as dates go', async (name) => {
    await using troupe = await open(server.url)
    await expect(troupe.send(note.any, undefined, { [name]: new Date('9999-12-31T23:59:59Z') })).resolves.toBeDefined()
    await expect(troupe.send(note.any, undefined, { [name]: '36500d' })).resolves.toBeDefined()
  })
})

describe('a server that cannot be used', () => {
  it('without JetStream', async () => {
    await using plain = await startServer({ jetstream: false })
    await expect(open(plain.url)).rejects.toMatchObject({
      name: 'BrokerError',
      code: 'NO_JETSTREAM',
      message: expect.stringContaining('Start nats-server with -js') as string,
    })
    await expect(run({ actors: [note], servers: plain.url, signals: false, logLevel: 'silent' })).rejects.toMatchObject(
      { code: 'NO_JETSTREAM' },
    )
  })

  it('nobody listening', async () => {
    const port = await freePort()
    const { error, ms } = await refusal(() => open(`nats://user:secret@127.0.0.1:${port}`))
    expect(error).toMatchObject({ name: 'UnavailableError', code: 'DISCONNECTED' })
    expect(error.message).toContain(`127.0.0.1:${port}`)
    expect(error.message).not.toContain('secret')
    expect(ms).toBeLessThan(10_000)
  })

  // A nats-server of that age can't be had here: this says no more than what the client reads first.
  it('too old', async () => {
    await using old = await fakeServer({
      server_id: 'OLD',
      version: '2.10.29',
      proto: 1,
      headers: true,
      jetstream: true,
      max_payload: 1_048_576,
    })
    const { error } = await refusal(() => open(old.url))
    expect(error).toMatchObject({ name: 'BrokerError', code: 'SERVER_TOO_OLD', data: { version: '2.10.29' } })
    expect(error.message).toMatch(/2\.14\.0 or later.*2\.10\.29.*Upgrade the server/)
  })
})

describe('rights that are not given', () => {
  const AUTH = `
    authorization {
      users = [
        { user: all, password: a }
        { user: sender, password: s, permissions: {
          publish: { allow: ["*.do.open.>", "*.call.open.>", "$JS.API.STREAM.INFO.*"] }
          subscribe: { allow: ["_INBOX.>", "*.reply.>"] } } }
        { user: deaf, password: d, permissions: { publish: ">", subscribe: { deny: ["_INBOX.>"] } } }
        { user: writer, password: w, permissions: { publish: { deny: ["*.dead.>"] } } }
      ]
    }`
  let guarded: TestServer
  beforeAll(async () => void (guarded = await startServer({ conf: AUTH })))
  afterAll(() => guarded.stop())
  it.each([
    ['wrong password', as('all', 'x')],
    ['no credentials', {}],
    ['an unknown user', as('nobody', 'x')],
  ])('%s: FORBIDDEN, soon', async (_what, config) => {
    const { error, ms } = await refusal(() => open(guarded.url, config))
    expect(error).toMatchObject({ name: 'BrokerError', code: 'FORBIDDEN' })
    expect(error.message).toContain('Check nats.credentials')
    expect(ms).toBeLessThan(10_000)
  })

  it('a subject that this user may not publish: FORBIDDEN with the subject, not after a minute', async () => {
    await using troupe = await open(guarded.url, as('sender', 's'))
    const { error, ms } = await refusal(() => troupe.send(to('closed'), {}))
    expect(error).toMatchObject({
      name: 'BrokerError',
      code: 'FORBIDDEN',
      data: { subject: `refusal${spaces}.do.closed.any` },
    })
    expect(ms).toBeLessThan(3_000)
    const fates = await troupe.sendMany(to('closed'), [1, 2, 3])
    expect(fates.map((fate) => (fate.error as { code?: string }).code)).toEqual(['FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN'])
    const call = await refusal(() => troupe.call(to('closed'), {}))
    expect(call.error).toMatchObject({ code: 'FORBIDDEN' })
    expect(call.ms).toBeLessThan(3_000)
    await expect(troupe.broadcast(to('closed'), {})).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(troupe.cancel('closed', { id: 'x' })).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })

  it('an inbox that this user may not hear: FORBIDDEN, and how to name another', async () => {
    await using troupe = await open(guarded.url, as('deaf', 'd'))
    const { error, ms } = await refusal(() => troupe.send(to('open'), {}))
    expect(error).toMatchObject({ name: 'BrokerError', code: 'FORBIDDEN' })
    expect(error.message).toContain('nats.inboxPrefix')
    expect(ms).toBeLessThan(3_000)
  })

  it('a worker that may not write dead letters says so and keeps the message; others go on', async () => {
    const failing = defineActor('failing', {
      retry: false,
      concurrency: 1,
      messages: { bad: async () => Promise.reject(new Error('no')), good: async () => 'ok' },
    })
    const namespace = `refusal${++spaces}`
    await using operator = await connect({ servers: guarded.url, namespace, ...as('all', 'a') })
    const unsettled: unknown[] = []
    await using system = await run({
      actors: [failing],
      servers: guarded.url,
      namespace,
      signals: false,
      logLevel: 'silent',
      ...as('writer', 'w'),
      onEvent: (event, data) => void (event === 'unsettled' && unsettled.push((data as { failure: unknown }).failure)),
    })
    await operator.send(failing.bad, undefined)
    await expect.poll(() => unsettled, { timeout: 10_000 }).toMatchObject([{ code: 'FORBIDDEN' }])
    await expect(operator.ask(failing.good, undefined)).resolves.toBe('ok')
    expect(system.workers.get('failing')?.running).toHaveLength(0)
    const nc = await dial({ servers: guarded.url, user: 'all', pass: 'a' })
    const info = (await nc.request(`$JS.API.STREAM.INFO.${namespace}-mailbox-failing`)).json<{
      state: { messages: number }
    }>()
    expect(info.state.messages).toBe(1)
    await nc.close()
  })
})

async function fakeServer(info: object): Promise<AsyncDisposable & { url: string }> {
  const fake = createServer((socket) => {
    socket.on('error', () => {})
    socket.write(`INFO ${JSON.stringify(info)}\r\n`)
    socket.on('data', (bytes) => {
      if (bytes.includes('PING')) socket.write('PONG\r\n')
    })
  })
  fake.listen(0, '127.0.0.1')
  await once(fake, 'listening')
  const { port } = fake.address() as AddressInfo
  const close = async (): Promise<void> => void fake.close()
  return { url: `nats://127.0.0.1:${port}`, [Symbol.asyncDispose]: close }
}
