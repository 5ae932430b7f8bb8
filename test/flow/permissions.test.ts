/** The ready accounts on a real server: each role does its work with the real runtime, and all else is refused. */
import { inspect } from 'node:util'

import { jetstreamManager } from '@nats-io/jetstream'
import { connect as dial, type NatsConnection } from '@nats-io/transport-node'
import { connect, defineActor, retry, run, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { accountsOf } from '#runtime/permissions/accounts.js'
import { accountsText } from '#runtime/permissions/natsConf.js'

import { ACCOUNTS, PARTIES, startGuarded, type Guarded } from '../kit/accounts.ts'
import { makeProject } from '../kit/cli.ts'
import type { TestServer } from '../kit/server.ts'
import { rejection } from '../kit/system.ts'

const mailer = defineActor('mailer', {
  retry: { attempts: 2, backoff: { base: '10ms' } },
  messages: {
    welcome: async ({ to }: { to: string }, ctx) => {
      if (to === 'nobody') throw new Error('no such person')
      if (to === 'later' && ctx.attempt === 1) return retry({ after: '700ms' })
      return `welcome, ${to}`
    },
  },
})
const render = defineActor('render', { messages: { pdf: async () => 'a page' } })

let guarded: Guarded
let server: TestServer
const open: Guarded['open'] = (user, own) => guarded.open(user, own)
const violations: Guarded['violations'] = () => guarded.violations()
const bare = (user: string): Promise<NatsConnection> =>
  dial({ servers: server.url, user, pass: `secret${user}`, inboxPrefix: `_INBOX.${user}` })

let stop: (() => Promise<void>)[] = []
let shop: Troupe
beforeAll(async () => {
  guarded = await startGuarded()
  server = guarded.server
  // An operator makes what workers only use.
  await (await run({ ...open('ops'), actors: [mailer, render], signals: false })).stop()
  for (const [user, actor] of [
    ['mailing', mailer],
    ['rendering', render],
  ] as const) {
    const system = await run({ ...open(user), actors: [actor as never], signals: false })
    stop.push(() => system.stop({ within: 0 }))
  }
  shop = await connect(open('shop'))
  stop.push(() => shop.close())
})
afterAll(async () => {
  await Promise.all(stop.map((end) => end()))
  stop = []
  await server.stop()
})

describe('the ready accounts', () => {
  it('are what "troupe permissions" prints', () => {
    expect(ACCOUNTS.split('\n').slice(2).join('\n').trimEnd()).toBe(
      accountsText(accountsOf(PARTIES, { namespace: 'troupe' })).trimEnd(),
    )
  })
})

describe('a sender and the workers', () => {
  it('do their work, and the server has nothing to refuse', async () => {
    expect(await shop.ask(mailer.welcome, { to: 'ada' })).toBe('welcome, ada')
    expect(await shop.ask(mailer.welcome, { to: 'later' })).toBe('welcome, later')
    expect(await shop.ask(mailer.welcome, { to: 'eve' }, { delay: '900ms' })).toBe('welcome, eve')
    expect(await shop.call(render.pdf, undefined)).toBe('a page')
    await shop.broadcast(render.pdf, undefined)
    const kept = await shop.send(mailer.welcome, { to: 'kim' }, { keep: '1h' })
    expect(await kept.result({ timeout: '10s' })).toBe('welcome, kim')
    const parked = await shop.send(mailer.welcome, { to: 'max' }, { delay: '1h' })
    expect(await parked.cancel({ timeout: '10s' })).toEqual({ was: 'parked' })
    expect(await rejection(shop.ask(mailer.welcome, { to: 'nobody' }))).toMatchObject({ code: 'DEAD' })
    expect(violations()).toEqual([])
  })

  it('an operator lists and retries dead letters', async () => {
    await using ops = await connect(open('ops'))
    expect((await ops.dead.retry({ actor: 'mailer' })).length).toBeGreaterThan(0)
  })
})

describe('a viewer', () => {
  it('sees that all is well without asking for what it may not, and is told at once what it may not do', async () => {
    await using project = await makeProject({
      env: {
        TROUPE_NATS_SERVERS: server.url,
        TROUPE_NATS_USER: 'watch',
        TROUPE_NATS_PASSWORD: 'secretwatch',
        TROUPE_NATS_INBOX_PREFIX: '_INBOX.watch',
        TROUPE_NATS_MANAGE: 'false',
      },
    })
    const before = violations().length
    const health = await project.troupe('health', '--json')
    expect(health.stderr).toBe('')
    expect(health.code).toBe(0)
    expect((await project.troupe('doctor')).stdout).toContain("this machine's clock")
    expect(violations().length).toBe(before)
    const scale = await project.troupe('scale', 'mailer', '2')
    expect(scale.code).toBe(1)
    expect(scale.stderr).toContain('expected NATS to let us publish to troupe.control.')
    const level = await project.troupe('events', 'mailer', 'all')
    expect(level.code).toBe(1)
    expect(level.stderr).toContain('expected NATS to let us publish to troupe.control.all.events')
  })
})

describe('what is refused', () => {
  it('to a sender: other actors, the outcomes of others; each with a typed error', async () => {
    await using billing = await connect(open('billing'))
    expect(await rejection(billing.send(mailer.welcome, { to: 'x' }))).toMatchObject({
      name: 'BrokerError',
      code: 'FORBIDDEN',
      data: { subject: 'troupe.do.mailer.welcome' },
    })
    expect(await rejection(billing.send(mailer.welcome, { to: 'x' }, { delay: '1h' }))).toMatchObject({
      code: 'FORBIDDEN',
    })
    expect(await rejection(billing.call(mailer.welcome, { to: 'x' }))).toMatchObject({ code: 'FORBIDDEN' })
    expect(await rejection(billing.cancel('mailer', { id: 'x' }))).toMatchObject({ code: 'FORBIDDEN' })
    await using posing = await connect(open('billing', { sender: 'shop' }))
    expect(await rejection(posing.ask(render.pdf, undefined))).toMatchObject({ code: 'FORBIDDEN' })
    const sent = await posing.send(render.pdf, undefined, { keep: '1h' })
    expect(await rejection(sent.result({ timeout: '3s' }))).toMatchObject({ code: 'FORBIDDEN' })
  })

  it('to a worker: an actor that is not its own', async () => {
    expect(await rejection(run({ ...open('rendering'), actors: [mailer], signals: false }))).toMatchObject({
      code: 'FORBIDDEN',
    })
  })

  it.each([
    ['billing', 'troupe.timer.at.mailer.welcome.x'],
    ['billing', 'troupe.dead.render.pdf.x'],
    ['billing', '$JS.API.STREAM.PURGE.troupe-mailbox-render'],
    ['billing', '$JS.API.STREAM.CREATE.mine'],
    ['billing', '$JS.API.STREAM.MSG.GET.troupe-results'],
    ['billing', '$JS.API.DIRECT.GET.troupe-results.troupe.result.render.shop.x'],
    ['rendering', '$JS.API.CONSUMER.MSG.NEXT.troupe-mailbox-mailer.normal'],
    ['rendering', '$JS.API.STREAM.MSG.GET.troupe-mailbox-mailer'],
    ['rendering', '$JS.ACK.troupe-mailbox-mailer.normal.1.1.1.1.0'],
    ['rendering', '$JS.ACK._.hash.troupe-mailbox-mailer.normal.1.1.1.1.0'],
    ['rendering', 'troupe.timer.at.mailer.welcome.x'],
    ['rendering', '$JS.API.STREAM.UPDATE.troupe-mailbox-render'],
    ['rendering', '$JS.API.STREAM.PURGE.troupe-marks'],
    ['watch', 'troupe.do.render.pdf'],
    ['watch', '$JS.API.STREAM.PURGE.troupe-dead'],
    ['watch', '$JS.API.STREAM.MSG.DELETE.troupe-dead'],
    ['watch', 'troupe.control.all.drain'],
  ])('to %s: %s', async (user, subject) => {
    const nc = await bare(user)
    const before = violations().length
    nc.publish(subject, '{}')
    await nc.flush()
    await nc.close()
    expect(violations().slice(before).join('\n')).toContain(`"${subject}"`)
  })

  it('to a sender and a viewer: an answer into the stream of another, which permissions alone would let pass', async () => {
    const ops = await bare('ops')
    const jsm = await jetstreamManager(ops)
    const last = async (stream: string): Promise<number> => (await jsm.streams.info(stream)).state.last_seq
    const before = [await last('troupe-mailbox-mailer'), await last('troupe-timer-mailer')]
    const [sender, viewer] = [await bare('billing'), await bare('watch')]
    for (const reply of ['troupe.do.mailer.welcome', 'troupe.timer.due.mailer.at.welcome.x']) {
      sender.publish('troupe.do.render.pdf', '{}', { reply })
      viewer.publish('$JS.API.STREAM.INFO.troupe-dead', '', { reply })
    }
    await Promise.all([sender.flush(), viewer.flush()])
    // The answers of what came before this one have been given: the server answers in order.
    await sender.request('troupe.do.render.pdf', '{}', { timeout: 5_000 })
    expect([await last('troupe-mailbox-mailer'), await last('troupe-timer-mailer')]).toEqual(before)
    await Promise.all([sender.close(), viewer.close(), ops.close()])
  })

  it('a wrong password is in no error', async () => {
    const wrong = { ...open('shop'), nats: { user: 'shop', password: 'verysecretword' } }
    const error = await rejection(connect(wrong))
    expect(error).toMatchObject({ code: 'FORBIDDEN' })
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('verysecretword')
  })

  it('nor is an nkey seed with a slip in it', async () => {
    const seed = 'SUAverysecretwordWITHASLIPINIT0189'
    const error = await rejection(connect({ servers: server.url, nats: { nkey: seed } }))
    expect(error).toMatchObject({ code: 'INVALID_CONFIG' })
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('verysecretword')
  })
})
