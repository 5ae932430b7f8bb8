/**
 * Actors whose workers are written in another language (PROTOCOL.md, "Being a worker"): declared, so that services in TypeScript send to them with
 * checked and typed payloads, that `troupe deploy` makes what they need in NATS and `troupe contract` describes them, and that a
 * system that is given one runs its timer: delayed messages, retries and schedules, which its workers then need not care for.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'

import { actorOf, defineActor, specOf, type Actor, type ActorOptions, type MessageOptions } from './actor.ts'
import { ActorError, ConfigError, describe } from './errors.ts'

/** What is known of a message here: all of its options but the handler. */
export type DeclaredMessage = Omit<MessageOptions<unknown, unknown>, 'handle' | 'payload'> & {
  /** Any Standard Schema: payloads are checked before they are sent. What the workers do is theirs. */
  payload?: StandardSchemaV1
}

/** Of a defined actor's options those that say something about its mailbox. */
export type DeclaredOptions = Pick<
  ActorOptions,
  'lanes' | 'limit' | 'lease' | 'mailbox' | 'description' | 'retry' | 'timeLimit' | 'schedules'
>

type Declared<M> = {
  readonly [K in keyof M]: M[K] extends { payload: infer Schema }
    ? { payload: Schema; handle(): unknown }
    : { handle(payload: unknown): unknown }
}

/** Declares an actor that runs elsewhere. Results are `unknown`. Throws `ConfigError` (`INVALID_NAME`, `INVALID_OPTION`). */
export function declareActor<const M extends Readonly<Record<string, DeclaredMessage>>>(
  name: string,
  options: DeclaredOptions & { messages: M },
): Actor<Declared<M>> {
  const { messages, ...rest } = options
  if (typeof messages !== 'object' || messages === null) {
    const text = `expected ${name}.messages to be an object with a message under each name, got: ${describe(messages)}`
    throw new ConfigError('INVALID_OPTION', text)
  }
  const handled = Object.entries(messages).map(([key, message]) => [key, withoutHandler(name, key, message)] as const)
  const spec = specOf(defineActor(name, { ...rest, messages: Object.fromEntries(handled) }))
  return actorOf({ ...spec, isElsewhere: true })
}

function withoutHandler(
  actor: string,
  message: string,
  options: DeclaredMessage,
): DeclaredMessage & { handle(): never } {
  if ('handle' in options) {
    const text = `expected ${actor}.${message} to have no handler, since its workers are elsewhere. With one it is defineActor(…).`
    throw new ConfigError('INVALID_OPTION', text, { data: { name: `${actor}.${message}.handle` } })
  }
  return {
    ...options,
    handle() {
      throw new ActorError(
        'NO_CODE',
        `expected the code of ${actor}.${message}, but it is declared here and runs elsewhere`,
      )
    },
  }
}
