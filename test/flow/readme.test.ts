import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { connect as connectNats } from '@nats-io/transport-node'
import { describe, expect, it } from 'vitest'

import { pasteFiles, readReadme } from '../kit/readme.ts'
import { eventually } from '../kit/system.ts'
import { Command, runCommand } from '../kit/terminal.ts'

const ROOT = process.cwd()
const NODE = `"${process.execPath}"`
const CLI = `${NODE} "${join(ROOT, 'dist/runtime/cli/main.js')}"`
const readme = await readReadme()

/** A project with README's files, in which packages of this repository are found as if installed. */
async function startProject(): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-readme-'))
  await writeFile(join(dir, 'package.json'), '{ "name": "readme", "private": true, "type": "module" }')
  await mkdir(join(dir, 'node_modules/@types'), { recursive: true })
  await symlink(ROOT, join(dir, 'node_modules/troupe'), 'junction')
  for (const name of ['nats', '@types/node']) {
    await symlink(join(ROOT, 'node_modules', name), join(dir, 'node_modules', name), 'junction')
  }
  await pasteFiles(readme, dir)
  // An example of a configuration, that names its actors; these tests name them themselves.
  await rm(join(dir, 'troupe.config.ts'))
  const end = async (): Promise<void> => {
    await eventually('the nats-server of the project has ended', () => !existsSync(join(dir, '.troupe/server.json')))
    await rm(dir, { recursive: true, force: true })
  }
  return { dir, [Symbol.asyncDispose]: end }
}

/** `npx troupe …` by this repository's own command. */
const own = (line: string): string => line.replace(/^npx troupe/, CLI)
const commands = (beginning: string): string[] => readme.commands.filter((line) => line.startsWith(beginning))

async function startMailer(dir: string): Promise<{ mailer: Command; url: string }> {
  const [line = ''] = commands('npx troupe start')
  // The command in the shell's place: a signal has one receiver.
  const mailer = new Command(`exec ${own(line)}`, dir)
  const [, url = ''] = await mailer.says(/server\s+(?:nats:\/\/)?([\d.]+:\d+)/)
  return { mailer, url: `nats://${url}` }
}

describe('README', { timeout: 120_000 }, () => {
  it('has a first actor of ten lines', () => {
    const lines = readme.files.get('actors/mailer.ts')?.trim().split('\n').slice(1) ?? []
    expect(lines.filter((line) => line !== '').length).toBeLessThanOrEqual(10)
  })

  it('names scripts and files that there are', async () => {
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> }
    const named = [...readme.text.matchAll(/npm (?:run )?(start|test|check|bench|test:\w+)\b/g)].map(
      ([, name = '']) => name,
    )
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([])
    expect(named).toEqual(expect.arrayContaining(['start', 'test', 'bench', 'check']))
    const links = [...readme.text.matchAll(/\]\((?!http|#)([^)#]+)/g)].map(([, path = '']) => path)
    expect(links.filter((path) => !existsSync(path))).toEqual([])
    expect(links.length).toBeGreaterThan(4)
  })

  it('has code with right types', async () => {
    await using project = await startProject()
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const files = [...readme.files.keys()].filter((name) => name.endsWith('.ts') && name !== 'troupe.config.ts')
    const flags =
      '--noEmit --strict --module nodenext --target es2023 --lib es2023,esnext.disposable --allowImportingTsExtensions --skipLibCheck --types node'
    expect(await runCommand(`${NODE} "${tsc}" ${flags} ${files.join(' ')}`, project.dir)).toBe('')
  })

  it('has commands that do what they say, with the first actor', async () => {
    await using project = await startProject()
    const started = await startMailer(project.dir)
    await using mailer = started.mailer
    const outputs: string[] = []
    const lines = commands('npx troupe').filter((line) => !/troupe (start|server|config)\b/.test(line))
    for (const line of lines) outputs.push(await runCommand(own(line), project.dir))
    expect(outputs[1]).toContain('sentAt')
    expect(outputs[3]).toContain('parked')
    await mailer.says(/welcome, ada@example\.com/)
    mailer.kill('SIGINT')
    expect(await mailer.exited).toEqual([0, null])
  })

  it('has code that sends, from TypeScript and from the older client', async () => {
    await using project = await startProject()
    const { mailer: started, url } = await startMailer(project.dir)
    await using mailer = started
    const tsx = `${NODE} --import "${join(ROOT, 'node_modules/tsx/dist/esm/index.mjs')}"`
    expect(await runCommand(`${tsx} signup.ts`, project.dir)).toMatch(/^\S+Z \S+Z 2\n$/)
    expect(await runCommand(`${NODE} legacy.mjs`, project.dir, { NATS_URL: url })).toMatch(
      /^done \{ sentAt: '.*Z' \}\n$/,
    )
    await mailer.says(/welcome, alan@example\.com/)
  })

  it('has lines of the nats command that are right for any client', async () => {
    await using project = await startProject()
    const { mailer: started, url } = await startMailer(project.dir)
    await using mailer = started
    const nc = await connectNats({ servers: url })
    const [plain = '', withHeaders = ''] = commands('nats pub')
    const [, subject = '', payload = ''] = /^nats pub (\S+) '(.*)'$/.exec(plain) ?? []
    nc.publish(subject, payload)
    await mailer.says(/welcome, ada@example\.com/)
    const names = [...withHeaders.matchAll(/-H ([\w-]+):/g)].map(([, name]) => name)
    expect(names).toEqual(['Nats-Msg-Id', 'Troupe-Keep'])
    const [, call = '', body = ''] = /^nats req (\S+) '(.*)'$/.exec(commands('nats req')[0] ?? '') ?? []
    expect((await nc.request(call, body, { timeout: 5_000 })).json()).toHaveProperty('sentAt')
    await nc.close()
  })

  it('has tests that pass', async () => {
    await using project = await startProject()
    const tsx = `${NODE} --import "${join(ROOT, 'node_modules/tsx/dist/esm/index.mjs')}"`
    const output = await runCommand(`${tsx} mailer.check.ts`, project.dir)
    expect(output).toContain("sentAt: '2027-03-28T01:00:00.000Z'")
    expect(output).toContain('1 done')
  })
})
