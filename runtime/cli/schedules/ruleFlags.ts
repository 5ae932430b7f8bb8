/** When a schedule is due, as flags. */
import type { FlagSpecs, FlagValues } from '../command.ts'
import { jsonOf } from '../input.ts'
import { usage } from '../parse.ts'

export const ruleFlags = {
  cron: { value: 'CRON', meaning: "'0 8 * * mon-fri': 5 fields, or 6 with seconds in front; @daily and the like" },
  every: { value: 'DURATION', meaning: '15m: absolute time, whole seconds' },
  anchor: { value: 'TIME', meaning: 'with --every: the moment that the spans are counted from' },
  calendar: {
    value: 'JSON',
    meaning: 'days and times: \'{"dayOfMonth":-1,"at":"23:30"}\', \'{"weekday":"tue","nth":2}\'',
  },
  rrule: {
    value: 'TEXT',
    meaning: "a rule of RFC 5545: 'FREQ=MONTHLY;BYDAY=2TU;BYHOUR=9', with DTSTART in a line before it",
  },
  times: { value: 'TIME', isList: true, meaning: 'a fixed moment' },
  sun: { value: 'JSON', meaning: '\'{"event":"sunset","latitude":48.85,"longitude":2.35,"offset":"-30m"}\'' },
  after: {
    value: 'ACTOR.MESSAGE',
    meaning: 'each time that such a message is done; with another rule, only once one is',
  },
  'after-status': { value: 'done|dead|any', meaning: 'with --after: how it has to have ended; default done' },
  'time-zone': { value: 'ZONE', meaning: 'Europe/Paris; default UTC' },
  dst: { value: 'once|both', meaning: 'wall times that the clock shows twice: the first (default), or both' },
  only: {
    value: 'CONDITION',
    isList: true,
    meaning: 'only then: 09:00-17:00, mon-fri, dates (12-25, 2027-06-01/2027-08-31), or JSON; all have to hold',
  },
  except: { value: 'CONDITION', isList: true, meaning: 'not then, said in the same way; any is enough' },
} as const satisfies FlagSpecs

type RuleFlags = FlagValues<typeof ruleFlags>

/** The rule that flags describe, unchecked; only what was given. Throws `ConfigError` and `PayloadError` for what can't be read. */
export function ruleOf(flags: RuleFlags): Record<string, unknown> {
  const { cron, every, anchor, calendar, rrule, times, sun, dst, only, except } = flags
  const rule = {
    cron,
    every,
    anchor,
    calendar: calendar === undefined ? undefined : jsonOf(calendar, '--calendar'),
    // A shell makes it hard to write a line break.
    rrule: rrule?.replaceAll('\\n', '\n'),
    times: times.length === 0 ? undefined : times,
    sun: sun === undefined ? undefined : jsonOf(sun, '--sun'),
    after: afterOf(flags),
    timeZone: flags['time-zone'],
    dst,
    only: only.length === 0 ? undefined : { and: only.map((text) => conditionOf(text, '--only')) },
    except: except.length === 0 ? undefined : { or: except.map((text) => conditionOf(text, '--except')) },
  }
  return Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined))
}

function afterOf(flags: RuleFlags): object | undefined {
  const status = flags['after-status']
  if (flags.after === undefined) {
    if (status !== undefined) throw usage('expected --after beside --after-status, got none')
    return undefined
  }
  const { actor, message } = messageNames(flags.after, '--after')
  return { actor, message, ...(status === undefined ? {} : { status }) }
}

/** `orders.ship` */
function messageNames(text: string, flag: string): { readonly actor: string; readonly message: string } {
  const [actor = '', message = '', ...rest] = text.split('.')
  if (actor !== '' && message !== '' && rest.length === 0) return { actor, message }
  throw usage(`expected ${flag} to be ACTOR.MESSAGE such as orders.ship, got: ${JSON.stringify(text)}`)
}

/** JSON as it is; `09:00-17:00`, `mon-fri` and dates for what people need most. */
function conditionOf(text: string, flag: string): unknown {
  if (/^\s*[[{"]/.test(text)) return jsonOf(text, flag)
  if (text.includes(':')) return { between: text }
  return /^[a-z,\s-]+$/i.test(text) ? { weekdays: text } : { dates: text.split(',').map((date) => date.trim()) }
}
