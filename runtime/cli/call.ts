/** `troupe call`. */
import type { CallOptions } from '../client/sender.ts'
import { command } from './command.ts'
import { given, headersOf, messageOf, payloadOf } from './input.ts'
import { say, sayJson, showValue } from './print.ts'
import { payloadFlags } from './sendOptions.ts'
import { withTroupe } from './session.ts'

export const call = command({
  usage: 'ACTOR.MESSAGE [JSON | @FILE | -]',
  count: [1, 2],
  flags: { ...payloadFlags, timeout: { value: 'DURATION', meaning: 'longest wait for the answer; default 30s' } },
  details: `Request and reply to a worker that runs now: no retry, and nothing left behind where none runs.

Example:
  troupe call render.preview '{"id":17}'`,
  async run({ args, flags, isJson, ...rest }) {
    const ref = messageOf(args[0])
    const payload = await payloadOf(args[1])
    const format = flags.format as CallOptions['format']
    const options: CallOptions = given({ format, headers: headersOf(flags.header), timeout: flags.timeout })
    const result = await withTroupe(rest, (troupe) => troupe.call(ref, payload, options))
    return isJson ? sayJson(result) : say(showValue(result))
  },
})
