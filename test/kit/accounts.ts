/** The ready accounts of config/nats on a real server, and how each of their users connects. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ConnectOptions } from 'troupe'

import type { Party } from '#runtime/permissions/roles.js'

import { startServer, type TestServer, type TestServerOptions } from './server.ts'

/** As accounts.conf says at its head. */
export const PARTIES: readonly Party[] = [
  party('ops', 'operator'),
  party('watch', 'viewer'),
  party('mailing', 'worker', ['mailer'], ['render']),
  party('rendering', 'worker', ['render']),
  party('shop', 'sender', ['mailer', 'render']),
  party('billing', 'sender', ['render']),
]

export const ACCOUNTS = readFileSync('config/nats/accounts.conf', 'utf8')

export interface Guarded extends AsyncDisposable {
  readonly server: TestServer
  /** What a program of this user gives `connect` or `run`. */
  open(user: string, own?: Omit<ConnectOptions, 'servers'>): Omit<ConnectOptions, 'servers'> & { servers: string }
  /** The same for commands. */
  flags(user: string): string[]
  /** What the server has refused so far, as its log says. */
  violations(): string[]
}

/** How a user of a configuration for tests logs in. */
export function loginOf(user: string): { user: string; password: string; inboxPrefix: string } {
  return { user, password: `secret${user}`, inboxPrefix: `_INBOX.${user}` }
}

/** The passwords that configurations of `parties` ask for: nats-server takes them from its environment. */
export function passwordsOf(parties: readonly { readonly user: string }[]): Record<string, string> {
  const users = ['sys', ...parties.map(({ user }) => user)]
  return Object.fromEntries(users.map((user) => [`NATS_PASSWORD_${user.toUpperCase()}`, `secret${user}`]))
}

export async function startGuarded(
  conf = ACCOUNTS,
  parties = PARTIES,
  options: TestServerOptions = {},
): Promise<Guarded> {
  Object.assign(process.env, passwordsOf(parties))
  const server = await startServer({ ...options, conf })
  const isManaging = (user: string): boolean => {
    const known = parties.find((one) => one.user === user)
    return known?.role === 'operator' || known?.manage === true
  }
  return {
    server,
    open: (user, { nats, ...own } = {}) => ({
      servers: server.url,
      logLevel: 'silent',
      sender: user,
      ...own,
      nats: {
        ...loginOf(user),
        manage: isManaging(user),
        requestTimeout: '2s',
        ...nats,
      },
    }),
    flags: (user) => [
      `--servers=${server.url}`,
      `--nats-user=${user}`,
      `--nats-password=secret${user}`,
      `--nats-inbox-prefix=_INBOX.${user}`,
      `--sender=${user}`,
      `--nats-manage=${String(isManaging(user))}`,
      '--nats-request-timeout=2s',
    ],
    violations: () =>
      readFileSync(join(server.dir, 'server.log'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('Violation')),
    [Symbol.asyncDispose]: () => server.stop(),
  }
}

export function party(user: string, role: Party['role'], actors: string[] = [], sends: string[] = []): Party {
  return { user, role, actors, sends }
}
