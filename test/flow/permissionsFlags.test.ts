/** What `troupe permissions` prints for `--manage` and for a JetStream domain, put into a real server as it is printed. */
import { connect, run } from 'troupe'
import { describe, expect, it } from 'vitest'

import { party, startGuarded } from '../kit/accounts.ts'
import { clerk, NEVER } from '../kit/clerk.ts'
import { makeProject, troupeHere, type Project } from '../kit/cli.ts'
import { eventually, rejection } from '../kit/system.ts'

const VAULT = `import { defineActor } from 'troupe'
export const vault = defineActor('vault', { messages: { open: ({ to }) => to } })
`

/** The printed block as a user of nats-server, and the printed settings as a project's environment. */
async function printed(user: string, ...words: string[]): Promise<{ user: string; env: Record<string, string> }> {
  const block = await troupeHere('permissions', '--user', user, ...words)
  const { settings } = JSON.parse((await troupeHere('permissions', '--user', user, ...words, '--json')).stdout) as {
    settings: Record<string, string>
  }
  return {
    user: `{ user: ${user}, password: secret${user}\n${block.stdout} }`,
    env: { ...settings, TROUPE_NATS_PASSWORD: `secret${user}` },
  }
}

describe('--manage', () => {
  it('lets a worker make what it needs on an empty server; without it, it is told who does', async () => {
    const parties = [
      await printed('maker', '--role', 'worker', '--actors', 'vault', '--manage'),
      await printed('user', '--role', 'worker', '--actors', 'vault'),
      await printed('shop', '--role', 'sender', '--actors', 'vault'),
    ] as const
    await using guarded = await startGuarded(
      `authorization { users: [ ${parties.map(({ user }) => user).join('\n')} ] }`,
    )
    const projectOf = (index: 0 | 1 | 2): Promise<Project> =>
      makeProject({
        files: { 'vault.ts': VAULT },
        env: { ...parties[index].env, TROUPE_NATS_SERVERS: guarded.server.url },
      })
    await using plain = await projectOf(1)
    const refused = await plain.troupe('start', 'vault.ts')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('since nats.manage is off, but it does not. Run')
    await using making = await projectOf(0)
    const worker = making.background('start', 'vault.ts')
    await worker.says('started')
    await using shop = await projectOf(2)
    expect(await shop.troupe('ask', 'vault.open', '{"to":"ada"}')).toMatchObject({ code: 0, stdout: '"ada"\n' })
    worker.signal('SIGTERM')
    expect((await worker.ended).code).toBe(0)
    // What one made, the other runs on.
    const next = plain.background('start', 'vault.ts')
    await next.says('started')
    expect(await shop.troupe('ask', 'vault.open', '{"to":"eve"}')).toMatchObject({ code: 0, stdout: '"eve"\n' })
    expect(guarded.violations()).toEqual([])
  })
})

describe('a JetStream domain', () => {
  it('has accounts of its own form: each role does its work in it, and nothing of that is refused', async () => {
    const parties = [party('ops', 'operator'), party('watch', 'viewer'), party('mailing', 'worker', ['mailer']), party('shop', 'sender', ['mailer'])] // prettier-ignore
    const users = parties.map(({ user, role, actors }) => [user, [role, ...actors].join(':')].join('='))
    const accounts = await troupeHere('permissions', ...users, '--nats-domain', 'hub')
    const conf = `jetstream { store_dir: "data", domain: hub }\n${accounts.stdout}`
    await using guarded = await startGuarded(conf, parties, { jetstream: false })
    const open = (user: string) => guarded.open(user, { nats: { domain: 'hub' } })
    const { actor, seen } = clerk('mailer')
    await (await run({ ...open('ops'), actors: [actor], signals: false })).stop()
    await using ops = await connect(open('ops'))
    await ops.schedules.put('daily', { ...NEVER, send: actor.file.with({ what: 'daily' }) })
    await using worker = await run({ ...open('mailing'), actors: [actor], signals: false })
    await using shop = await connect(open('shop'))
    expect(await shop.ask(actor.file, { what: 'a' })).toBe('a')
    const kept = await shop.send(actor.file, { what: 'b' }, { keep: '1h', delay: '300ms' })
    expect(await kept.result({ timeout: '10s' })).toBe('b')
    await ops.schedules.trigger('daily')
    await eventually('it runs', () => seen.some(({ schedule }) => schedule === 'daily'))
    await eventually('it is accounted for', async () => {
      const [last] = await ops.schedules.history('daily')
      return last?.outcome?.status === 'done'
    })
    for (const words of [
      ['status'],
      ['schedules', 'show', 'daily'],
      ['dead', 'ls'],
      ['doctor'],
      ['inspect', kept.id],
    ]) {
      const { code, stderr } = await troupeHere(...words, ...guarded.flags('watch'), '--nats-domain=hub')
      expect(code, `${words.join(' ')}: ${stderr}`).toBe(0)
    }
    await worker.stop({ within: 0 })
    expect(guarded.violations()).toEqual([])
    // The server names another subject than the one that was asked: that is known as ours, and told at once.
    const other = run({ ...open('mailing'), actors: [clerk('render').actor], signals: false })
    expect(await rejection(other)).toMatchObject({ code: 'FORBIDDEN' })
    await using mailing = await connect(open('mailing'))
    expect(await rejection(mailing.pause('mailer'))).toMatchObject({ code: 'FORBIDDEN' })
    for (const words of [
      ['pause', 'mailer'],
      ['schedules', 'trigger', 'daily'],
    ]) {
      const { code, stderr } = await troupeHere(...words, ...guarded.flags('watch'), '--nats-domain=hub', '--json')
      expect(code, words.join(' ')).toBe(1)
      expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'FORBIDDEN' } })
    }
  })
})
