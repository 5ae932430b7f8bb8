/** What each role of the ready accounts may do: the whole of it, with the server's log empty of refusals; and what it may not. */
import { connect, defineActor, run, type ScheduledRun, type System, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startGuarded, type Guarded } from '../kit/accounts.ts'
import { clerk, NEVER } from '../kit/clerk.ts'
import { makeProject, troupeHere, type Ended } from '../kit/cli.ts'
import { freePort } from '../kit/server.ts'
import { eventually, rejection } from '../kit/system.ts'

const mailer = clerk('mailer')
const render = clerk('render')

let guarded: Guarded
let httpPort: number
let ops: Troupe
let shop: Troupe
let mailing: System
let rendering: System
const news: { readonly schedule: string; readonly what: string; readonly detail: string }[] = []

beforeAll(async () => {
  httpPort = await freePort()
  guarded = await startGuarded()
  ops = await connect(guarded.open('ops'))
  // An operator makes what workers only use.
  await (await run({ ...guarded.open('ops'), actors: [mailer.actor, render.actor], signals: false })).stop()
  for (const actor of ['mailer', 'render']) {
    await ops.schedules.put(`first-${actor}`, { ...NEVER, send: `${actor}.file` })
    await ops.schedules.remove(`first-${actor}`)
  }
  mailing = await run({
    ...guarded.open('mailing', { system: 'm' }),
    actors: [mailer.actor],
    signals: false,
    http: { port: httpPort },
  })
  rendering = await run({ ...guarded.open('rendering', { system: 'r' }), actors: [render.actor], signals: false })
  shop = await connect(guarded.open('shop'))
  ops.connection.subscribe('troupe.event.system.*.schedule', {
    callback: (_error, msg) => void news.push(msg.json()),
  })
})
afterAll(async () => {
  await Promise.all([mailing, rendering].map((system) => system.stop({ within: 0 })))
  await Promise.all([shop.close(), ops.close()])
  await guarded[Symbol.asyncDispose]()
})

/** Runs a command as a user. */
const as = (user: string, line: string): Promise<Ended> => troupeHere(...line.split(' '), ...guarded.flags(user))

async function ended(id: string): Promise<ScheduledRun[]> {
  const runs = await ops.schedules.history(id)
  return runs.filter(({ outcome }) => outcome !== undefined)
}

describe('a worker and a sender', () => {
  it('have nothing refused in an ordinary life: work, counts, schedules, the end and a new start', async () => {
    expect(await shop.ask(mailer.actor.file, { what: 'a' })).toBe('a')
    await rejection(shop.ask(mailer.actor.fail, {}))
    await rejection(shop.ask(mailer.actor.fail, {}))
    const held = await shop.send(mailer.actor.hold, {})
    await eventually('it runs', () => mailer.seen.some(({ id }) => id === held.id))
    expect((await held.cancel({ timeout: '5s' })).was).toBe('running')
    await ops.schedules.put('often', { every: '1s', limit: 2, send: mailer.actor.file.with({ what: 'often' }) })
    await eventually('both runs are accounted for', async () => (await ended('often')).length === 2)
    const stats = (await ops.connection.request('$SRV.STATS.troupe-mailer')).json<{
      endpoints: { name: string; data: unknown }[]
    }>()
    const data = stats.endpoints.find(({ name }) => name === 'fail')?.data
    expect(data).toMatchObject({ waiting: 0, dead: 2, paused: {} })
    const metrics = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text()
    expect(metrics).toMatch(/troupe_dead\{[^}]*mailer[^}]*\} 2/)
    await mailing.stop()
    mailing = await run({ ...guarded.open('mailing', { system: 'm' }), actors: [mailer.actor], signals: false })
    expect(await shop.ask(mailer.actor.file, { what: 'b' })).toBe('b')
    expect(guarded.violations()).toEqual([])
  })
})

describe('a viewer', () => {
  it('looks at everything, and nothing of it is refused', async () => {
    await ops.schedules.put('seen', { ...NEVER, send: mailer.actor.file.with({ what: 'seen' }) })
    await ops.schedules.trigger('seen')
    await eventually('it ran', async () => (await ended('seen')).length === 1)
    const parked = await shop.send(mailer.actor.file, { what: 'later' }, { id: 'looked-at', delay: '1h' })
    const before = guarded.violations()
    const looks: readonly (readonly [string, string])[] = [
      ['status', 'mailer'],
      ['status --json', '"actor":"render"'],
      ['inspect looked-at', 'parked'],
      ['peek mailer', ''],
      ['tree', 'mailer'],
      ['doctor', ''],
      ['health', ''],
      ['dead ls', 'mailer'],
      ['dead ls --json', '"reason":'],
      ['schedules ls', 'seen'],
      ['schedules show seen', 'mailer.file'],
      ['schedules history seen', 'done'],
      ['schedules export', '"seen"'],
      ['schedules preview --cron=@daily', 'T'],
    ]
    for (const [line, says] of looks) {
      const { code, stdout, stderr } = await as('watch', line)
      expect(code, `${line}: ${stderr}`).toBe(0)
      expect(stdout, line).toContain(says)
    }
    await parked.cancel()
    expect(guarded.violations()).toEqual(before)
  })

  it('follows events, and writes the contract of its project', async () => {
    const env = Object.fromEntries(
      guarded
        .flags('watch')
        .filter((flag) => !flag.startsWith('--servers') && !flag.startsWith('--sender'))
        .map((flag) => flag.slice(2).split('=') as [string, string])
        .map(([name, value]) => [`TROUPE_${name.toUpperCase().replaceAll('-', '_')}`, value]),
    )
    const code = `import { defineActor } from 'troupe'\nexport const mailer = defineActor('mailer', { messages: { file: () => {} } })\n`
    await using project = await makeProject({
      env: { ...env, TROUPE_NATS_SERVERS: guarded.server.url },
      files: { 'mailer.ts': code },
    })
    const contract = project.troupe('contract', 'mailer.ts')
    const tail = project.background('tail', 'mailer', '--event', 'dead', '--limit', '1')
    await tail.says('following')
    await rejection(shop.ask(mailer.actor.fail, {}))
    expect((await tail.ended).stdout).toContain('dead')
    expect(await contract).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('troupe.do.mailer.file') as string,
    })
  })

  it.each([
    'pause mailer',
    'schedules put new mailer.file --cron=@daily',
    'schedules pause seen',
    'schedules trigger seen',
    'schedules rm seen',
    'control restart mailer',
    'scale mailer 2',
    'drain --all',
    'send mailer.file {"what":"x"}',
    'ask mailer.file {"what":"x"}',
    'call mailer.file {"what":"x"}',
    'cancel mailer some-id',
    'purge mailer --all --yes',
  ])('changes nothing: %s', async (line) => {
    if (line.startsWith('purge')) await ops.pause('mailer').then(() => shop.send(mailer.actor.file, { what: 'kept' }))
    const { code, stdout, stderr } = await as('watch', `${line} --json`)
    if (line.startsWith('purge')) await ops.resume('mailer')
    expect({ code, stdout }, stderr).toEqual({ code: 1, stdout: '' })
    const { error } = JSON.parse(stderr) as { error: { name: string; code: string; message: string } }
    expect(error).toMatchObject({ name: 'BrokerError', code: 'FORBIDDEN' })
    expect(error.message).toMatch(/but this user may not.* [Aa]sk the operator/)
  })

  it.each(['purge', 'retry'])('leaves dead letters where they are: dead %s', async (verb) => {
    const count = async (): Promise<number> => {
      let letters = 0
      for await (const _ of ops.dead.list()) letters++
      return letters
    }
    const before = await count()
    const { code, stdout } = await as('watch', `dead ${verb} --all --yes --json`)
    expect(code).toBe(1)
    const { failed } = JSON.parse(stdout) as { failed: { error: string }[] }
    expect(failed).toHaveLength(before)
    for (const { error } of failed) expect(error).toContain('but this user may not. Ask the operator')
    expect(await count()).toBe(before)
  })
})

describe('an operator', () => {
  it('changes everything', async () => {
    const before = guarded.violations()
    await shop.send(mailer.actor.file, { what: 'later' }, { id: 'cancelled', delay: '1h' })
    const changes = [
      'pause render',
      'send render.file {"what":"waits"} --id=waits',
      'purge render --all --yes',
      'send render.file {"what":"moved"} --id=moved',
      'resume render',
      'scale mailer 3',
      'events mailer all',
      'events mailer default',
      'control restart mailer',
      'cancel mailer cancelled',
      'schedules put made mailer.file {"what":"made"} --cron=@daily',
      'schedules pause made',
      'schedules resume made',
      'schedules trigger made',
      'schedules rm made --yes',
      'call render.file {"what":"live"}',
      'ask mailer.file {"what":"x"}',
      'dead retry --all --limit=1 --yes',
      'dead purge --all --yes',
      'doctor',
    ]
    for (const line of changes) {
      const { code, stderr } = await as('ops', line)
      expect(code, `${line}: ${stderr}`).toBe(0)
    }
    await eventually('what was sent ran', () => render.seen.some(({ id }) => id === 'moved'))
    expect(render.seen.some(({ id }) => id === 'waits')).toBe(false)
    expect(guarded.violations()).toEqual(before)
  })
})

describe('schedules of workers with few rights', () => {
  it('run, are cancelled by the next one, and run after messages of another actor', async () => {
    const before = guarded.violations()
    await ops.schedules.put('turns', { ...NEVER, overlap: 'cancelOther', send: mailer.actor.hold.with({}) })
    await ops.schedules.put('printed', {
      after: { actor: 'mailer', message: 'file' },
      overlap: 'allow',
      send: render.actor.file.with({ what: 'print' }),
    })
    const turns = (): number => mailer.seen.filter(({ schedule }) => schedule === 'turns').length
    await ops.schedules.trigger('turns')
    await eventually('the first runs', () => turns() === 1)
    await ops.schedules.trigger('turns')
    await eventually('the second runs', () => turns() === 2)
    await eventually('the first was cancelled', async () =>
      (await ended('turns')).some(({ outcome }) => outcome?.status === 'cancelled'),
    )
    await ops.schedules.pause('turns')
    await shop.ask(mailer.actor.file, { what: 'a' })
    await eventually('it is printed', () => render.seen.some(({ schedule }) => schedule === 'printed'))
    await rendering.stop({ within: 0 })
    rendering = await run({ ...guarded.open('rendering', { system: 'r' }), actors: [render.actor], signals: false })
    await shop.ask(mailer.actor.file, { what: 'b' })
    await eventually('again', () => render.seen.filter(({ schedule }) => schedule === 'printed').length >= 2)
    expect(guarded.violations()).toEqual(before)
    await ops.schedules.remove('printed')
  })

  it('tell what a chain lacks, and all others go on', async () => {
    // The workers of render may not send to mailer.
    await ops.schedules.put('lacking', {
      after: { actor: 'render', message: 'file' },
      send: mailer.actor.file.with({ what: 'never' }),
    })
    await ops.schedules.put('going', { ...NEVER, send: render.actor.file.with({ what: 'on' }) })
    await shop.ask(render.actor.file, { what: 'x' })
    await eventually('it is told', () =>
      news.some(({ schedule, what }) => schedule === 'lacking' && what === 'refused'),
    )
    expect(news.find(({ schedule }) => schedule === 'lacking')?.detail).toContain('--actors render --sends-to mailer')
    await ops.schedules.trigger('going')
    await eventually('it runs', async () => (await ended('going')).length === 1)
    await ops.schedules.remove('lacking')
  })

  it('are put at the start where they are declared, but for those that need more, and are kept by what an operator deployed', async () => {
    await rendering.stop({ within: 0 })
    const before = guarded.violations()
    const messages = { file: (payload: unknown) => payload }
    const declared = defineActor('render', {
      retry: false,
      schedules: {
        nightly: { cron: '0 3 * * *', send: 'file', payload: {} },
        chained: { after: { actor: 'mailer', message: 'file' }, send: 'file', payload: {} },
      },
      messages,
    })
    const start = (): Promise<System> =>
      run({ ...guarded.open('rendering', { system: 'r' }), actors: [declared], signals: false })
    rendering = await start()
    await eventually('it is told', () =>
      news.some(({ schedule, what }) => schedule === 'chained' && what === 'refused'),
    )
    expect(news.find(({ schedule }) => schedule === 'chained')?.detail).toContain('Run "troupe deploy" as an operator')
    expect(await ops.schedules.list({ actor: 'render' })).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ id: 'nightly', declared: 'actor' })]) as object,
    )
    expect(await rejection(ops.schedules.get('chained'))).toMatchObject({ code: 'NO_SCHEDULE' })
    await rendering.stop({ within: 0 })
    // An operator's start puts what a worker may not; from then on it stands as declared.
    await (await run({ ...guarded.open('ops'), actors: [declared], signals: false })).stop()
    const told = news.length
    rendering = await start()
    await shop.ask(mailer.actor.file, { what: 'cause' })
    await eventually('it runs after it', async () => (await ended('chained')).length > 0)
    // What ended for the schedule that lacks a right is kept, also after it was removed: a new worker tries it again, and tells of it.
    expect(news.slice(told).filter(({ schedule }) => schedule !== 'lacking')).toEqual([])
    expect(guarded.violations()).toEqual(before)
  })
})
