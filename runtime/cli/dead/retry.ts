/** `troupe dead retry`. */
import { command } from '../command.ts'
import { changeFlags, changeLetters } from './change.ts'

export const retry = command({
  usage: '[ID…]',
  count: [0, Infinity],
  flags: changeFlags,
  details: `They run again as attempt 1, and keep where they came from and their history.

Examples:
  troupe dead retry welcome-17
  troupe dead retry --actor mailer --since 1h --yes`,
  run: (invocation) =>
    changeLetters(
      { verb: 'retry', past: 'retried', apply: (troupe, { sequence }) => troupe.dead.retry({ sequence }) },
      invocation,
    ),
})
