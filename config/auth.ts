/** How somebody logs in to NATS: one way at a time, whole, and never left in an address that is printed and logged. */
import type { Problem } from './layers.ts'
import { withoutLogin } from './redact.ts'

type Values = Map<string, unknown>
type Sources = Record<string, string>

/** Moves `nats://user:password@host` or `nats://token@host` to the settings of their own. */
export function takeLogin(values: Values, sources: Sources): Problem[] {
  const servers = (values.get('nats.servers') ?? []) as readonly string[]
  const logins = new Set(servers.map(loginOf))
  logins.delete('')
  if (logins.size === 0) return []
  values.set('nats.servers', servers.map(withoutLogin))
  const source = sources['nats.servers'] ?? 'default'
  const problem = (text: string): Problem[] => [{ key: 'nats.servers', source, text }]
  if (logins.size > 1) return problem('expected nats.servers to have one login for all addresses, got: different ones')
  const [user = '', password] = [...logins].flatMap((login) => login.split(':')).map(decodeURIComponent)
  const taken = password === undefined ? { 'nats.token': user } : { 'nats.user': user, 'nats.password': password }
  for (const [key, value] of Object.entries(taken)) {
    if (values.get(key) !== undefined) return problem(`expected a login in nats.servers or in ${key}, got: both`)
    values.set(key, value)
    sources[key] = source
  }
  return []
}

function loginOf(server: string): string {
  const { username, password } = new URL(server)
  return password === '' ? username : `${username}:${password}`
}

const ways: readonly (readonly [string, readonly string[]])[] = [
  ['nats.credentials', ['nats.credentials']],
  ['nats.nkey', ['nats.nkey', 'nats.jwt']],
  ['nats.user', ['nats.user', 'nats.password']],
  ['nats.token', ['nats.token']],
]

const needs: readonly (readonly [string, string])[] = [
  ['nats.password', 'nats.user'],
  ['nats.user', 'nats.password'],
  ['nats.jwt', 'nats.nkey'],
  ['nats.tls.cert', 'nats.tls.key'],
  ['nats.tls.key', 'nats.tls.cert'],
]

/** What does not go together: two ways to log in, and half of one. */
export function authProblems(values: Values, sources: Sources): Problem[] {
  const has = (key: string): boolean => values.get(key) !== undefined
  const used = ways.filter(([, keys]) => keys.some(has)).map(([name]) => name)
  const source = (key: string): string => sources[key] ?? 'default'
  const halves = needs.filter(([key, other]) => has(key) && !has(other))
  return [
    ...used
      .slice(1)
      .map((key): Problem => {
        return { key, source: source(key), text: `expected one way to log in to NATS, got: ${used.join(' and ')}` }
      })
      .slice(0, 1),
    ...halves.map(([key, other]): Problem => {
      return { key, source: source(key), text: `expected ${other} beside ${key}, got: ${key} alone` }
    }),
  ]
}
