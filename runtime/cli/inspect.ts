/** `troupe inspect`. */
import { ActorError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { formatDuration } from '../time/duration.ts'
import { findMessage, type Found, type HistoryEntry, type Place } from '../view/find.ts'
import { command } from './command.ts'
import { printable, say, sayJson, table } from './print.ts'
import { withTroupe } from './session.ts'

export const inspect = command({
  usage: 'ID',
  count: [1, 1],
  flags: { actor: { value: 'ACTOR', meaning: 'look only here; needed where this user may not list streams' } },
  details: `Tells where a message is: waiting at which position, parked until when, running where and since when, done, dead. Its history is told where
events are captured (the setting "retention.events").

Examples:
  troupe inspect order-17
  troupe inspect order-17 --actor mailer --json`,
  async run({ args: [id = ''], flags, isJson, ...rest }) {
    const found = await withTroupe(rest, (_troupe, { broker }) => findMessage(broker, id, flags.actor))
    if (isJson) sayJson(found)
    else if (found.places.length + found.history.length > 0) say(textOf(found))
    if (found.places.length + found.history.length === 0) throw nowhere(id, flags.actor)
  },
})

function textOf({ id, places, history }: Found): string {
  const lines = places.map((place) =>
    printable(`${place.actor}.${place.message}  attempt ${place.attempt}  ${placeText(place)}`),
  )
  const where = lines.length === 0 ? ['it is nowhere any more: done without a kept result, or expired'] : lines
  const past = history.length === 0 ? [] : ['', table(['AT', 'EVENT', 'DETAIL'], history.map(historyRow))]
  return [printable(id), ...where.map((line) => `  ${line}`), ...past].join('\n')
}

const texts: { readonly [K in Place['kind']]: (place: Extract<Place, { kind: K }>) => string } = {
  waiting: ({ lane, position, since }) => `waits in lane ${lane}, ${position} before it, sent ${ago(since)}`,
  held: ({ lane, since }) => `is with a worker (lane ${lane}) that has not begun it; sent ${ago(since)}`,
  running: ({ system, worker, since, remainingMs }) =>
    `runs in ${system} (${worker}) since ${since.toISOString()}, ${formatDuration(Math.max(0, remainingMs))} until its time limit`,
  parked: ({ why, until, error }) =>
    `is parked (${why}) until ${until.toISOString()}${error === undefined ? '' : `, after ${error}`}`,
  dead: ({ reason, at, sequence, error }) =>
    `died ${at.toISOString()} (${reason}): ${error ?? ''}; "troupe dead show" with --sequence ${sequence}`,
  ended: ({ status, at, sender }) => `ended ${at.toISOString()}: ${status}, its outcome is kept for sender ${sender}`,
}

function placeText(place: Place): string {
  return (texts[place.kind] as (place: Place) => string)(place)
}

function ago(at: Date): string {
  return `${formatDuration(Math.max(0, systemClock.now() - at.getTime()))} ago`
}

function historyRow({ at, event, data }: HistoryEntry): string[] {
  const { id: _id, actor: _a, message: _m, at: _at, ...detail } = data
  return [at.toISOString(), event, JSON.stringify(detail)]
}

function nowhere(id: string, actor: string | undefined): ActorError {
  const where = actor === undefined ? 'any mailbox' : `actor ${actor}`
  const text = `expected a message with the id ${JSON.stringify(id)} in ${where}, but there is none: it was never sent, or it has ended (done, cancelled, expired) and nothing was to be kept of it.`
  return new ActorError('NO_SUCH_MESSAGE', text, { data: { id } })
}
