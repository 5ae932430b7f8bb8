/** Reads a command line: flags of the command, of every command, and one for every setting. */
import { parseArgs } from 'node:util'

import { flagName, flagOptions, leafByFlag, nearestKey } from '../../config/names.ts'
import { ConfigError, describe, nearest } from '../errors.ts'
import type { FlagSpec, FlagSpecs, Invocation } from './command.ts'

/** Flags of every command. */
export const commonFlags = {
  json: { meaning: 'print JSON for programs' },
  config: { value: 'FILE', meaning: "the configuration file; default: the project's troupe.config.{ts,js,mjs,json}" },
  servers: { value: 'URL', setting: 'nats-servers', meaning: 'short for --nats-servers' },
  debug: { meaning: 'show the stack of errors, and log everything' },
  help: { short: 'h', meaning: 'explain the command' },
} as const satisfies FlagSpecs

export interface Parsed extends Invocation {
  readonly isDebug: boolean
  readonly isHelp: boolean
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

type Values = Record<string, string | boolean | string[] | undefined>

/** Throws `ConfigError` `USAGE` for a flag that is none, and for a value that is missing or too much. */
export function parseCommandLine(argv: readonly string[], specs: FlagSpecs): Parsed {
  const known = new Map<string, FlagSpec>([...Object.entries(commonFlags), ...Object.entries(specs)])
  const args: string[] = []
  const flags: Values = emptyValues(known)
  const settings: Record<string, string | boolean> = {}
  for (const token of tokensOf(argv, known)) {
    if (token.kind === 'positional') args.push(token.value)
    if (token.kind === 'option') takeFlag(token, known, flags, settings)
  }
  const { json, config, debug, help, servers: _, ...own } = flags
  if (debug === true) settings['log-level'] ??= 'debug'
  return {
    args,
    flags: own as Invocation['flags'],
    settings,
    configFile: config as string | undefined,
    isJson: json === true,
    isDebug: debug === true || settings['log-level'] === 'debug',
    isHelp: help === true,
  }
}

/** Not strict: what `parseArgs` says about a mistake would not name the nearest right flag. */
function tokensOf(argv: readonly string[], known: ReadonlyMap<string, FlagSpec>) {
  const own = [...known].map(([name, { value, short }]) => {
    const type = value === undefined ? ('boolean' as const) : ('string' as const)
    return [name, { type, ...(short === undefined ? {} : { short }) }] as const
  })
  const options = { ...flagOptions(), ...Object.fromEntries(own) }
  return parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true }).tokens
}

function emptyValues(known: ReadonlyMap<string, FlagSpec>): Values {
  return Object.fromEntries(
    [...known].map(([name, { value, isList }]) => [name, isList ? [] : value === undefined ? false : undefined]),
  )
}

function takeFlag(token: OptionToken, known: ReadonlyMap<string, FlagSpec>, flags: Values, settings: Values): void {
  const spec = known.get(token.name)
  const setting = spec?.setting ?? (spec === undefined ? token.name : undefined)
  if (setting?.startsWith('no-') && isSwitch(setting.slice(3))) settings[setting.slice(3)] = !switchValue(token)
  else if (setting !== undefined) settings[setting] = settingValue(token, setting, known)
  else if (spec?.isList) (flags[token.name] as string[]).push(valueOf(token))
  else flags[token.name] = spec?.value === undefined ? switchValue(token) : valueOf(token)
}

/** `--nats-manage`, `--nats-manage=false` and `--no-nats-manage`; all others have a value. */
function settingValue(token: OptionToken, name: string, known: ReadonlyMap<string, FlagSpec>): string | boolean {
  const leaf = leafByFlag.get(name)
  if (leaf === undefined) throw unknownFlag(token, known)
  return leaf.setting.kind.isSwitch ? (token.value ?? true) : valueOf(token)
}

function isSwitch(name: string): boolean {
  return leafByFlag.get(name)?.setting.kind.isSwitch === true
}

function switchValue({ rawName, value }: OptionToken): boolean {
  if (value === undefined) return true
  throw usage(`expected ${rawName} without a value, got: ${describe(value)}`)
}

/** A value that looks like a flag is one more often than not: `--id --json`. */
function valueOf({ rawName, value, inlineValue }: OptionToken): string {
  if (value === undefined) throw usage(`expected a value after ${rawName}, got none`)
  if (inlineValue || value === '-' || !value.startsWith('-')) return value
  throw usage(
    `expected a value after ${rawName}, got: ${describe(value)}. If it is the value, write ${rawName}=${value}`,
  )
}

function unknownFlag({ name, rawName }: OptionToken, known: ReadonlyMap<string, FlagSpec>): ConfigError {
  const key = nearestKey(name)
  const near = nearest(name, known.keys()) ?? nearest(name, leafByFlag.keys()) ?? (key && flagName(key))
  const hint = near === undefined ? '' : `, did you mean "--${near}"?`
  return usage(`expected a known flag, got: "${rawName}"${hint}`)
}

export function usage(text: string): ConfigError {
  return new ConfigError('USAGE', text)
}
