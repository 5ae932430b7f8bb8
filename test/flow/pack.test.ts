import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { pasteFiles, readReadme } from '../kit/readme.ts'
import { eventually } from '../kit/system.ts'
import { Command, runCommand } from '../kit/terminal.ts'

/** npm tells its children how it was called: what they call must not take that for its own. */
const CLEAN = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /^npm_(?!config_(cache|registry))/i.test(name))
    .map((name) => [name, undefined]),
)
// A registry that is slow on a cold cache.
const INSTALL_MS = 240_000

describe('the package', { timeout: 120_000 }, () => {
  let dir = ''
  let listed: string[] = []

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troupe-pack-'))
    // Built already: a build here would change what other tests run from.
    const packed = await runCommand(
      `npm pack --silent --ignore-scripts --json --pack-destination "${dir}"`,
      process.cwd(),
      CLEAN,
    )
    const [{ filename, files }] = JSON.parse(packed.slice(packed.indexOf('['))) as [
      { filename: string; files: { path: string }[] },
    ]
    listed = files.map(({ path }) => path)
    await mkdir(join(dir, 'project'))
    await writeFile(join(dir, 'project/package.json'), '{ "name": "project", "private": true, "type": "module" }')
    await runCommand(
      `npm install --silent --no-audit --no-fund --prefer-offline "../${filename}"`,
      join(dir, 'project'),
      CLEAN,
    )
    await pasteFiles(await readReadme(), join(dir, 'project'), ['actors/mailer.ts', 'signup.ts'])
  }, INSTALL_MS)

  afterAll(async () => {
    await eventually(
      'the nats-server of the project has ended',
      () => !existsSync(join(dir, 'project/.troupe/server.json')),
    )
    await rm(dir, { recursive: true, force: true })
  })

  it('holds the built code, README, CHANGELOG, the protocol, ready configurations and LICENSE, and nothing else', async () => {
    const tops = new Set(listed.map((path) => path.split('/', 1)[0]))
    expect(tops).toEqual(new Set(['CHANGELOG.md', 'LICENSE', 'README.md', 'config', 'dist', 'package.json', 'runtime']))
    // npm takes a README along wherever it takes a file.
    expect(listed.filter((path) => path.startsWith('runtime/'))).toEqual(['runtime/PROTOCOL.md', 'runtime/README.md'])
    expect(new Set(listed.filter((path) => path.startsWith('config/')))).toEqual(
      new Set([
        'config/README.md',
        'config/grafana/troupe.json',
        'config/nats/accounts.conf',
        'config/nats/cluster.conf',
        'config/nats/server.conf',
      ]),
    )
    expect(listed.filter((path) => /\.test\.|tsbuildinfo|(?<!\.d)\.ts$/.test(path))).toEqual([])
    expect(listed).toEqual(
      expect.arrayContaining(['dist/runtime/index.js', 'dist/runtime/index.d.ts', 'dist/runtime/cli/main.js']),
    )
  })

  it('installs what it needs to run and no tools of its development', async () => {
    const installed = await readdir(join(dir, 'project/node_modules'))
    expect(installed).toEqual(expect.arrayContaining(['troupe', '@nats-io', 'msgpackr']))
    expect(installed.filter((name) => ['vitest', 'typescript', 'oxlint', 'nats', 'zod'].includes(name))).toEqual([])
  })

  it("runs README's first actor in an empty project, and takes messages for it", async () => {
    const project = join(dir, 'project')
    await using mailer = new Command('npx troupe start actors/mailer.ts', project, CLEAN)
    await mailer.says(/is running/)
    const sent = await runCommand(`npx troupe send mailer.welcome '{"to":"ada@example.com"}' --wait`, project, CLEAN)
    expect(sent).toContain('sentAt')
    await mailer.says(/welcome, ada@example\.com/)
    mailer.kill('SIGTERM')
    await mailer.exited
  })

  it(
    "has types by which README's code checks, with the project's own compiler",
    async () => {
      const project = join(dir, 'project')
      await runCommand(
        'npm install --silent --no-audit --no-fund --prefer-offline --save-dev typescript @types/node@20',
        project,
        CLEAN,
      )
      const libraries = { module: 'nodenext', target: 'es2023', lib: ['es2023', 'esnext.disposable'], types: ['node'] }
      const compilerOptions = { ...libraries, strict: true, noEmit: true, allowImportingTsExtensions: true }
      await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['actors', '*.ts'] }))
      await runCommand('npx tsc --noEmit', project, CLEAN)
      await writeFile(
        join(project, 'wrong.ts'),
        "import { connect } from 'troupe'\nimport { mailer } from './actors/mailer.ts'\nawait (await connect()).send(mailer.welcome, { to: 7 })\n",
      )
      await expect(runCommand('npx tsc --noEmit', project, CLEAN)).rejects.toThrow(
        /wrong\.ts.*Type 'number' is not assignable to type 'string'/s,
      )
    },
    INSTALL_MS,
  )
})
