/** `troupe config`. */
import { redact, type Config, type Loaded } from '../../config/index.ts'
import { nearestKey } from '../../config/names.ts'
import { leaves, type Leaf } from '../../config/schema.ts'
import { ConfigError, describe } from '../errors.ts'
import { formatDuration } from '../time/duration.ts'
import { command } from './command.ts'
import { note, say, sayJson, table } from './print.ts'
import { loadSettings } from './session.ts'

export const config = command({
  usage: '[KEY]',
  count: [0, 1],
  flags: {},
  details: `Flags win over the environment, the environment over troupe.config, that over the defaults. Secrets are hidden.

Examples:
  troupe config
  troupe config nats --json`,
  async run({ args: [key], isJson, ...invocation }) {
    const loaded = await loadSettings(invocation)
    const chosen = leaves.filter((leaf) => key === undefined || leaf.key === key || leaf.key.startsWith(`${key}.`))
    if (chosen.length === 0) throw unknownKey(key ?? '')
    return isJson ? sayJson(asData(chosen, loaded)) : tell(chosen, loaded)
  },
})

function asData(chosen: readonly Leaf[], { config: resolved, sources, file, root }: Loaded): Record<string, unknown> {
  const shown = redact(resolved)
  const settings = chosen.map((leaf) => [leaf.key, { value: valueOf(shown, leaf) ?? null, source: sources[leaf.key] }])
  return { file: file ?? null, root, settings: Object.fromEntries(settings) }
}

function tell(chosen: readonly Leaf[], { config: resolved, sources, file, root }: Loaded): void {
  const shown = redact(resolved)
  const rows = chosen.map((leaf) => [leaf.key, asText(valueOf(shown, leaf)), sources[leaf.key] ?? ''])
  say(table(['KEY', 'VALUE', 'SOURCE'], rows))
  note(`project ${root}, ${file === undefined ? 'without a configuration file' : `configured by ${file}`}`)
}

/** The value as a user would write it: durations as text. */
function valueOf(resolved: Config, { key, setting }: Leaf): unknown {
  let value: unknown = resolved
  for (const name of `${key}${setting.kind.suffix}`.split('.')) value = (value as Record<string, unknown>)[name]
  return setting.kind.suffix === 'Ms' && typeof value === 'number' ? formatDuration(value) : value
}

function asText(value: unknown): string {
  if (value === undefined) return '-'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ')
  return typeof value === 'string' ? value : describe(value)
}

function unknownKey(key: string): ConfigError {
  const near = nearestKey(key)
  const hint = near === undefined ? '' : `, did you mean "${near}"?`
  return new ConfigError('USAGE', `expected a setting or a group of them, got: ${describe(key)}${hint}`)
}
