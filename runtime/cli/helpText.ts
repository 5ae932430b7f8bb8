/** The texts of `troupe help`. */
import { envName, flagName } from '../../config/names.ts'
import { leaves } from '../../config/schema.ts'
import { describe } from '../errors.ts'
import type { Command, FlagSpec } from './command.ts'
import { commands } from './commands.ts'
import { exitCodesText } from './failure.ts'
import { commonFlags } from './parse.ts'
import { fields } from './print.ts'

export { troupeVersion as version } from '../application.ts'

/** All commands. */
export function overview(): string {
  return [
    'troupe COMMAND …',
    fields(
      [...commands].map(([name, { summary }]) => [name, summary] as const),
      '  ',
    ),
    '"troupe help COMMAND" or "troupe COMMAND --help" explains one; "troupe --version" prints the version.',
    commonText(),
    `Exit codes:\n  ${exitCodesText}`,
  ].join('\n\n')
}

/** One command. */
export function commandHelp(name: string, summary: string, { usage, flags, details }: Command): string {
  const own = Object.entries(flags)
  return [
    `troupe ${name} ${usage}`.trimEnd(),
    `${summary}.`,
    ...(own.length === 0 ? [] : [`Flags:\n${flagLines(own)}`]),
    ...(details === '' ? [] : [details]),
    commonText(),
    `Exit codes:\n  ${exitCodesText}`,
  ].join('\n\n')
}

/** Every setting as a flag. */
export function settingsHelp(): string {
  const pairs = leaves.map(({ key, setting }) => {
    const name = setting.kind.isSwitch ? `--[no-]${flagName(key)}` : `--${flagName(key)} …`
    return [name, `${setting.meaning} (default: ${defaultText(setting)}; ${envName(key)})`] as const
  })
  return `Every command takes a flag for every setting. Flags win over the environment, the environment over troupe.config.\n\n${fields(pairs, '  ')}`
}

function defaultText({ default: value, defaultText: text }: (typeof leaves)[number]['setting']): string {
  if (text !== undefined) return text
  const isNone = value === undefined || (Array.isArray(value) && value.length === 0)
  return isNone ? 'none' : describe(value).replaceAll('"', '')
}

function commonText(): string {
  return `Flags of every command:\n${flagLines(Object.entries(commonFlags))}\n  and one for every setting, such as --namespace: "troupe help settings" lists them.`
}

function flagLines(flags: readonly (readonly [string, FlagSpec])[]): string {
  const pairs = flags.map(([name, { value, short, isList, meaning }]) => {
    const letter = short === undefined ? '' : `, -${short}`
    return [
      `--${name}${letter}${value === undefined ? '' : ` ${value}`}`,
      isList ? `${meaning}; may be repeated` : meaning,
    ] as const
  })
  return fields(pairs, '  ')
}
