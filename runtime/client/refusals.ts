/** Why a mailbox did not take a message, for people: what JetStream said, in the words of who must act. */
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { ActorError, PayloadError, UnavailableError, didYouMean, toError } from '../errors.ts'

interface Target {
  readonly actor: string
  readonly message: string
}

/** The typed error for a failed send. Looks for similar actors where the mailbox does not exist; `mayLook`: whether this user could see if it does. */
export async function explainRefusal(broker: Broker, target: Target, thrown: unknown, mayLook = true): Promise<Error> {
  const cause = toError(thrown)
  if (!(cause instanceof JetStreamError)) return cause
  const data = { actor: target.actor, message: target.message }
  switch (cause.refusal) {
    case 'full': {
      const text = `expected room in the mailbox of ${target.actor}, but it is full (${cause.message}). Try again later, run more workers, or raise its bound.`
      return new UnavailableError('MAILBOX_FULL', text, { cause, data })
    }
    case 'gone':
      return new ActorError('UNKNOWN_ACTOR', await unknownActor(broker, target.actor), { cause, data })
    case 'away': {
      const advice = mayLook
        ? 'Is JetStream on, has the stream a leader, may this user use it?'
        : 'This user may not see whether it exists: was a worker of it ever started, or "troupe deploy" run by an operator?'
      const text = `expected the mailbox of ${target.actor} to answer, but nobody does (${cause.message}). ${advice}`
      return new UnavailableError('NO_MAILBOX', text, { cause, data })
    }
    case 'refused':
      return /size/i.test(cause.message)
        ? new PayloadError(
            'TOO_LARGE',
            `the mailbox of ${target.actor} refuses a message of that size: ${cause.message}`,
            { cause, data },
          )
        : cause
    case 'conflict':
    case 'differs':
      return cause
    default:
      return cause.refusal satisfies never
  }
}

async function unknownActor(broker: Broker, actor: string): Promise<string> {
  const prefix = broker.subjects.mailboxStream('')
  const { streams } = await broker.api
    .call<{ streams: string[] | null }>('STREAM.NAMES', { subject: broker.subjects.wildcard('later') })
    .catch(() => ({ streams: undefined }))
  const actors = (streams ?? [])
    .filter((stream) => stream.startsWith(prefix))
    .map((stream) => stream.slice(prefix.length))
  const none = streams === undefined ? 'this user may not list those that exist' : 'none exists yet'
  const known = actors.length === 0 ? none : `there are: ${actors.slice(0, 20).join(', ')}`
  const advice = 'Start a worker of it, or send with its definition, which creates it.'
  return `expected an actor that has a mailbox, got: ${JSON.stringify(actor)}${didYouMean(actor, actors)} (${known}). ${advice}`
}
