/** The list of all commands. Each is loaded when it is used: `troupe help` needs no connection's code. */
import { ConfigError, didYouMean } from '../errors.ts'
import type { Command } from './command.ts'

interface Entry {
  readonly summary: string
  load(): Promise<Command>
}

/** In the order of `troupe help`. */
export const commands: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  ['start', entry('Runs the actors that files export, until Ctrl-C or SIGTERM', async () => (await import('./start.ts')).start)],
  ['dev', entry('Runs actors and restarts them when their files change', async () => (await import('./dev/dev.ts')).dev)],
  ['send', entry("Stores a message in its actor's mailbox", async () => (await import('./send.ts')).send)],
  ['ask', entry('Sends a message and prints its outcome', async () => (await import('./ask.ts')).ask)],
  ['call', entry('Asks a live worker; nothing is stored', async () => (await import('./call.ts')).call)],
  ['broadcast', entry('Tells every live worker of an actor; nothing is stored', async () => (await import('./broadcast.ts')).broadcast)],
  ['cancel', entry('Cancels messages: parked, waiting or running', async () => (await import('./cancel.ts')).cancel)],
  ['health', entry('Asks running systems whether they are well', async () => (await import('./control/health.ts')).health)],
  ['events', entry('Shows or changes which events of an actor are published', async () => (await import('./control/events.ts')).events)],
  ['pause', entry('Workers take nothing more of an actor, until it is resumed', async () => (await import('./pause.ts')).pause)],
  ['resume', entry('Ends the pause of an actor', async () => (await import('./pause.ts')).resume)],
  ['status', entry('Shows systems, and of each actor what waits, runs, is parked and dead', async () => (await import('./status.ts')).status)],
  ['top', entry('Shows what status shows, again and again, with keys', async () => (await import('./top/top.ts')).top)],
  ['tree', entry('Draws the supervision tree of every system', async () => (await import('./control/tree.ts')).tree)],
  ['scale', entry('Lets an actor run more or fewer messages at once, while it runs', async () => (await import('./control/scale.ts')).scale)],
  ['drain', entry('Stops systems: what runs may end, the rest goes back', async () => (await import('./control/drain.ts')).drain)],
  ['control restart', entry('Restarts an actor or supervisor where it runs', async () => (await import('./control/child.ts')).restart)],
  ['control stop', entry('Stops an actor or supervisor, until it is started', async () => (await import('./control/child.ts')).stop)],
  ['control start', entry('Starts an actor or supervisor that was stopped', async () => (await import('./control/child.ts')).start)],
  ['inspect', entry('Tells where a message is, and its history', async () => (await import('./inspect.ts')).inspect)],
  ['doctor', entry('Looks for what may be wrong, and says what to do', async () => (await import('./doctor.ts')).doctor)],
  ['peek', entry('Shows what waits in a mailbox', async () => (await import('./mailbox/peek.ts')).peek)],
  ['purge', entry('Deletes what waits in a mailbox', async () => (await import('./mailbox/purge.ts')).purge)],
  ['move', entry('Moves what waits to another lane, actor or message', async () => (await import('./mailbox/move.ts')).move)],
  ['tail', entry('Follows events as they happen', async () => (await import('./tail.ts')).tail)],
  ['dead ls', entry('Lists dead letters, oldest first', async () => (await import('./dead/ls.ts')).ls)],
  ['dead show', entry('Shows all of one dead letter', async () => (await import('./dead/show.ts')).show)],
  ['dead retry', entry('Puts dead letters back into their mailboxes', async () => (await import('./dead/retry.ts')).retry)],
  ['dead purge', entry('Deletes dead letters', async () => (await import('./dead/purge.ts')).purge)],
  ['schedules ls', entry('Lists schedules with their next and last times', async () => (await import('./schedules/ls.ts')).ls)],
  ['schedules show', entry('Shows all of one schedule, its next times and last runs', async () => (await import('./schedules/show.ts')).show)],
  ['schedules preview', entry('Shows when a rule is due; needs no server', async () => (await import('./schedules/preview.ts')).preview)],
  ['schedules put', entry('Creates a schedule, or changes it in place', async () => (await import('./schedules/put.ts')).put)],
  ['schedules pause', entry('Plans nothing more of a schedule, until it is resumed', async () => (await import('./schedules/pause.ts')).pause)],
  ['schedules resume', entry('Plans a schedule again from now on', async () => (await import('./schedules/pause.ts')).resume)],
  ['schedules trigger', entry('Runs a schedule now', async () => (await import('./schedules/trigger.ts')).trigger)],
  ['schedules backfill', entry('Sends what a schedule planned in a past range', async () => (await import('./schedules/backfill.ts')).backfill)],
  ['schedules rm', entry('Removes schedules', async () => (await import('./schedules/rm.ts')).rm)],
  ['schedules history', entry('Shows what became of the runs of a schedule', async () => (await import('./schedules/history.ts')).history)],
  ['schedules export', entry('Prints all schedules as JSON', async () => (await import('./schedules/transfer.ts')).exportAll)],
  ['schedules import', entry('Puts schedules that were exported', async () => (await import('./schedules/transfer.ts')).importAll)],
  ['server', entry("Runs the project's own nats-server alone, until Ctrl-C", async () => (await import('./server.ts')).server)],
  ['config', entry('Prints every setting with its value and where it is from', async () => (await import('./config.ts')).config)],
  ['permissions', entry('Prints what a user of NATS needs for a role', async () => (await import('./permissions.ts')).permissions)],
  ['deploy', entry('Creates and checks what actors need in NATS', async () => (await import('./deploy.ts')).deploy)],
  ['contract', entry('Writes what senders need to know of actors: JSON, TypeScript or AsyncAPI', async () => (await import('./contract.ts')).contract)],
  ['help', entry('Explains a command, or all settings', async () => (await import('./help.ts')).help)],
]) // prettier-ignore

function entry(summary: string, load: () => Promise<Command>): Entry {
  return { summary, load }
}

export interface Found {
  readonly name: string
  readonly summary: string
  readonly command: Command
  /** What follows the command's name. */
  readonly rest: readonly string[]
}

/** The command that words begin with. Throws `ConfigError` `USAGE`. */
export async function findCommand(words: readonly string[]): Promise<Found> {
  const [first = '', second = ''] = words
  const isGroup = groupOf(first).length > 0
  const name = isGroup ? `${first} ${second}` : first
  const found = commands.get(name)
  if (found === undefined) throw isGroup ? unknownMember(first, second) : unknownCommand(first)
  return { name, summary: found.summary, command: await found.load(), rest: words.slice(isGroup ? 2 : 1) }
}

/** The second words of a group of commands: `dead` has `ls`, `show`, … */
export function groupOf(first: string): string[] {
  return [...commands.keys()].filter((name) => name.startsWith(`${first} `)).map((name) => name.slice(first.length + 1))
}

function unknownCommand(word: string): ConfigError {
  const known = new Set([...commands.keys()].map((name) => name.split(' ', 1)[0] ?? name))
  const what = word.startsWith('-') ? 'a command before its flags' : 'a command'
  const text = `expected ${what}, got: ${JSON.stringify(word)}${didYouMean(word, known)} ("troupe help" lists them)`
  return new ConfigError('USAGE', text)
}

function unknownMember(group: string, word: string): ConfigError {
  const known = groupOf(group)
  const got = word === '' || word.startsWith('-') ? 'none' : `${JSON.stringify(word)}${didYouMean(word, known)}`
  return new ConfigError(
    'USAGE',
    `expected "troupe ${group}" to be followed by one of ${known.join(', ')}, got: ${got}`,
  )
}
