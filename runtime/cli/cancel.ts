/** `troupe cancel`. */
import { JetStreamError } from '../broker/api.ts'
import type { CancelRequest } from '../broker/cancels.ts'
import { actorsWithMailbox } from '../broker/depth.ts'
import { checkName } from '../broker/subjects.ts'
import { explainRefusal } from '../client/refusals.ts'
import type { Link, Troupe } from '../troupe.ts'
import { command } from './command.ts'
import { given, headerOf } from './input.ts'
import { usage } from './parse.ts'
import { say, sayJson } from './print.ts'
import { withTroupe } from './session.ts'

export const cancel = command({
  usage: '[ACTOR] ID',
  count: [1, 2],
  flags: {
    id: { value: 'ID', meaning: 'the same as the ID argument, after an actor' },
    message: { value: 'MESSAGE', meaning: 'all with this name' },
    root: { value: 'ID', meaning: 'all that this message began' },
    header: { value: 'NAME=VALUE', meaning: 'all with this header' },
    reason: { value: 'TEXT', meaning: 'told to whoever waits for the outcome' },
    timeout: { value: 'DURATION', meaning: 'longest wait for a worker that says what it met; default 2s' },
  },
  details: `All that is given must match. It holds for messages that were sent before it, and is kept: a worker that starts later honours it too.

Without an actor the message of that id is cancelled in whichever mailbox it is; with filters instead of an id the actor must be named.

Examples:
  troupe cancel welcome-17
  troupe cancel mailer welcome-17
  troupe cancel mailer --message digest --reason "wrong day"`,
  async run({ args, flags, isJson, ...rest }) {
    const { message, root, reason } = flags
    const [name, value] = flags.header === undefined ? [] : headerOf(flags.header)
    const header = name === undefined || value === undefined ? undefined : { name, value }
    const [first = '', id = flags.id] = args
    const filter = given({ id, message, root, header })
    const options = given({ timeout: flags.timeout })
    if (Object.keys(filter).length > 0) checkName(first, 'actor')
    const met = await withTroupe(rest, async (troupe, link) => {
      if (Object.keys(filter).length > 0)
        return [await cancelIn(troupe, link, first, { ...filter, ...given({ reason }) }, options)]
      return cancelAnywhere(troupe, link, { id: first, ...given({ reason }) }, options)
    })
    const { actor, was } = met.find((one) => one.was !== 'unknown') ?? {
      actor: met.length === 1 ? met[0]?.actor : undefined,
      was: 'unknown' as const,
    }
    return isJson
      ? sayJson({ actor, id: id ?? (Object.keys(filter).length > 0 ? undefined : first), message, root, header, was })
      : say(answers[was])
  },
})

interface Met {
  readonly actor: string
  readonly was: keyof typeof answers
}

async function cancelIn(
  troupe: Troupe,
  link: Link,
  actor: string,
  request: CancelRequest,
  options: { timeout?: string },
): Promise<Met> {
  const { was } = await troupe.cancel(actor, request, options)
  if (was === 'unknown') await checkActor(link, actor)
  return { actor, was }
}

/** By id alone: in every mailbox of the namespace, since nobody knows which has it. */
async function cancelAnywhere(
  troupe: Troupe,
  link: Link,
  request: CancelRequest & { id: string },
  options: { timeout?: string },
): Promise<Met[]> {
  const actors = await actorsWithMailbox(link.broker)
  if (actors.includes(request.id)) {
    throw usage(
      `expected what to cancel of actor ${request.id}: an ID after it, --message, --root or --header, got none of them`,
    )
  }
  if (actors.length === 0) throw usage('expected an actor whose message is cancelled, but none has a mailbox yet')
  return Promise.all(actors.map((actor) => cancelIn(troupe, link, actor, request, options)))
}

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
