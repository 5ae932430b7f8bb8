/** `troupe tail`. */
import type { Broker } from '../broker/broker.ts'
import { command } from './command.ts'
import { countOf } from './input.ts'
import { usage } from './parse.ts'
import { note, printable, say } from './print.ts'
import { withTroupe } from './session.ts'

export const tail = command({
  usage: '[ACTOR[.MESSAGE]]',
  count: [0, 1],
  flags: {
    id: { value: 'ID', meaning: 'only of the message with this id' },
    event: { value: 'EVENT', isList: true, meaning: 'only this event: done, retry, dead, progress, …' },
    system: { value: 'SYSTEM', meaning: 'only events of this system' },
    limit: { value: 'NUMBER', meaning: 'end after so many' },
  },
  details: `Follows what happens, until Ctrl-C: retries, dead letters, progress, and what systems and workers do. What happens to healthy messages is
told only at level "all": "troupe events ACTOR all", or the setting "events". With --json each line is one event.

Examples:
  troupe tail
  troupe tail mailer --event dead --event retry
  troupe tail --json | jq .data.failure`,
  async run({ args: [what], flags, isJson, ...rest }) {
    const limit = countOf(flags.limit, 'limit') ?? Infinity
    await withTroupe(rest, async (_troupe, { broker }) => {
      const subject = subjectOf(broker, what, flags.system)
      const isMeant = ({ event, data }: Event): boolean =>
        (flags.id === undefined || data['id'] === flags.id) && (flags.event.length === 0 || flags.event.includes(event))
      await follow(broker, subject, limit, isMeant, (event) => say(isJson ? JSON.stringify(event) : lineOf(event)))
    })
  },
})

interface Event {
  /** `mailer.welcome`, or `system <name>`. */
  readonly of: string
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

function subjectOf({ subjects }: Broker, what: string | undefined, system: string | undefined): string {
  if (system !== undefined && what !== undefined) throw usage('expected an actor or --system, got both')
  if (system !== undefined) return subjects.systemEvent(system, '*')
  if (what === undefined) return subjects.wildcard('event')
  const [actor = '', message] = what.split('.', 2)
  return message === undefined ? subjects.wildcard('event', actor) : subjects.event(actor, message, '*')
}

/** Ends after `limit`, or by a signal. */
async function follow(
  { connection, subjects }: Broker,
  subject: string,
  limit: number,
  isMeant: (event: Event) => boolean,
  show: (event: Event) => void,
): Promise<void> {
  let left = limit
  // Waiting keeps the process: a subscription alone would, but not while the connection is away.
  const keep = setInterval(() => {}, 2 ** 30)
  await new Promise<void>((resolve) => {
    const subscription = connection.subscribe(subject, (msg) => {
      const event = eventOf(subjects.parseEvent(msg.subject), msg.data)
      if (event === undefined || left <= 0 || !isMeant(event)) return
      show(event)
      if (--left <= 0) end()
    })
    const end = (): void => {
      clearInterval(keep)
      subscription.unsubscribe()
      process.off('SIGINT', end).off('SIGTERM', end)
      resolve()
    }
    process.on('SIGINT', end).on('SIGTERM', end)
    // Said once the server knows: what happens from then on is shown.
    void connection.flush().then(() => note(`following ${subject}; Ctrl-C ends`))
  })
}

function eventOf(address: { of: string; event: string } | undefined, body: Uint8Array): Event | undefined {
  try {
    const data: unknown = JSON.parse(Buffer.from(body).toString())
    const isObject = typeof data === 'object' && data !== null
    return address && isObject ? { ...address, data: data as Record<string, unknown> } : undefined
  } catch {
    return undefined
  }
}

const TOLD = new Set(['at', 'actor', 'message', 'system'])

function lineOf({ of, event, data }: Event): string {
  const time = typeof data['at'] === 'string' ? data['at'].slice(11, 23) : ''
  const rest = Object.entries(data)
    .filter(([name]) => !TOLD.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return printable(`${time} ${event.padEnd(10)} ${of}  ${rest.join(' ')}`)
}
