/** The options of a message as flags. */
import type { Lane } from '../broker/subjects.ts'
import type { SendOptions } from '../client/options.ts'
import type { FlagSpecs, FlagValues } from './command.ts'
import { countOf, durationOrDate, given, headersOf } from './input.ts'

/** Of everything that carries a payload. */
export const payloadFlags = {
  header: { value: 'NAME=VALUE', isList: true, meaning: 'passed to the handler' },
  format: { value: 'json|msgpack', meaning: 'how the payload is encoded; default json' },
} as const satisfies FlagSpecs

/** Of everything that is stored. */
export const sendFlags = {
  id: {
    value: 'ID',
    meaning: 'the id: the same one twice within the dedupe window is one message; default: a new one',
  },
  delay: { value: 'DURATION', meaning: 'send it that much later: 30s, 1h30m' },
  at: { value: 'TIME', meaning: 'send it at that moment: 2027-03-28T01:00:00Z' },
  replace: { meaning: 'with --delay or --at: take the place of a message with this id that still waits for its time' },
  lane: { value: 'high|normal|low', meaning: 'default normal' },
  expires: { value: 'DURATION|TIME', meaning: 'after that it is not run' },
  deadline: { value: 'DURATION|TIME', meaning: 'all attempts must be done by then' },
  keep: { value: 'DURATION', meaning: 'keep the result so long; default: not kept' },
  'retry-attempts': { value: 'NUMBER', meaning: 'most attempts of this one message' },
  ...payloadFlags,
} as const satisfies FlagSpecs

/** Throws `ConfigError` for what is no header, number or moment; the rest is checked when it is sent. */
export function sendOptions(flags: FlagValues<typeof sendFlags>): SendOptions {
  const { id, delay, at, replace, lane, expires, deadline, keep, header, format } = flags
  const attempts = countOf(flags['retry-attempts'], 'retry-attempts')
  return given({
    id,
    delay,
    at,
    replace: replace || undefined,
    lane: lane as Lane | undefined,
    expires: durationOrDate(expires, 'expires'),
    deadline: durationOrDate(deadline, 'deadline'),
    keep,
    retry: attempts === undefined ? undefined : { attempts },
    headers: headersOf(header),
    format: format as SendOptions['format'],
  })
}
