/** `troupe permissions`. */
import { loadConfig } from '../../config/index.ts'
import { checkName } from '../broker/subjects.ts'
import { ConfigError, describe, didYouMean } from '../errors.ts'
import { accountsOf } from '../permissions/accounts.ts'
import { accountsText, passwordOf, permissionsText } from '../permissions/natsConf.ts'
import { inboxOf, permissionsOf, ROLES, type Party, type Place, type Role } from '../permissions/roles.ts'
import { command } from './command.ts'
import { usage } from './parse.ts'
import { say, sayJson } from './print.ts'

export const permissions = command({
  usage: '[USER=ROLE[:ACTORS[:SENDS-TO]]…]',
  count: [0, Infinity],
  flags: {
    role: { value: 'ROLE', meaning: 'the role of one user: sender, worker, operator or viewer' },
    user: { value: 'USER', meaning: 'its login; default: the sender, else the role' },
    actors: { value: 'NAMES', meaning: 'actors that a sender may send to, or that a worker runs: mailer,render' },
    'sends-to': { value: 'NAMES', meaning: "other actors that a worker's handlers send to" },
    manage: { meaning: 'a worker may create and change streams (nats.manage): then it could read all of the account' },
  },
  details: `Prints what a user of NATS needs for a role, as nats-server's configuration has it, with the settings that go with it. Nothing
is asked of a server. With users as arguments it prints a whole block of accounts: workers and operators share the one with JetStream; senders and
viewers have each its own, from which nothing else can be reached. Passwords are taken from the environment of nats-server.

Examples:
  troupe permissions --role sender --actors mailer,render --sender shop
  troupe permissions --role worker --actors mailer --sends-to render --json
  troupe permissions ops=operator watch=viewer mailing=worker:mailer shop=sender:mailer,render > accounts.conf`,
  async run({ args, flags, settings, configFile, isJson }) {
    const { config } = await loadConfig({ flags: settings, file: configFile })
    const place = { namespace: config.namespace, domain: config.nats.domain }
    if (args.length > 0) {
      if (flags.role !== undefined) throw usage('expected --role for one user or USER=ROLE for several, got: both')
      const accounts = accountsOf(partiesOf(args), place)
      return isJson
        ? sayJson({ accounts })
        : say(`${HEAD}# troupe permissions ${args.join(' ')}\n${accountsText(accounts)}`.trimEnd())
    }
    const party = partyOf(flags, settings['sender'] === undefined ? undefined : config.sender)
    const rights = permissionsOf(party, place)
    return isJson
      ? sayJson({ ...party, permissions: rights, settings: settingsOf(party, place) })
      : say(blockText(party, place))
  },
})

const HEAD = '# Accounts of NATS for Troupe, made by:\n'

interface Flags {
  readonly role: string | undefined
  readonly user: string | undefined
  readonly actors: string | undefined
  readonly 'sends-to': string | undefined
  readonly manage: boolean
}

function partyOf(flags: Flags, sender: string | undefined): Party {
  const role = roleOf(flags.role ?? '')
  const user = checkUser(flags.user ?? sender ?? role)
  return checked({
    user,
    role,
    actors: namesOf(flags.actors),
    sends: namesOf(flags['sends-to']),
    sender,
    manage: flags.manage,
  })
}

/** Each a user; no two with one name. */
function partiesOf(args: readonly string[]): Party[] {
  const parties = args.map((arg): Party => {
    const [, user = '', role = '', actors, sends] = /^([^=]+)=([^:]+)(?::([^:]*))?(?::([^:]*))?$/.exec(arg) ?? []
    if (user === '') throw usage(`expected USER=ROLE, as in shop=sender:mailer,render, got: ${describe(arg)}`)
    return checked({ user: checkUser(user), role: roleOf(role), actors: namesOf(actors), sends: namesOf(sends) })
  })
  const names = parties.map(({ user }) => passwordOf(user))
  const twice = parties.find(({ user }, index) => names.indexOf(passwordOf(user)) !== index)
  if (twice !== undefined)
    throw usage(`expected each user once, got ${describe(twice.user)} twice (case and punctuation don't count)`)
  return parties
}

function roleOf(text: string): Role {
  const role = ROLES.find((known) => known === text)
  if (role !== undefined) return role
  throw usage(
    `expected a role, one of ${ROLES.join(', ')}, got: ${text === '' ? 'none' : describe(text)}${didYouMean(text, ROLES)}`,
  )
}

/** It stands in subjects and in the configuration of nats-server. */
function checkUser(user: string): string {
  if (/^[a-zA-Z][a-zA-Z0-9_-]{0,63}$/.test(user)) return user
  throw usage(
    `expected a user to be a letter and then letters, digits, "_" or "-", at most 64 in all, got: ${describe(user)}`,
  )
}

function namesOf(text: string | undefined): string[] {
  const names = (text ?? '').split(',').map((name) => name.trim())
  return names.filter((name) => name !== '').map((name) => checkName(name, 'actor'))
}

function checked(party: Party): Party {
  const { role, actors, sends, user } = party
  const needsActors = role === 'sender' || role === 'worker'
  if (needsActors && actors.length === 0)
    throw usage(
      `expected the actors of ${role} ${user}, as in --actors mailer,render or ${user}=${role}:mailer, got none`,
    )
  if (!needsActors && actors.length > 0)
    throw usage(`expected no actors for ${role} ${user}, since it is about all of them, got: ${actors.join(', ')}`)
  if (role !== 'worker' && sends.length > 0)
    throw usage(`expected other actors to send to for a worker only, got them for ${role} ${user}`)
  if (role !== 'worker' && party.manage === true)
    throw new ConfigError('USAGE', `expected --manage for a worker only, got it for ${role} ${user}`)
  return party
}

/** The settings of Troupe that go with a user, by their environment variables. */
function settingsOf({ user, role, sender, manage }: Party, { namespace, domain }: Place): Record<string, string> {
  return {
    TROUPE_NAMESPACE: namespace,
    TROUPE_NATS_USER: user,
    TROUPE_NATS_INBOX_PREFIX: inboxOf(user),
    ...(domain === undefined ? {} : { TROUPE_NATS_DOMAIN: domain }),
    ...(role === 'sender' || role === 'worker' ? { TROUPE_SENDER: sender ?? user } : {}),
    ...(role !== 'operator' ? { TROUPE_NATS_MANAGE: String(manage === true) } : {}),
  }
}

function blockText(party: Party, place: Place): string {
  const settings = Object.entries(settingsOf(party, place)).map(([name, value]) => `#   ${name}=${value}`)
  const { role, actors } = party
  const title = `# Troupe: ${role} ${party.user}${actors.length === 0 ? '' : ` of ${actors.join(', ')}`}. Its settings:`
  return [title, ...settings, permissionsText(permissionsOf(party, place))].join('\n')
}
