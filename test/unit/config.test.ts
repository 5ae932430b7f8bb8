import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { ConfigError } from 'troupe'
import { describe, expect, expectTypeOf, it } from 'vitest'

import {
  defineConfig,
  findProject,
  flagOptions,
  loadConfig,
  redact,
  resolveConfig,
  type Config,
} from '#config/index.js'
import { envName, flagName, leafByEnv, leafByFlag, nearestKey } from '#config/names.js'
import { leaves } from '#config/schema.js'
import { settingsTable } from '#config/table.js'

async function project(files: Record<string, string> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-config-'))
  for (const [name, text] of Object.entries({ 'package.json': '{}', ...files })) {
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), text)
  }
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

function problemsOf(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error('expected a ConfigError')
}

const fromEnv = (env: NodeJS.ProcessEnv): Config => resolveConfig({}, { env, cwd: '/project' })

describe('configuration', () => {
  it('has safe defaults, durations in milliseconds', () => {
    const config = resolveConfig()
    expect(config).toMatchObject({
      namespace: 'troupe',
      sender: 'any',
      nats: { servers: [], replicas: 1, manage: true },
    })
    expect(config.mailbox).toMatchObject({ leaseMs: 30_000, dedupeWindowMs: 120_000, timeLimitMs: 300_000 })
    expect(config.retention).toMatchObject({ deadMs: 30 * 86_400_000, resultsMs: undefined })
    expect(config.system).toMatch(/^[a-zA-Z0-9_-]{1,64}$/)
    expectTypeOf(config.mailbox.leaseMs).toEqualTypeOf<number>()
    expectTypeOf(config.nats.user).toEqualTypeOf<string | undefined>()
    expectTypeOf(config.nats.servers).toEqualTypeOf<readonly string[]>()
    expectTypeOf(config.events).toEqualTypeOf<'off' | 'failures' | 'all'>()
    // @ts-expect-error a word that is none of the three
    defineConfig({ events: 'some' })
    defineConfig({ mailbox: { lease: { seconds: 10 } }, nats: { servers: 'nats://a' } })
  })

  it('takes flags over environment over file over defaults, and says where each is from', async () => {
    const values = { sender: 'file', namespace: 'file', system: 'file', logLevel: 'debug' }
    await using p = await project({ 'troupe.config.json': JSON.stringify(values) })
    const env = { TROUPE_SENDER: 'env', TROUPE_NAMESPACE: 'env', TROUPE_SYSTEM: 'env' }
    const flags = { sender: 'flag', namespace: 'flag', 'nats.replicas': '3' }
    const { config, sources } = await loadConfig({ cwd: p.dir, env, flags, overrides: { sender: 'option' } })
    expect(config).toMatchObject({
      sender: 'option',
      namespace: 'flag',
      system: 'env',
      logLevel: 'debug',
      events: 'failures',
    })
    expect(config.nats.replicas).toBe(3)
    expect(sources).toMatchObject({
      sender: 'option',
      namespace: 'flag --namespace',
      system: 'env TROUPE_SYSTEM',
      logLevel: 'file troupe.config.json',
      events: 'default',
    })
  })

  it('has an environment variable and a flag for every setting, each of its own', () => {
    expect(leafByEnv.size).toBe(leaves.length)
    expect(leafByFlag.size).toBe(leaves.length)
    expect(Object.keys(flagOptions())).toHaveLength(leaves.length)
    expect(envName('nats.tls.serverName')).toBe('TROUPE_NATS_TLS_SERVER_NAME')
    expect(flagName('nats.tls.serverName')).toBe('nats-tls-server-name')
  })

  // A blank is neither a number, a word, a name nor a path; lists of nothing are empty, which is fine.
  const refusing = leaves
    .filter(({ setting }) => !Array.isArray(setting.default))
    .map(({ key }) => [envName(key), key] as const)
  it.each(refusing)('refuses a blank in %s by its name', (name, key) => {
    const text = problemsOf(() => fromEnv({ [name]: ' ' }))
    expect(text).toContain(`expected ${key} to be`)
    expect(text).toContain(`(from the environment variable ${name})`)
  })

  it.each([
    ['TROUPE_NATS_SERVERS', 'nats://a, b:4333', (c: Config) => c.nats.servers, ['nats://a', 'nats://b:4333']],
    ['TROUPE_NATS_MANAGE', 'off', (c: Config) => c.nats.manage, false],
    ['TROUPE_NATS_REPLICAS', '3', (c: Config) => c.nats.replicas, 3],
    ['TROUPE_NATS_REPLICAS', '', (c: Config) => c.nats.replicas, 1],
    ['TROUPE_MAILBOX_LEASE', '1m30s', (c: Config) => c.mailbox.leaseMs, 90_000],
    ['TROUPE_MAILBOX_LEASE', '15000', (c: Config) => c.mailbox.leaseMs, 15_000],
    ['TROUPE_SERVER_DIR', 'data', (c: Config) => c.server.dir, '/project/data'],
    ['TROUPE_ACTORS', 'a.ts,b.ts', (c: Config) => c.actors, ['/project/a.ts', '/project/b.ts']],
    ['TROUPE_NATS_CREDENTIALS', '~/me.creds', (c: Config) => c.nats.credentials, join(homedir(), 'me.creds')],
  ])('reads %s=%s', (name, text, pick, expected) => {
    expect(pick(fromEnv({ [name]: text }))).toEqual(expected)
  })

  it.each([
    [{ namespace: 'my-app' }, 'expected namespace to be a letter, then letters, digits and _, got: "my-app"'],
    [{ nats: { replicas: 7 } }, 'expected nats.replicas to be a whole number from 1 to 5, got: 7'],
    [{ nats: { replicas: '3' } }, 'expected nats.replicas to be a whole number from 1 to 5, got: "3"'],
    [{ nats: { servers: 'http://a' } }, 'got: "http://a"'],
    [
      { nats: 'nats://a' },
      'expected nats to be an object with settings (servers, name, credentials, nkey, …), got: a string',
    ],
    [{ events: null }, 'expected events to be one of "off", "failures", "all", got: null'],
    [{ mailbox: { lease: '10 minuts' } }, 'expected mailbox.lease to be a duration of 1s to 1h'],
    [{ mailbox: { leese: '10s' } }, 'got: "mailbox.leese", did you mean "mailbox.lease"?'],
    [{ mailbox: { leaseMs: 10 } }, 'did you mean "mailbox.lease"?'],
    [{ servers: 'nats://a' }, 'did you mean "nats.servers"?'],
    [JSON.parse('{"__proto__":{"x":1}}'), 'expected a known setting, got: "__proto__"'],
    [{ constructor: {} }, 'expected a known setting, got: "constructor"'],
    [{ nats: { user: 'a' } }, 'expected nats.password beside nats.user, got: nats.user alone'],
    [
      { nats: { token: 'a', credentials: 'b' } },
      'expected one way to log in to NATS, got: nats.credentials and nats.token',
    ],
    [{ nats: { tls: { cert: 'a' } } }, 'expected nats.tls.key beside nats.tls.cert'],
  ])('refuses %j', (input, text) => {
    expect(problemsOf(() => resolveConfig(input as never))).toContain(text)
  })

  it('tells all problems at once, each with its place', async () => {
    await using p = await project({ 'troupe.config.json': '{"evnts":"all","logLevel":"loud"}' })
    const options = { cwd: p.dir, env: { TROUPE_NATS_REPLICAS: '3x' }, flags: { 'nats-server': 'a' } }
    const error = await loadConfig(options).catch((thrown: unknown) => thrown as ConfigError)
    expect(error).toMatchObject({ code: 'INVALID_CONFIG' })
    expect((error as Error).message.split('\n  ')).toEqual([
      'the configuration has 4 problems:',
      'expected a known flag, got: "--nats-server", did you mean "--nats-servers"? (from the flag --nats-server)',
      'expected a known setting, got: "evnts", did you mean "events"? (in troupe.config.json)',
      'expected logLevel to be one of "debug", "info", "warn", "error", "silent", got: "loud" (in troupe.config.json)',
      'expected nats.replicas to be a whole number from 1 to 5, got: "3x" (from the environment variable TROUPE_NATS_REPLICAS)',
    ])
  })

  it('warns of unknown variables, and not of those of the tests', async () => {
    await using p = await project()
    const env = { TROUPE_NATS_SERVER: 'x', TROUPE_TEST_LONG: '1', OTHER: '1' }
    const { warnings } = await loadConfig({ cwd: p.dir, env })
    expect(warnings).toEqual(['unknown environment variable TROUPE_NATS_SERVER, did you mean TROUPE_NATS_SERVERS?'])
    const short = await loadConfig({ cwd: p.dir, env: { TROUPE_SERVERS: 'x' } })
    expect(short.warnings).toEqual(['unknown environment variable TROUPE_SERVERS, did you mean TROUPE_NATS_SERVERS?'])
  })

  it('never shows a secret', async () => {
    const secret = 'hunter2'
    const config = resolveConfig({ nats: { user: 'me', password: secret } })
    expect(JSON.stringify(redact(config))).not.toContain(secret)
    expect(redact(config).nats).toMatchObject({ user: 'me', password: '(hidden)', token: undefined })
    expect(config.nats.password).toBe(secret)
    for (const key of leaves.filter(({ setting }) => setting.secret).map((leaf) => leaf.key.replace('nats.', ''))) {
      expect(problemsOf(() => resolveConfig({ nats: { [key]: [secret] } }))).not.toContain(secret)
    }
    const inAddress = `nats://me:${secret}/${'x'.repeat(90)}@host:port`
    expect(problemsOf(() => resolveConfig({ nats: { servers: inAddress } }))).not.toContain(secret)
    await using p = await project({ 'troupe.config.json': `{"nats":{"password":"${secret}"` })
    const error = await loadConfig({ cwd: p.dir, env: {} }).catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({
      code: 'UNREADABLE_CONFIG',
      message: expect.stringContaining('expected JSON') as string,
    })
    expect((error as Error).message + String((error as Error).cause)).not.toContain(secret)
  })

  it('takes a login out of the address', () => {
    const withUser = resolveConfig({ nats: { servers: ['nats://me:a%40b@one', 'nats://two'] } })
    expect(withUser.nats).toMatchObject({ servers: ['nats://one', 'nats://two'], user: 'me', password: 'a@b' })
    expect(resolveConfig({ nats: { servers: 'nats://tok@one' } }).nats).toMatchObject({
      servers: ['nats://one'],
      token: 'tok',
    })
    expect(problemsOf(() => resolveConfig({ nats: { servers: 'nats://a:b@c', user: 'd', password: 'e' } }))).toContain(
      'got: both',
    )
  })

  it('finds the project from a folder below, and reads nothing above its package', async () => {
    await using p = await project({
      'troupe.config.json': '{}',
      'src/deep/x': '',
      'inner/package.json': '{}',
      'inner/a/x': '',
    })
    expect(findProject(join(p.dir, 'src/deep')).root).toBe(p.dir)
    expect(findProject(join(p.dir, 'inner/a'))).toEqual({ root: join(p.dir, 'inner'), files: [] })
    const { config } = await loadConfig({ cwd: join(p.dir, 'src/deep'), env: {} })
    expect(config.server.dir).toBe(join(p.dir, '.troupe'))
  })

  it('takes paths in a file from its folder, and reads the file that was named', async () => {
    await using p = await project({
      'conf/other.json': '{"nats":{"credentials":"a.creds"}}',
      'troupe.config.json': '{"sender":"x"}',
    })
    const env = { TROUPE_CONFIG: 'conf/other.json' }
    const { config, file } = await loadConfig({ cwd: p.dir, env })
    expect(config).toMatchObject({ sender: 'any', nats: { credentials: join(p.dir, 'conf', 'a.creds') } })
    expect(file).toBe(join(p.dir, 'conf', 'other.json'))
    await expect(loadConfig({ cwd: p.dir, file: 'none.json', env: {} })).rejects.toThrow(
      /none\.json: there is no such file/,
    )
  })

  it.each([
    ['troupe.config.js', 'export default { sender: "js" }', 'js'],
    ['troupe.config.mjs', 'export default { sender: "mjs" }', 'mjs'],
    ['troupe.config.json', '{ "sender": "json" }', 'json'],
  ])('reads %s', async (name, text, expected) => {
    await using p = await project({ [name]: text, 'package.json': '{"type":"module"}' })
    expect((await loadConfig({ cwd: p.dir, env: {} })).config.sender).toBe(expected)
  })

  it('says what a configuration file without a default export lacks, and which of two is not read', async () => {
    await using p = await project({ 'troupe.config.mjs': 'export const sender = 1' })
    await expect(loadConfig({ cwd: p.dir, env: {} })).rejects.toThrow(/troupe\.config\.mjs: expected `export default/)
    await using two = await project({ 'troupe.config.mjs': 'export default {}', 'troupe.config.json': '{' })
    expect((await loadConfig({ cwd: two.dir, env: {} })).warnings).toEqual([
      'troupe.config.json is not read, because troupe.config.mjs is there too',
    ])
  })

  it('finds the nearest right key', () => {
    expect(nearestKey('nats.sevrers')).toBe('nats.servers')
    expect(nearestKey('timelimit')).toBe('mailbox.timeLimit')
    expect(nearestKey('qqqqqq')).toBeUndefined()
  })

  it('is described in README.md as it is', async () => {
    expect(await readFile('config/README.md', 'utf8')).toContain(settingsTable())
  })
})
