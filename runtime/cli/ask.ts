/** `troupe ask`. */
import { command } from './command.ts'
import { given, messageOf, payloadOf } from './input.ts'
import { say, sayJson, showValue } from './print.ts'
import { sendFlags, sendOptions } from './sendOptions.ts'
import { withTroupe } from './session.ts'

export const ask = command({
  usage: 'ACTOR.MESSAGE [JSON | @FILE | -]',
  count: [1, 2],
  flags: { ...sendFlags, timeout: { value: 'DURATION', meaning: 'longest wait for the outcome; default 30s' } },
  details: `The message is stored like any other: if the wait ends, it is still handled. With --json its result is printed as JSON on one line.

Example:
  troupe ask render.pdf '{"id":17}' --timeout 2m`,
  async run({ args, flags, isJson, ...rest }) {
    const ref = messageOf(args[0])
    const payload = await payloadOf(args[1])
    const options = { ...sendOptions(flags), ...given({ timeout: flags.timeout }) }
    const result = await withTroupe(rest, (troupe) => troupe.ask(ref, payload, options))
    return isJson ? sayJson(result) : say(showValue(result))
  },
})
