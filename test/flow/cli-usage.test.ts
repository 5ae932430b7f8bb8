import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Project } from '../kit/cli.ts'

/** No test here comes as far as a connection: where it did, it would fail, since nobody listens there. */
const nowhere = 'nats://127.0.0.1:9'

const actor = (name: string): string =>
  `import { defineActor } from 'troupe'\nexport const ${name} = defineActor('${name}', { messages: { go: async () => {} } })`

const files = {
  'one.ts': actor('one'),
  'again.ts': actor('one'),
  'index.ts': `export * from './one.ts'\nexport { one as first } from './one.ts'`,
  'none.ts': 'export const helper = 1, other = 2',
  'broken.ts': `function deep(): never {\n  throw new RangeError('no database')\n}\ndeep()`,
  'syntax.ts': 'export const = 1',
  'folder/one.ts': actor('one'),
  // JSON, so that most of these processes need no compiler.
  'troupe.config.json': `{"namespace":"fromfile","system":"fromfile","sender":"fromfile","nats":{"servers":"${nowhere}","user":"me","password":"hush","connectTimeout":"100ms"}}`,
}

let project: Project

beforeAll(async () => {
  project = await makeProject({ files, env: { TROUPE_SYSTEM: 'fromenv', TROUPE_SENDER: 'fromenv' } })
})

afterAll(() => project?.[Symbol.asyncDispose]())

describe('a wrong command line', () => {
  it.each([
    ['a command', ['strat'], 'did you mean "start"?'],
    ['a command of a group', ['dead', 'lss'], 'did you mean "ls"?'],
    ['a group alone', ['dead'], 'one of ls, show, retry, purge'],
    ['a flag', ['send', 'a.b', '--dealy', '1s'], 'did you mean "--delay"?'],
    ["a setting's flag", ['config', '--nats-sever', 'x'], 'did you mean "--nats-servers"?'],
    ['a flag without its value', ['send', 'a.b', '--id', '--wait'], '--id=--wait'],
    ['a value for a switch', ['send', 'a.b', '--wait=yes'], 'expected --wait without a value'],
    ['no message', ['send'], 'ACTOR.MESSAGE'],
    ['half a message', ['send', 'mailer'], 'mailer.welcome'],
    ['a payload without quotes', ['send', 'a.b', '{to:', '1}'], 'in quotes'],
    ['a payload that is no JSON', ['send', 'a.b', '{to:1}'], 'to be JSON, got: "{to:1}"'],
    ['a payload file that is not there', ['send', 'a.b', '@none.json'], 'none.json'],
    ['a header without a value', ['send', 'a.b', '--header', 'x'], 'NAME=VALUE'],
    ['no letters to retry', ['dead', 'retry'], '--all'],
    ['a setting that is none', ['config', 'nats.server'], 'did you mean "nats.servers"?'],
    [
      'a setting out of its range',
      ['config', '--nats-replicas', '9'],
      'from 1 to 5, got: 9 (from the flag --nats-replicas)',
    ],
  ])('ends with 2 and says what is right: %s', async (_what, args, text) => {
    const { code, stdout, stderr } = await project.troupe(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(text)
    expect(stderr).toMatch(/^troupe: expected /)
    expect(stderr).not.toContain('    at ')
  })

  it('is told as JSON where JSON is asked for, and with its stack where that is', async () => {
    const json = await project.troupe('send', 'mailer', '--json')
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { name: 'ConfigError', code: 'USAGE' } })
    expect((await project.troupe('send', 'mailer', '--debug')).stderr).toContain('    at ')
  })
})

describe('troupe start', () => {
  it.each([
    ['no file at all', [], 2, 'expected files with actors, got none'],
    ['a file that is not there', ['oen.ts'], 2, 'did you mean "one.ts"?'],
    ['a folder', ['folder'], 2, 'folder/*.ts'],
    ['a file without an actor', ['none.ts'], 1, 'it exports helper, other'],
    ['a file that throws', ['broken.ts'], 1, 'broken.ts could not be loaded: RangeError: no database'],
    ['a file that is no TypeScript', ['syntax.ts'], 1, 'syntax.ts could not be loaded'],
    ['the same actor twice', ['one.ts', 'again.ts'], 2, '"one" is defined in one.ts and in again.ts'],
    ['a server that is not there', ['one.ts'], 4, '127.0.0.1:9'],
    ['an actor that is exported again', ['one.ts', 'index.ts'], 4, '127.0.0.1:9'],
  ])('ends with a readable error for %s', async (_what, args, code, text) => {
    const ended = await project.troupe('start', ...args)
    expect(ended.stderr).toContain(text)
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).not.toContain('node:')
  })

  it('shows where a file throws, in the words of its source', async () => {
    const { stderr } = await project.troupe('start', 'broken.ts')
    expect(stderr).toMatch(/at deep \(broken\.ts:2:\d+\)/)
  })
})

describe('troupe config', () => {
  it('takes flags over the environment, that over the file, that over the default, and hides secrets', async () => {
    const { stdout, code } = await project.troupe(
      'config',
      '--json',
      '--system=fromflag',
      '--no-nats-manage',
      '--server-install=false',
    )
    const { settings, file } = JSON.parse(stdout) as { settings: Record<string, unknown>; file: string }
    expect(code).toBe(0)
    expect(file).toBe(`${project.dir}/troupe.config.json`)
    expect(settings).toMatchObject({
      system: { value: 'fromflag', source: 'flag --system' },
      sender: { value: 'fromenv', source: 'env TROUPE_SENDER' },
      namespace: { value: 'fromfile', source: 'file troupe.config.json' },
      'mailbox.lease': { value: '30s', source: 'default' },
      'nats.password': { value: '(hidden)', source: 'file troupe.config.json' },
      'nats.manage': { value: false, source: 'flag --nats-manage' },
      'server.install': { value: false },
    })
    expect(stdout).not.toContain('hush')
  })

  it('prints a table of a group, and follows --config', async () => {
    await project.write('other.json', '{"nats":{"replicas":3}}')
    const { stdout } = await project.troupe('config', 'nats', '--config', 'other.json', '--servers', 'a.b:1,c.d:2')
    expect(stdout).toMatch(/^KEY +VALUE +SOURCE\nnats.servers +nats:\/\/a.b:1, nats:\/\/c.d:2 +flag --nats-servers\n/)
    expect(stdout).toMatch(/\nnats.replicas +3 +file other.json\n/)
    expect(stdout).not.toContain('mailbox')
  })
})

describe('troupe help', () => {
  it('explains every command and every setting, and names the exit codes', async () => {
    const [all, one, same, group, settings, version, none] = await Promise.all([
      project.troupe('help'),
      project.troupe('help', 'dead', 'retry'),
      project.troupe('dead', 'retry', '--help'),
      project.troupe('help', 'dead'),
      project.troupe('help', 'settings'),
      project.troupe('--version'),
      project.troupe(),
    ])
    expect(all.stdout).toContain('dead purge')
    expect(one.stdout).toContain('Exit codes:\n  0  it was done')
    expect(same).toEqual(one)
    expect(group.stdout).toContain('troupe dead purge [ID…]')
    expect(settings.stdout).toContain('--[no-]nats-manage')
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(none).toMatchObject({ code: 2, stdout: '', stderr: all.stdout })
  })
})
