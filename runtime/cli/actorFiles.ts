/** Finds the actors that files export, and says clearly why there are none. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { importFile } from '../../config/index.ts'
import { isActor, specOf, type AnyActor } from '../actor.ts'
import { ActorError, ConfigError, didYouMean, toError } from '../errors.ts'
import { actorsIn, isChild, isSupervisor, type ChildInput } from '../supervision/definition.ts'

/**
 * The actors of all files, each once, in the order of the files; those of supervisors that the files export too. An actor that is
 * exported twice is one; two definitions under one name are a mistake.
 *
 * @throws ConfigError `NO_ACTOR_FILES`, `NO_SUCH_FILE`, `ACTOR_TWICE`
 * @throws ActorError `NO_ACTOR`, `IMPORT_FAILED`
 */
export async function loadActors(files: readonly string[]): Promise<AnyActor[]> {
  return [...new Set((await loadChildren(files)).flatMap(actorsIn))]
}

/** What `troupe start` puts below the root: the supervisors that the files export, and the actors that are in none of them. */
export async function loadChildren(files: readonly string[]): Promise<ChildInput[]> {
  if (files.length === 0) throw noFiles()
  const found = new Map<ChildInput, string>()
  for (const file of files) for (const child of await childrenIn(file)) if (!found.has(child)) found.set(child, file)
  const supervised = new Set<ChildInput>([...found.keys()].filter((child) => !isActor(child)).flatMap(actorsIn))
  const children = [...found].filter(([child]) => !supervised.has(child))
  checkOnce(children)
  return children.map(([child]) => child)
}

function checkOnce(children: readonly (readonly [ChildInput, string])[]): void {
  const files = new Map<string, string>()
  for (const [child, file] of children) {
    if (!isActor(child)) continue
    const { name } = specOf(child)
    const known = files.get(name)
    if (known !== undefined) throw twice(name, known, file)
    files.set(name, file)
  }
}

async function childrenIn(file: string): Promise<ChildInput[]> {
  await checkFile(file)
  const module = await importFile(file).catch((error: unknown) => {
    throw importFailed(file, toError(error))
  })
  const children = Object.values(module).filter((value) => isActor(value) || isSupervisor(value) || isChild(value))
  if (children.length === 0) throw noActor(file, Object.keys(module))
  return children
}

async function checkFile(file: string): Promise<void> {
  const found = await stat(resolve(file)).catch(() => undefined)
  if (found?.isFile()) return
  if (found?.isDirectory()) {
    throw new ConfigError(
      'NO_SUCH_FILE',
      `expected a file with actors, got a folder: ${shown(file)}. Name its files: ${join(shown(file), '*.ts')}`,
    )
  }
  const folder = dirname(resolve(file))
  const beside = await readdir(folder).catch(() => [])
  throw new ConfigError(
    'NO_SUCH_FILE',
    `expected a file with actors, got: "${shown(file)}", but there is no such file${didYouMean(basename(file), beside)}`,
  )
}

function noFiles(): ConfigError {
  const text =
    'expected files with actors, got none. Name them, like "troupe start actors/mailer.ts", or list them as "actors" in troupe.config.ts.'
  return new ConfigError('NO_ACTOR_FILES', text)
}

function noActor(file: string, names: readonly string[]): ActorError {
  const exports = names.length === 0 ? 'nothing' : names.join(', ')
  const text = `expected ${shown(file)} to export an actor, as in "export const mailer = defineActor('mailer', { … })", but it exports ${exports}`
  return new ActorError('NO_ACTOR', text, { data: { file, names } })
}

function twice(name: string, first: string, second: string): ConfigError {
  const where = first === second ? `twice in ${shown(first)}` : `in ${shown(first)} and in ${shown(second)}`
  return new ConfigError(
    'ACTOR_TWICE',
    `expected each actor once, but "${name}" is defined ${where}. Rename one, or leave its file out.`,
  )
}

const MOST_LINES = 5

/** The lines of the stack that lie in the user's code: what Node and its loaders do below helps nobody. */
function importFailed(file: string, error: Error): ActorError {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line) && isOfUser(line))
  const stack = lines.slice(0, MOST_LINES).map((line) => `\n  ${withoutFolder(line.trim())}`)
  const text = `${shown(file)} could not be loaded: ${error.name}: ${error.message}${stack.join('')}`
  return new ActorError('IMPORT_FAILED', text, { cause: error, data: { file } })
}

function withoutFolder(line: string): string {
  const folder = process.cwd()
  return line.replaceAll(`${pathToFileURL(folder).href}/`, '').replaceAll(`${folder}/`, '')
}

function isOfUser(line: string): boolean {
  return !/node:|node_modules|config\/importFile|runtime\/cli/.test(line)
}

function shown(file: string): string {
  return relative(process.cwd(), resolve(file)) || file
}
