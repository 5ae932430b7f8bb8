/** The settings as a table in Markdown, for README.md and for `troupe config`. */
import { describe } from '../runtime/errors.ts'
import { envName } from './names.ts'
import { leaves, type Leaf } from './schema.ts'

/** A row for each setting: key, environment variable, default, unit, meaning. */
export function settingsTable(): string {
  const rows = leaves.map((leaf) => `| ${cells(leaf).join(' | ')} |`)
  return ['| key | environment | default | unit | meaning |', '|---|---|---|---|---|', ...rows].join('\n')
}

function cells({ key, setting }: Leaf): string[] {
  const unit = setting.unit ?? (setting.kind.suffix === 'Ms' ? 'duration' : '')
  const meaning = `${setting.meaning}${setting.secret ? ' (secret)' : ''}`
  return [`\`${key}\``, `\`${envName(key)}\``, defaultText({ key, setting }), unit, meaning]
}

function defaultText({ setting }: Leaf): string {
  if (setting.defaultText !== undefined) return setting.defaultText
  if (setting.default === undefined) return 'unset'
  return Array.isArray(setting.default) ? 'none' : `\`${describe(setting.default).replaceAll('"', '')}\``
}
