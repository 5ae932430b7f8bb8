/** `troupe schedules put`. */
import type { Lane } from '../../broker/subjects.ts'
import type { CatchUp, Overlap, ScheduledSendOptions, ScheduleInput } from '../../schedules/definition.ts'
import type { PutResult } from '../../schedules/putting.ts'
import { command } from '../command.ts'
import type { FlagSpecs, FlagValues } from '../command.ts'
import { countOf, given, headersOf, messageOf, payloadOf } from '../input.ts'
import { usage } from '../parse.ts'
import { say, sayJson } from '../print.ts'
import { payloadFlags } from '../sendOptions.ts'
import { withTroupe } from '../session.ts'
import { ruleFlags, ruleOf } from './ruleFlags.ts'
import { utc } from './shown.ts'

const policyFlags = {
  overlap: {
    value: 'POLICY',
    meaning: 'while the run before is not finished: allow, skip (default), bufferOne, bufferAll, cancelOther',
  },
  'catch-up': { value: 'skip|latest|all', meaning: 'what came due while no timer ran; default latest' },
  'catch-up-within': { value: 'DURATION', meaning: 'what is later than that is missed' },
  'catch-up-pace': { value: 'DURATION', meaning: 'with --catch-up all: at most one in so long; default 1s' },
  jitter: {
    value: 'DURATION',
    meaning: 'each is sent up to so much later, by an amount that its planned time decides',
  },
  from: { value: 'TIME', meaning: 'nothing is planned before that moment' },
  until: { value: 'TIME', meaning: 'nothing is planned at or after that moment' },
  limit: { value: 'NUMBER', meaning: 'it ends after so many runs' },
  'pause-on-failure': { meaning: 'a run that becomes a dead letter pauses it' },
  'lost-after': { value: 'DURATION', meaning: 'a run without an outcome counts as running for so long; default 1d' },
  note: { value: 'TEXT', meaning: 'one line for people' },
} as const satisfies FlagSpecs

const messageFlags = {
  lane: { value: 'high|normal|low', meaning: 'of its messages; default normal' },
  expires: { value: 'DURATION', meaning: 'a message that has not begun so long after it was sent is not run' },
  deadline: { value: 'DURATION', meaning: 'so long after it was sent all attempts must be done' },
  keep: { value: 'DURATION', meaning: 'keep results so long; default: not kept' },
  'retry-attempts': { value: 'NUMBER', meaning: 'most attempts of each message' },
  ...payloadFlags,
} as const satisfies FlagSpecs

export const put = command({
  usage: 'ID ACTOR.MESSAGE [JSON | @FILE | -]',
  count: [2, 3],
  flags: {
    ...ruleFlags,
    ...policyFlags,
    ...messageFlags,
    generation: {
      value: 'NUMBER',
      meaning: 'change it only if it still has this one, as "show" says; 0: only if it is new',
    },
  },
  details: `Creates a schedule, or changes the one with this ID in place: all of it is as the flags say now. The payload is {} where none is
given; "-" reads it from stdin.

Examples:
  troupe schedules put daily-digest mailer.digest '{"list":"all"}' --cron '0 8 * * mon-fri' --time-zone Europe/Paris
  troupe schedules put cleanup store.sweep --every 15m --overlap skip --catch-up latest --catch-up-within 2h --jitter 30s
  troupe schedules put invoices billing.close --calendar '{"dayOfMonth":-1,"at":"23:30"}' --except 12-31`,
  async run({ args: [id = '', message, payload], flags, isJson, ...rest }) {
    messageOf(message)
    const input = await inputOf(message ?? '', payload, flags)
    const generation = generationOf(flags.generation)
    const result = await withTroupe(rest, ({ schedules }) => schedules.put(id, input, given({ generation })))
    return isJson ? sayJson(result) : say(putText(result))
  },
})

type PutFlags = FlagValues<typeof ruleFlags & typeof policyFlags & typeof messageFlags>

async function inputOf(send: string, payload: string | undefined, flags: PutFlags): Promise<ScheduleInput> {
  const { overlap, jitter, from, until, note } = flags
  const input = {
    ...ruleOf(flags),
    send,
    payload: await payloadOf(payload),
    options: optionsOf(flags),
    overlap: overlap as Overlap | undefined,
    catchUp: catchUpOf(flags),
    jitter,
    from,
    until,
    limit: countOf(flags.limit, 'limit'),
    pauseOnFailure: flags['pause-on-failure'] || undefined,
    lostAfter: flags['lost-after'],
    note,
  }
  // Checked by `put`: it says what is wrong and where.
  return given(input) as unknown as ScheduleInput
}

function catchUpOf(flags: PutFlags): CatchUp | undefined {
  const policy = flags['catch-up'] as CatchUp['policy'] | undefined
  const bounds = given({ within: flags['catch-up-within'], pace: flags['catch-up-pace'] })
  return policy === undefined && Object.keys(bounds).length === 0
    ? undefined
    : { policy: policy ?? 'latest', ...bounds }
}

function optionsOf({
  lane,
  expires,
  deadline,
  keep,
  header,
  format,
  ...flags
}: PutFlags): ScheduledSendOptions | undefined {
  const attempts = countOf(flags['retry-attempts'], 'retry-attempts')
  const options = given({
    lane: lane as Lane | undefined,
    expires,
    deadline,
    keep,
    retry: attempts === undefined ? undefined : { attempts },
    headers: header.length === 0 ? undefined : headersOf(header),
    format: format as ScheduledSendOptions['format'],
  })
  return Object.keys(options).length === 0 ? undefined : options
}

function generationOf(text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,15}$/.test(text)) return text === undefined ? undefined : Number(text)
  throw usage(`expected --generation to be a whole number from 0, got: ${JSON.stringify(text)}`)
}

const done = { created: 'created', changed: 'changed', same: 'nothing to change in' } as const

/** What was done, what it now is, and when it is next due. */
export function putText({ was, id, words, next, state }: PutResult): string {
  const due = next === undefined ? state : `next at ${utc(next)}`
  return `${done[was]} ${id}: ${words} (${due})`
}
