/** Puts the layers together: the highest that has a value wins, each value is read by its kind, and all that is wrong is told at once. */
import { ConfigError, describe } from '../runtime/errors.ts'
import { authProblems, takeLogin } from './auth.ts'
import { envLayer, objectLayer, type Given, type Layer, type Problem } from './layers.ts'
import { withoutLogin } from './redact.ts'
import { leaves, type Config, type ConfigInput, type Leaf } from './schema.ts'

export interface Resolution {
  readonly config: Config
  /** For each key path, where its value is from: `default`, `file …`, `env …`, `flag …`, `option`. */
  readonly sources: Readonly<Record<string, string>>
  readonly warnings: readonly string[]
}

export interface ResolveOptions {
  /** Folder that relative paths of `input` start from. Default: the working directory. */
  readonly cwd?: string
  /** Folder of the project, where `.troupe` is. Default: `cwd`. */
  readonly root?: string
  /** Environment variables to heed, below `input`. Default: none. */
  readonly env?: NodeJS.ProcessEnv
}

/**
 * The configuration of a program that gives its settings itself. Reads no file, and no environment unless it is handed over.
 *
 * @throws ConfigError `INVALID_CONFIG`, naming all that is wrong
 */
export function resolveConfig(input: ConfigInput = {}, options: ResolveOptions = {}): Config {
  const { cwd = process.cwd(), root = cwd, env = {} } = options
  return resolveLayers([objectLayer(input, 'option', cwd), envLayer(env, cwd)], root).config
}

/** What a user writes, checked by the editor. It is returned as it is, and read when Troupe starts. */
export function defineConfig(input: ConfigInput): ConfigInput {
  return input
}

/** Resolves layers, the highest first. `root` is the folder that default paths start from. */
export function resolveLayers(layers: readonly Layer[], root: string): Resolution {
  const problems: Problem[] = layers.flatMap((layer) => layer.problems)
  const values = new Map<string, unknown>()
  const sources: Record<string, string> = {}
  for (const leaf of leaves) {
    const given = firstGiven(layers, leaf.key) ?? defaultOf(leaf, root)
    sources[leaf.key] = given.source
    const value = given.value === undefined ? undefined : leaf.setting.kind.read(given.value, given.base)
    if (value === undefined && given.value !== undefined) problems.push(unreadable(leaf, given))
    values.set(leaf.key, value)
  }
  problems.push(...takeLogin(values, sources), ...authProblems(values, sources))
  if (problems.length > 0) throw invalid(problems)
  return { config: nest(values), sources, warnings: layers.flatMap((layer) => layer.warnings) }
}

function firstGiven(layers: readonly Layer[], key: string): Given | undefined {
  return layers.map((layer) => layer.given.get(key)).find((given) => given !== undefined)
}

function defaultOf({ setting }: Leaf, root: string): Given {
  const value: unknown = typeof setting.default === 'function' ? setting.default() : setting.default
  return { value, source: 'default', base: root }
}

function unreadable({ key, setting }: Leaf, { value, source }: Given): Problem {
  const got = setting.secret ? 'a secret, not shown' : describeOpenly(value)
  return { key, source, text: `expected ${key} to be ${setting.kind.expected}, got: ${got}` }
}

/** Logins are taken out before the text is cut: half a password is one too much. */
function describeOpenly(value: unknown): string {
  const text = withoutLogin(describe(value, Infinity))
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

function invalid(problems: readonly Problem[]): ConfigError {
  const lines = problems.map(({ text, source }) => `${text} (${place(source)})`)
  const message =
    lines.length === 1 ? lines[0] : [`the configuration has ${lines.length} problems:`, ...lines].join('\n  ')
  return new ConfigError('INVALID_CONFIG', message ?? '', { data: { problems } })
}

const places: Readonly<Record<string, string>> = {
  env: 'from the environment variable',
  flag: 'from the flag',
  file: 'in',
  option: 'in the options',
  default: 'by default',
}

function place(source: string): string {
  const [kind = '', ...rest] = source.split(' ')
  return [places[kind], ...rest].join(' ')
}

/** Key paths become nested objects. Keys are from the schema only, so no name of a user's can reach a prototype. */
function nest(values: ReadonlyMap<string, unknown>): Config {
  const config: Record<string, unknown> = {}
  for (const { key, setting } of leaves) {
    const names = key.split('.')
    const last = names.pop() ?? ''
    let group = config
    for (const name of names) group = (group[name] ??= {}) as Record<string, unknown>
    group[`${last}${setting.kind.suffix}`] = values.get(key)
  }
  return config as unknown as Config
}
