/** `troupe schedules history`. */
import type { ScheduledRun } from '../../schedules/view.ts'
import { command } from '../command.ts'
import { countOf, given, momentAgo } from '../input.ts'
import { note, say, sayJson } from '../print.ts'
import { revealFlag } from '../reveal.ts'
import { withTroupe } from '../session.ts'
import { runTable } from './shown.ts'
import { whichFlag } from './which.ts'

const MOST_SHOWN = 20

export const history = command({
  usage: 'ID',
  count: [1, 1],
  flags: {
    ...whichFlag,
    ...revealFlag,
    since: { value: 'TIME|DURATION', meaning: 'planned since that moment, or since so long ago' },
    until: { value: 'TIME|DURATION', meaning: 'planned before that moment' },
    limit: { value: 'NUMBER', meaning: `most to show; default ${MOST_SHOWN}` },
  },
  details: `Shows the account of each occurrence, newest first: sent with its outcome, skipped or missed with the reason. LATE is from the planned
time to sending, jitter included. They are kept as long as the setting retention.ledger says, also of a schedule that was removed.

Examples:
  troupe schedules history daily-digest --limit 100
  troupe schedules history daily-digest --since 7d --json`,
  async run({ args: [id = ''], flags: { actor, reveal, ...flags }, isJson, ...rest }) {
    const options = given({
      actor,
      from: momentAgo(flags.since, 'since'),
      until: momentAgo(flags.until, 'until'),
      limit: countOf(flags.limit, 'limit') ?? MOST_SHOWN,
    })
    const runs = await withTroupe(rest, async ({ schedules }, { secrets }) => {
      const found = await schedules.history(id, options)
      return reveal ? found : (secrets.hide(found) as ScheduledRun[])
    })
    if (isJson) return sayJson(runs)
    if (runs.length === 0) return note('nothing was planned in that time')
    say(runTable(runs))
    if (runs.length === options.limit) note(`these are the newest ${runs.length}; there may be more: --limit NUMBER`)
  },
})
