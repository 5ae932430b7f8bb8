/** `troupe schedules preview`. */
import type { Definition } from '../../schedules/definition.ts'
import { preview as previewRule, type PreviewOptions } from '../../schedules/occurrences.ts'
import { resolveRule, type ResolvedRule } from '../../schedules/rule.ts'
import { inWords } from '../../schedules/words.ts'
import { systemClock } from '../../time/clock.ts'
import { parseInstant } from '../../time/duration.ts'
import { command, type Invocation } from '../command.ts'
import { countOf, given } from '../input.ts'
import { usage } from '../parse.ts'
import { note, say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { ruleFlags, ruleOf } from './ruleFlags.ts'
import { timeTable, utc } from './shown.ts'
import { whichFlag } from './which.ts'

export const preview = command({
  usage: '[ID]',
  count: [0, 1],
  flags: {
    ...ruleFlags,
    ...whichFlag,
    from: { value: 'TIME', meaning: 'from that moment on; default: now' },
    until: { value: 'TIME', meaning: 'before that moment' },
    count: { value: 'NUMBER', meaning: 'most times; default 10' },
  },
  details: `Shows when a rule is due, on the clocks of its zone and in UTC. Nothing is stored, and no server is needed, unless an ID names a
schedule that is.

Examples:
  troupe schedules preview --cron '30 2 * * *' --time-zone Europe/Paris --from 2027-03-27T00:00:00Z --count 3
  troupe schedules preview --calendar '{"dayOfMonth":-1,"at":"23:30"}' --except 12-31 --json
  troupe schedules preview daily-digest --count 30`,
  async run({ args: [id], flags, isJson, ...rest }) {
    const said = ruleOf(flags)
    if (id !== undefined && Object.keys(said).length > 0) throw usage('expected an ID or a rule in flags, got both')
    const found: Bounded = id === undefined ? { rule: resolveRule(said, 'rule') } : await stored(id, flags, rest)
    const times = previewRule(found.rule, options(flags, found))
    if (isJson) return sayJson(times.map(utc))
    note(inWords(found.rule))
    if (times.length === 0) return note('it is not due in that time')
    say(timeTable(times, found.rule.timeZone))
  },
})

/** What the flags and the schedule itself say, whichever is narrower. */
function options(flags: PreviewFlags, { from, until }: Omit<Bounded, 'rule'>): PreviewOptions {
  const start = parseInstant(flags.from ?? systemClock.now(), '--from')
  const ends = [flags.until, until].flatMap((end) => (end === undefined ? [] : [parseInstant(end, '--until')]))
  const count = countOf(flags.count, 'count')
  return {
    from: Math.max(start, from === undefined ? start : Date.parse(from)),
    ...(ends.length === 0 ? {} : { until: Math.min(...ends) }),
    ...(count === undefined ? {} : { count }),
  }
}

interface PreviewFlags {
  readonly from: string | undefined
  readonly until: string | undefined
  readonly count: string | undefined
}

type Bounded = { readonly rule: ResolvedRule } & Partial<Pick<Definition, 'from' | 'until'>>

async function stored(
  id: string,
  { actor }: { readonly actor: string | undefined },
  rest: Pick<Invocation, 'settings' | 'configFile'>,
): Promise<Bounded> {
  const { definition, problem } = await withTroupe(rest, ({ schedules }) => schedules.get(id, given({ actor })))
  if (definition === undefined) throw usage(`expected a schedule that can be read, but ${id} is broken: ${problem}`)
  return definition
}
