/** `troupe schedules backfill`. */
import type { Overlap } from '../../schedules/definition.ts'
import { occurrences } from '../../schedules/occurrences.ts'
import { systemClock } from '../../time/clock.ts'
import { command } from '../command.ts'
import { given, momentAgo } from '../input.ts'
import { usage } from '../parse.ts'
import { note, say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { timeTable, utc } from './shown.ts'
import { whichFlag } from './which.ts'

/** A dry run shows so many. */
const MOST_SHOWN = 1_000

export const backfill = command({
  usage: 'ID',
  count: [1, 1],
  flags: {
    ...whichFlag,
    from: { value: 'TIME|DURATION', meaning: 'what was planned from that moment on, or since so long ago' },
    until: { value: 'TIME|DURATION', meaning: 'and before that moment; default: now' },
    pace: { value: 'DURATION', meaning: 'at most one in so long; default 1s' },
    overlap: { value: 'POLICY', meaning: "while a run is not finished; default: the schedule's own policy" },
    'dry-run': { meaning: 'show what is planned in that range, and do nothing' },
  },
  details: `Sends what its rule plans in a past range, one by one. What was sent before is not sent again; what was missed or skipped is.

Examples:
  troupe schedules backfill daily-digest --from 2027-03-01T00:00:00Z --until 2027-03-08T00:00:00Z --dry-run
  troupe schedules backfill daily-digest --from 7d --pace 10s`,
  async run({ args: [id = ''], flags, isJson, ...rest }) {
    const from = momentAgo(flags.from, 'from')
    if (from === undefined) throw usage('expected --from to say where to begin, such as 7d, got none')
    const until = momentAgo(flags.until, 'until') ?? new Date(systemClock.now())
    const { actor, pace } = flags
    return withTroupe(rest, async ({ schedules }) => {
      if (flags['dry-run']) {
        const { definition } = await schedules.get(id, given({ actor }))
        const rule = definition?.rule
        const times = rule === undefined ? [] : first(occurrences(rule, from.getTime(), until.getTime()))
        return isJson ? sayJson({ dryRun: true, times: times.map(utc) }) : tell(times, rule?.timeZone ?? 'UTC')
      }
      const overlap = flags.overlap as Overlap | undefined
      const schedule = await schedules.backfill(id, { from, until, ...given({ actor, pace, overlap }) })
      return isJson ? sayJson(schedule) : say(`backfilling ${id} from ${utc(from)} until ${utc(until)}`)
    })
  },
})

function first(times: Iterable<number>): Date[] {
  const taken: Date[] = []
  for (const time of times) if (taken.push(new Date(time)) === MOST_SHOWN) break
  return taken
}

function tell(times: readonly Date[], zone: string): void {
  if (times.length === 0) return note('nothing is planned in that range')
  say(timeTable(times, zone))
  note(
    `these ${times.length === MOST_SHOWN ? 'and maybe more ' : ''}would be sent, but for those that were; nothing was done`,
  )
}
