/** What `purge` and `move` share: show which messages, have it confirmed, do it, and tell how many it was. */
import type { Secrets } from '../../secrets.ts'
import type { TouchOptions, WaitingFilter, WaitingMessage } from '../../view/mailboxes.ts'
import { agreed, agreeFlags, type Answer } from '../agree.ts'
import type { FlagSpecs, FlagValues } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { countOf, given } from '../input.ts'
import { usage } from '../parse.ts'
import { counted, note, say, sayJson } from '../print.ts'
import { shown } from '../reveal.ts'
import { filterFlags, filterOf, messageData, messageTable } from './filter.ts'

export const changeFlags = {
  ...filterFlags,
  all: { meaning: 'all that waits in the mailbox' },
  limit: { value: 'NUMBER', meaning: 'most messages to touch; default: all that match' },
  ...agreeFlags,
} as const satisfies FlagSpecs

export interface Change {
  readonly verb: string
  readonly past: string
  apply(filter: WaitingFilter, options: TouchOptions): Promise<WaitingMessage[]>
  readonly secrets: Secrets
}

/** Rows that are worth showing before a question. */
const SHOWN = 20

/** Returns the exit code. */
export async function changeMessages(
  change: Change,
  flags: FlagValues<typeof changeFlags>,
  isJson: boolean,
): Promise<number> {
  const filter = filterOf(flags)
  if (Object.keys(filter).length === 0 && !flags.all)
    throw usage(`expected which messages to ${change.verb}: a filter such as --message, or --all, got none of them`)
  const options = given({ limit: countOf(flags.limit, 'limit') })
  const found = hidden(change, await change.apply(filter, { ...options, dryRun: true }))
  if (!isJson && found.length > 0) say(messageTable(found.slice(0, SHOWN)))
  if (!isJson && found.length > SHOWN) note(`and ${found.length - SHOWN} more`)
  const question = `${change.verb} ${counted(found.length, 'message')}`
  const answer = found.length === 0 ? 'no' : await agreed(question, flags, isJson)
  const touched = answer === 'yes' ? hidden(change, await change.apply(filter, options)) : []
  tell(change, found, touched, answer, isJson)
  return answer === 'unasked' ? exitCodes.usage : exitCodes.done
}

function hidden({ secrets }: Change, messages: readonly WaitingMessage[]): WaitingMessage[] {
  return messages.map((message) => shown(message, secrets))
}

function tell(
  { verb, past }: Change,
  found: readonly WaitingMessage[],
  touched: readonly WaitingMessage[],
  answer: Answer,
  isJson: boolean,
): void {
  const isDone = answer === 'yes'
  if (isJson)
    return sayJson({ dryRun: !isDone, [past]: touched.length, messages: (isDone ? touched : found).map(messageData) })
  if (found.length === 0) return note('no waiting message matches')
  if (isDone) return say(`${past} ${counted(touched.length, 'message')}`)
  const advice = answer === 'unasked' ? '. Add --yes to do it.' : ''
  note(`nothing was done: this would ${verb} ${counted(found.length, 'message')}${advice}`)
}
