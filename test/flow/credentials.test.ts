/** Wrong credentials are told with what to do; right and wrong ones are in nothing that Troupe says. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'

import { nkeys } from '@nats-io/nats-core'
import { connect, defineActor, run, type ConfigInput, type ConnectOptions } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { failureText } from '#runtime/cli/failure.js'
import { createLogger } from '#runtime/log.js'

import { makeProject, troupeHere } from '../kit/cli.ts'
import { freePort, startServer, type TestServer } from '../kit/server.ts'
import { eventually, rejection } from '../kit/system.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const user = nkeys.createUser()
const stranger = text(nkeys.createUser().getSeed())
const right = { password: 'rightpassword77', token: 'righttoken77', seed: text(user.getSeed()) }
const wrong = { password: 'wrongpassword88', token: 'wrongtoken88', seed: stranger }
const SECRETS = [...Object.values(right), ...Object.values(wrong), 'slipped99']

const servers: Record<'password' | 'token' | 'seed', TestServer> = {} as never
let files: TestServer['dir']
beforeAll(async () => {
  const auth = (inner: string): Promise<TestServer> => startServer({ conf: `authorization { ${inner} }` })
  servers.password = await auth(`users: [{ user: me, password: ${right.password} }]`)
  servers.token = await auth(`token: ${right.token}`)
  servers.seed = await auth(`users: [{ nkey: ${user.getPublicKey()} }]`)
  files = servers.seed.dir
  await writeFile(join(files, 'nonsense.creds'), `slipped99 is no credentials`)
  await writeFile(join(files, 'cut.creds'), `-----BEGIN NATS USER JWT-----\nslipped99\n------END NATS USER JWT------\n`)
  await writeFile(join(files, 'slip.nk'), `${wrong.seed.slice(0, -4)}AAAA`)
  await writeFile(join(files, 'stranger.creds'), credsText('e30.e30.slipped99', wrong.seed))
})
afterAll(() => Promise.all(Object.values(servers).map((server) => server.stop())))

function credsText(jwt: string, seed: string): string {
  const part = (name: string, value: string): string => `-----BEGIN ${name}-----\n${value}\n------END ${name}------\n`
  return part('NATS USER JWT', jwt) + part('USER NKEY SEED', seed)
}

/** Everything that can be seen of an error, in one text. */
function allOf(error: Error): string {
  const deep = { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null } as const
  const shown = [true, false].flatMap((isJson) => failureText(error, { isDebug: true, isJson }))
  const chain: unknown[] = []
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) chain.push(cause.stack, cause.message)
  return [inspect(error, deep), JSON.stringify(error), JSON.stringify(Object.entries(error)), ...shown, ...chain].join(
    '\n',
  )
}

function expectNoSecret(said: string): void {
  for (const secret of SECRETS) expect(said).not.toContain(secret)
  // Nor a part of a seed with a slip in it.
  expect(said).not.toContain(wrong.seed.slice(0, -4))
}

const actor = defineActor('vault', {
  retry: { attempts: 2, backoff: { base: '1ms' } },
  messages: {
    open: (payload: { fails?: boolean }) => {
      if (payload.fails === true) throw new Error('it is stuck')
      return 'open'
    },
  },
})

const FORBIDDEN = ['FORBIDDEN', 'Check nats.credentials, nkey, jwt, user, password or token'] as const
const INVALID = (key: string) => ['INVALID_CONFIG', `expected ${key} to be`] as const

type Case = readonly [string, () => ConnectOptions, readonly [string, string]]
const at = (name: string): string => join(files, name)
const cases: readonly Case[] = [
  ['a wrong password', () => ({ servers: servers.password.url, nats: { user: 'me', password: wrong.password } }), FORBIDDEN],
  ['one in the address', () => ({ servers: withLogin(servers.password.url, `me:${wrong.password}`) }), FORBIDDEN],
  ['a wrong token', () => ({ servers: servers.token.url, nats: { token: wrong.token } }), FORBIDDEN],
  ['a token in the address', () => ({ servers: withLogin(servers.token.url, wrong.token) }), FORBIDDEN],
  ["a stranger's seed", () => ({ servers: servers.seed.url, nats: { nkey: wrong.seed } }), FORBIDDEN],
  ['a seed with a slip in it', () => ({ servers: servers.seed.url, nats: { nkey: `${wrong.seed.slice(0, -4)}AAAA` } }), INVALID('nats.nkey')],
  ['a file with such a seed', () => ({ servers: servers.seed.url, nats: { nkey: at('slip.nk') } }), INVALID('nats.nkey')],
  ["a stranger's credentials file", () => ({ servers: servers.seed.url, nats: { credentials: at('stranger.creds') } }), FORBIDDEN],
  ['a credentials file that is none', () => ({ servers: servers.seed.url, nats: { credentials: at('nonsense.creds') } }), INVALID('nats.credentials')],
  ['one that was cut', () => ({ servers: servers.seed.url, nats: { credentials: at('cut.creds') } }), INVALID('nats.credentials')],
  ['one that is not there', () => ({ servers: servers.seed.url, nats: { credentials: at('none.creds') } }), INVALID('nats.credentials')],
] // prettier-ignore

function withLogin(url: string, login: string): string {
  return url.replace('//', `//${login}@`)
}

describe('credentials that are wrong', () => {
  it.each(cases)('%s: a typed error that says what to do, and no secret', async (_what, options, [code, advice]) => {
    const lines: string[] = []
    const logger = createLogger({ level: 'debug', format: 'json', stream: { write: (line) => lines.push(line) } })
    const errors = [
      await rejection(connect({ ...options(), logLevel: 'silent' })),
      await rejection(run({ ...options(), logger, actors: [actor], signals: false })),
    ]
    for (const error of errors) {
      expect(error).toMatchObject({ code })
      expect(error.message).toContain(advice)
      expectNoSecret(allOf(error))
    }
    expectNoSecret(lines.join('\n'))
  })

  it('are not told by commands either, whatever they are asked to tell', async () => {
    const flags = [`--servers=${servers.password.url}`, '--nats-user=me', `--nats-password=${wrong.password}`]
    for (const more of [[], ['--json'], ['--debug'], ['--debug', '--json']]) {
      const { code, stdout, stderr } = await troupeHere('status', ...flags, ...more)
      expect(code).toBe(1)
      expectNoSecret(stdout + stderr)
      const config = await troupeHere('config', ...flags, ...more)
      expect(config.stdout).toContain('(hidden)')
      expectNoSecret(config.stdout + config.stderr)
    }
    expectNoSecret((await troupeHere('config', `--servers=${withLogin(servers.token.url, wrong.token)}`)).stdout)
  })
})

describe('credentials that are right', () => {
  const ways: readonly (readonly [keyof typeof servers, ConfigInput['nats'] & object])[] = [
    ['password', { user: 'me', password: right.password }],
    ['token', { token: right.token }],
    ['seed', { nkey: right.seed }],
  ]
  it.each(ways)('%s: in nothing that a system logs, publishes, answers and shows', async (way, nats) => {
    const { url } = servers[way]
    const port = await freePort()
    const said: string[] = []
    const lines: string[] = []
    const logger = createLogger({ level: 'debug', format: 'json', stream: { write: (line) => lines.push(line) } })
    await using troupe = await connect({ servers: url, nats })
    troupe.connection.subscribe('>', {
      callback: (_error, msg) =>
        void said.push(`${msg.subject} ${JSON.stringify([...(msg.headers ?? [])])} ${msg.string()}`),
    })
    await using system = await run({
      servers: url,
      nats,
      actors: [actor],
      logger,
      signals: false,
      events: 'all',
      http: { port },
    })
    await troupe.ask(actor.open, {})
    await rejection(troupe.ask(actor.open, { fails: true }))
    for (const subject of [
      '$SRV.INFO.troupe-vault',
      '$SRV.STATS.troupe-vault',
      'troupe.control.all.status',
      'troupe.control.all.tree',
    ])
      said.push((await troupe.connection.request(subject)).string())
    for (const path of ['metrics', 'healthz', 'readyz'])
      said.push(await (await fetch(`http://127.0.0.1:${port}/${path}`)).text())
    await system.stop()
    await eventually('all of it was heard', () => said.some((one) => one.includes('.stopped')))
    said.push(inspect(system, { depth: 4 }), inspect(troupe, { depth: 4 }))
    expect(lines.length).toBeGreaterThan(0)
    expectNoSecret([...said, ...lines].join('\n'))
  })

  it('in no output of a process that starts, works and is stopped', async () => {
    const code = `import { defineActor } from 'troupe'\nexport const vault = defineActor('vault', { messages: { open: () => 'open' } })\n`
    const env = {
      TROUPE_NATS_SERVERS: withLogin(servers.password.url, `me:${right.password}`),
      TROUPE_LOG_LEVEL: 'debug',
    }
    await using project = await makeProject({ env, files: { 'vault.ts': code } })
    const started = project.background('start', 'vault.ts')
    await started.says('started')
    await servers.password.restart()
    const [asked, shown] = [
      await project.troupe('ask', 'vault.open', '--debug'),
      await project.troupe('config', '--json'),
    ]
    started.signal('SIGTERM')
    const { stdout, stderr } = await started.ended
    expect(asked.stdout).toContain('open')
    expect(stderr + stdout).toContain('started')
    expectNoSecret([stdout, stderr, asked.stdout, asked.stderr, shown.stdout, shown.stderr].join('\n'))
  })
})
