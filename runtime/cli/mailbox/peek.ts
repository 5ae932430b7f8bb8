/** `troupe peek`. */
import type { WaitingMessage } from '../../view/mailboxes.ts'
import { command } from '../command.ts'
import { countOf } from '../input.ts'
import { note, say, sayJson } from '../print.ts'
import { revealFlag, shown } from '../reveal.ts'
import { withTroupe } from '../session.ts'
import { filterFlags, filterOf, messageData, messageTable } from './filter.ts'

const SHOWN = 20

export const peek = command({
  usage: 'ACTOR',
  count: [1, 1],
  flags: {
    ...filterFlags,
    ...revealFlag,
    limit: { value: 'NUMBER', meaning: `most messages to show; default ${SHOWN}` },
  },
  details: `Shows what is in a mailbox, lane by lane, oldest first, and touches nothing. POSITION is how many wait before it; "held" is
in the hands of a worker. What is parked for later is not in the mailbox: "troupe inspect ID" finds it.

Examples:
  troupe peek mailer
  troupe peek mailer --lane low --older-than 1h --json`,
  async run({ args: [actor = ''], flags: { reveal, ...flags }, isJson, ...rest }) {
    const limit = countOf(flags.limit, 'limit') ?? SHOWN
    const messages: WaitingMessage[] = []
    await withTroupe(rest, async (troupe, { secrets }) => {
      for await (const message of troupe.mailboxes.peek(actor, filterOf(flags), { limit: limit + 1 }))
        messages.push(shown(message, reveal ? undefined : secrets))
    })
    const first = messages.slice(0, limit)
    if (isJson) return sayJson(first.map(messageData))
    if (first.length > 0) say(messageTable(first))
    else note('no message matches')
    if (messages.length > limit) note(`there are more: --limit shows them`)
  },
})
