/** `troupe purge`. */
import { command } from '../command.ts'
import { withTroupe } from '../session.ts'
import { changeFlags, changeMessages } from './change.ts'

export const purge = command({
  usage: 'ACTOR',
  count: [1, 1],
  flags: changeFlags,
  details: `Deletes messages that wait in a mailbox. They leave no dead letter, and who waits for their outcome is not told: "troupe cancel" does both.
What runs is left alone.

Examples:
  troupe purge mailer --message digest --dry-run
  troupe purge mailer --all --yes`,
  async run({ args: [actor = ''], flags, isJson, ...rest }) {
    return withTroupe(rest, (troupe, { secrets }) =>
      changeMessages(
        {
          secrets,
          verb: 'delete',
          past: 'deleted',
          apply: (filter, options) => troupe.mailboxes.purge(actor, filter, options),
        },
        flags,
        isJson,
      ),
    )
  },
})
