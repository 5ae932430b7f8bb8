/** `troupe cancel`. */
import { JetStreamError } from '../broker/api.ts'
import { checkName } from '../broker/subjects.ts'
import { explainRefusal } from '../client/refusals.ts'
import type { Link } from '../troupe.ts'
import { command } from './command.ts'
import { given, headerOf } from './input.ts'
import { usage } from './parse.ts'
import { say, sayJson } from './print.ts'
import { withTroupe } from './session.ts'

export const cancel = command({
  usage: 'ACTOR [ID]',
  count: [1, 2],
  flags: {
    id: { value: 'ID', meaning: 'the same as the second argument' },
    message: { value: 'MESSAGE', meaning: 'all with this name' },
    root: { value: 'ID', meaning: 'all that this message began' },
    header: { value: 'NAME=VALUE', meaning: 'all with this header' },
    reason: { value: 'TEXT', meaning: 'told to whoever waits for the outcome' },
    timeout: { value: 'DURATION', meaning: 'longest wait for a worker that says what it met; default 2s' },
  },
  details: `All that is given must match. It holds for messages that were sent before it, and is kept: a worker that starts later honours it too.

Examples:
  troupe cancel mailer welcome-17
  troupe cancel mailer --message digest --reason "wrong day"`,
  async run({ args, flags, isJson, ...rest }) {
    const [actor = '', id = flags.id] = args
    checkName(actor, 'actor')
    const { message, root, reason } = flags
    const [name, value] = flags.header === undefined ? [] : headerOf(flags.header)
    const header = name === undefined || value === undefined ? undefined : { name, value }
    if ([id, message, root, header].every((part) => part === undefined)) {
      throw usage('expected what to cancel: an ID after the actor, --message, --root or --header, got none of them')
    }
    const { was } = await withTroupe(rest, async (troupe, link) => {
      const options = given({ timeout: flags.timeout })
      const answer = await troupe.cancel(actor, given({ id, message, root, header, reason }), options)
      if (answer.was === 'unknown') await checkActor(link, actor)
      return answer
    })
    return isJson ? sayJson({ actor, id, message, root, header, was }) : say(answers[was])
  },
})

const answers = {
  parked: 'cancelled: it was parked, waiting for its time',
  waiting: 'cancelled: it was waiting in the mailbox',
  running: 'cancelled: it was running, and its handler got the signal',
  unknown:
    'the cancel is stored, but no worker met such a message yet: none runs, it waits behind others, or it has ended',
}

/** A cancel for an actor that nobody has is stored all the same: only its sender can see the typo. */
async function checkActor({ broker }: Link, actor: string): Promise<void> {
  await broker.api.streamInfo(broker.subjects.mailboxStream(actor)).catch(async (error: unknown) => {
    if (error instanceof JetStreamError && error.refusal === 'gone')
      throw await explainRefusal(broker, { actor, message: '' }, error)
  })
}
