/** `troupe dead purge`. */
import { command } from '../command.ts'
import { changeFlags, changeLetters } from './change.ts'

export const purge = command({
  usage: '[ID…]',
  count: [0, Infinity],
  flags: changeFlags,
  details: `What is purged is gone.

Example:
  troupe dead purge --actor mailer --older-than 7d --yes`,
  run: (invocation) =>
    changeLetters(
      { verb: 'purge', past: 'purged', apply: (troupe, { sequence }) => troupe.dead.purge({ sequence }) },
      invocation,
    ),
})
