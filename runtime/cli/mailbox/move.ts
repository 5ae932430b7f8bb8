/** `troupe move`. */
import type { Lane } from '../../broker/subjects.ts'
import { command } from '../command.ts'
import { given } from '../input.ts'
import { withTroupe } from '../session.ts'
import { changeFlags, changeMessages } from './change.ts'

export const move = command({
  usage: 'ACTOR',
  count: [1, 1],
  flags: {
    ...changeFlags,
    'to-lane': { value: 'LANE', meaning: 'into this lane: high, normal, low' },
    'to-actor': { value: 'ACTOR', meaning: "into this actor's mailbox" },
    'to-message': { value: 'MESSAGE', meaning: 'as a message of this name' },
  },
  details: `Moves messages that wait in a mailbox: to another lane, another actor or another message. Ids, attempts and headers stay.
A message that a worker takes in the very moment in which it is moved stays where it is.

Examples:
  troupe move mailer --message digest --to-lane low
  troupe move mailer --all --to-actor mailer-v2 --yes`,
  async run({ args: [actor = ''], flags, isJson, ...rest }) {
    const to = given({
      lane: flags['to-lane'] as Lane | undefined,
      actor: flags['to-actor'],
      message: flags['to-message'],
    })
    return withTroupe(rest, (troupe, { secrets }) =>
      changeMessages(
        {
          secrets,
          verb: 'move',
          past: 'moved',
          apply: (filter, options) => troupe.mailboxes.move(actor, filter, to, options),
        },
        flags,
        isJson,
      ),
    )
  },
})
