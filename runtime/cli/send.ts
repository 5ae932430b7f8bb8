/** `troupe send`. */
import { command } from './command.ts'
import { given, messageOf, payloadOf } from './input.ts'
import { note, say, sayJson, showValue } from './print.ts'
import { sendFlags, sendOptions } from './sendOptions.ts'
import { withTroupe } from './session.ts'

/** With --wait the result is read from where it is kept. */
const KEEP_TO_WAIT = '10m'

export const send = command({
  usage: 'ACTOR.MESSAGE [JSON | @FILE | -]',
  count: [1, 2],
  flags: {
    ...sendFlags,
    wait: { meaning: `wait for the outcome and print it; keeps the result for ${KEEP_TO_WAIT}, or as --keep says` },
    timeout: { value: 'DURATION', meaning: 'longest wait with --wait; default 30s' },
  },
  details: `The payload is {} where none is given; "-" reads it from stdin.

Examples:
  troupe send mailer.welcome '{"to":"a@b.c"}'
  troupe send mailer.welcome @welcome.json --delay 1h --id welcome-17
  echo '{"to":"a@b.c"}' | troupe send mailer.welcome - --wait`,
  async run({ args, flags, isJson, ...rest }) {
    const ref = messageOf(args[0])
    const payload = await payloadOf(args[1])
    const options = sendOptions(flags)
    await withTroupe(rest, async (troupe) => {
      const sent = await troupe.send(ref, payload, flags.wait ? { keep: KEEP_TO_WAIT, ...options } : options)
      const { id, actor, message, duplicate } = sent
      const again = duplicate ? ' This id was sent before: the earlier message stands, this one was not stored.' : ''
      // Told before the wait: whoever breaks it off can find the message again.
      if (!isJson) (flags.wait ? note : say)(`sent ${actor}.${message} with the id ${id}.${again}`)
      if (!flags.wait) return isJson ? sayJson({ id, actor, message, duplicate }) : undefined
      const result = await sent.result(given({ timeout: flags.timeout }))
      return isJson ? sayJson({ id, actor, message, duplicate, result: result ?? null }) : say(showValue(result))
    })
  },
})
