/** `troupe broadcast`. */
import type { CallOptions } from '../client/sender.ts'
import { command } from './command.ts'
import { given, headersOf, messageOf, payloadOf } from './input.ts'
import { say, sayJson } from './print.ts'
import { payloadFlags } from './sendOptions.ts'
import { withTroupe } from './session.ts'

export const broadcast = command({
  usage: 'ACTOR.MESSAGE [JSON | @FILE | -]',
  count: [1, 2],
  flags: payloadFlags,
  details: `Workers that don't run now will never know, and nobody says how many heard it.

Example:
  troupe broadcast cache.clear`,
  async run({ args, flags, isJson, ...rest }) {
    const ref = messageOf(args[0])
    const payload = await payloadOf(args[1])
    const options: CallOptions = given({
      format: flags.format as CallOptions['format'],
      headers: headersOf(flags.header),
    })
    await withTroupe(rest, (troupe) => troupe.broadcast(ref, payload, options))
    const { actor, message } = ref
    return isJson ? sayJson({ actor, message }) : say(`told every live worker of ${actor}: ${message}`)
  },
})
