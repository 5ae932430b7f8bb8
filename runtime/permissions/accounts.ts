/**
 * Parties put into accounts of NATS, so that what permissions can't see can't be used either.
 *
 * NATS does not look at the subject that an answer is to go to. Who may publish anything in an account can have an ack or an
 * answer put into any stream of that account: a sender could give the mailbox of another actor a message that way, and a
 * viewer that may only look could do so too (tried). Across accounts the server rewrites that subject: the answer reaches
 * nothing but the asker's own account. So senders and viewers have accounts of their own, into which exactly what their
 * role needs is imported; workers and operators share the one that has JetStream.
 */
import { permissionsOf, type Party, type Permissions, type Place } from './roles.ts'

/** A subject that others may use, and who. */
export interface Export {
  readonly subject: string
  /** `service`: they publish, and are answered; `stream`: they subscribe. */
  readonly kind: 'service' | 'stream'
  readonly accounts: readonly string[]
}

export interface Import {
  readonly subject: string
  readonly kind: Export['kind']
  readonly from: string
}

export interface User {
  readonly party: Party
  readonly permissions: Permissions
}

export interface Account {
  readonly name: string
  /** Whether streams are in it. */
  readonly isHome: boolean
  readonly users: readonly User[]
  readonly exports: readonly Export[]
  readonly imports: readonly Import[]
}

/** The account with JetStream is named after the namespace, the others after their user. */
export function accountsOf(parties: readonly Party[], place: Place): Account[] {
  const home = accountName(place.namespace)
  const users = parties.map((party) => ({ party, permissions: permissionsOf(party, place) }))
  const guests = users.filter(({ party }) => isGuest(party)).map((user) => guestAccount(user, home))
  const exports = exported(guests)
  const hosts = users.filter(({ party }) => !isGuest(party))
  return [{ name: home, isHome: true, users: hosts, exports, imports: [] }, ...guests]
}

function isGuest({ role }: Party): boolean {
  return role === 'sender' || role === 'viewer'
}

/** What a user may publish it asks for as a service, what it may hear it imports; its inbox is its own. */
function guestAccount(user: User, home: string): Account {
  const { publish, subscribe } = user.permissions
  const imports = [
    ...publish.map((subject): Import => ({ subject, kind: 'service', from: home })),
    ...subscribe
      .filter((subject) => !subject.startsWith('_INBOX.'))
      .map((subject): Import => ({ subject, kind: 'stream', from: home })),
  ]
  return { name: accountName(user.party.user), isHome: false, users: [user], exports: [], imports }
}

/** Each subject once, with all who import it. */
function exported(guests: readonly Account[]): Export[] {
  const exports = new Map<string, Export>()
  for (const { name, imports } of guests) {
    for (const { kind, subject } of imports) {
      const known = exports.get(`${kind} ${subject}`)
      exports.set(`${kind} ${subject}`, { kind, subject, accounts: [...(known?.accounts ?? []), name] })
    }
  }
  return [...exports.values()]
}

function accountName(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9]/g, '_').toUpperCase()
}
