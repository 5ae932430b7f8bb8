/** Finds the project and its configuration file, and loads the configuration of a command: flags over environment over file over defaults. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'

import { ConfigError, describe, toError } from '../runtime/errors.ts'
import { importFile } from './importFile.ts'
import { envLayer, FILE_VARIABLE, flagLayer, objectLayer, type Layer } from './layers.ts'
import { resolveLayers, type Resolution } from './resolve.ts'
import type { ConfigInput } from './schema.ts'

/** Names of the configuration file, the first that exists wins. */
export const fileNames = ['ts', 'js', 'mjs', 'json'].map((ending) => `troupe.config.${ending}`)

export interface LoadOptions {
  /** Default: the working directory. */
  readonly cwd?: string
  /** The configuration file; default: `TROUPE_CONFIG`, else the project's. */
  readonly file?: string | undefined
  /** Default: the environment of this process. */
  readonly env?: NodeJS.ProcessEnv
  /** By name (`nats-servers`) or key path (`nats.servers`). */
  readonly flags?: Readonly<Record<string, unknown>>
  /** What a program sets itself: over everything else. */
  readonly overrides?: ConfigInput
}

export interface Loaded extends Resolution {
  /** The configuration file that was read. */
  readonly file: string | undefined
  /** The folder of the project: `.troupe` is there. */
  readonly root: string
}

/**
 * The configuration of this process.
 *
 * @throws ConfigError `INVALID_CONFIG` with all that is wrong, `UNREADABLE_CONFIG` when the file can't be read or run
 */
export async function loadConfig(options: LoadOptions = {}): Promise<Loaded> {
  const { cwd = process.cwd(), env = process.env, flags = {}, overrides = {} } = options
  const project = findProject(cwd)
  const named = options.file ?? (env[FILE_VARIABLE] || undefined)
  const file = named === undefined ? project.files[0] : resolve(cwd, named)
  const root = file === undefined ? project.root : dirname(file)
  const layers = [
    objectLayer(overrides, 'option', cwd),
    flagLayer(flags, cwd),
    envLayer(env, cwd),
    ...(file === undefined ? [] : [await fileLayer(file, cwd)]),
  ]
  const resolution = resolveLayers(layers, root)
  const ignored = named === undefined ? project.files.slice(1) : []
  const unread = ignored.map((path) => `${basename(path)} is not read, because ${basename(file ?? '')} is there too`)
  return { ...resolution, warnings: [...resolution.warnings, ...unread], file, root }
}

/**
 * The project around a folder: the nearest one up to and including that of a package.json which has a configuration file, else the
 * one of the package.json, else the folder itself. Nothing above a package is read: a configuration file is a program.
 */
export function findProject(cwd: string): { readonly root: string; readonly files: readonly string[] } {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const files = configFiles(folder)
    if (files.length > 0 && (folder === resolve(cwd) || packageAbove(cwd) !== undefined)) return { root: folder, files }
    if (existsSync(join(folder, 'package.json'))) return { root: folder, files: [] }
    if (dirname(folder) === folder) return { root: resolve(cwd), files: [] }
  }
}

function configFiles(folder: string): string[] {
  return fileNames.map((name) => join(folder, name)).filter((path) => existsSync(path))
}

function packageAbove(cwd: string): string | undefined {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder
    if (dirname(folder) === folder) return undefined
  }
}

async function fileLayer(file: string, cwd: string): Promise<Layer> {
  const shown = relative(cwd, file) || file
  const input = await readInput(file, shown)
  return objectLayer(input, `file ${shown}`, dirname(file))
}

async function readInput(file: string, shown: string): Promise<unknown> {
  if (!existsSync(file)) throw unreadable(shown, 'there is no such file')
  if (!['.ts', '.mts', '.js', '.mjs', '.cjs', '.json'].includes(extname(file))) {
    throw unreadable(shown, 'expected it to end in .ts, .js, .mjs or .json')
  }
  if (extname(file) === '.json') return parseJson(await readFile(file, 'utf8'), shown)
  try {
    return defaultExport(await importFile(file))
  } catch (error) {
    throw unreadable(shown, toError(error).message, error)
  }
}

/** The parser's own message quotes the text around the mistake, where a password may stand: only the place is told. */
function parseJson(text: string, shown: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const position = /position (\d+)/.exec(toError(error).message)?.[1]
    const line = position === undefined ? '' : ` (line ${text.slice(0, Number(position)).split('\n').length})`
    throw unreadable(shown, `expected JSON${line}`)
  }
}

function defaultExport(module: Record<string, unknown>): unknown {
  const value = module['default']
  if (typeof value === 'object' && value !== null) return value
  throw new Error(`expected \`export default defineConfig({ … })\`, got: ${describe(value)} as its default export`)
}

function unreadable(shown: string, why: string, cause?: unknown): ConfigError {
  return new ConfigError('UNREADABLE_CONFIG', `can't read the configuration file ${shown}: ${why}`, {
    data: { file: shown },
    cause,
  })
}
