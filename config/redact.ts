/** Secrets: what may be shown of a configuration. */
import { leaves, type Config } from './schema.ts'

const HIDDEN = '(hidden)'

/** A copy to print or log: every secret that is set reads `(hidden)`, and addresses are without user and password. */
export function redact(config: Config): Config {
  const copy = structuredClone(config) as unknown as Record<string, unknown>
  for (const { key } of leaves.filter(({ setting }) => setting.secret)) hide(copy, key.split('.'))
  const nats = copy['nats'] as { servers: string[] }
  nats.servers = nats.servers.map(withoutLogin)
  return copy as unknown as Config
}

function hide(group: Record<string, unknown>, [name = '', ...rest]: readonly string[]): void {
  if (rest.length > 0) hide(group[name] as Record<string, unknown>, rest)
  else if (group[name] !== undefined) group[name] = HIDDEN
}

/** Text with what stands between `//` and `@` of an address taken out. */
export function withoutLogin(text: string): string {
  return text.replaceAll(/\/\/[^\s",]*@/g, '//')
}
