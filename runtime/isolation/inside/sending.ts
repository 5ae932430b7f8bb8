/**
 * What a handler in a thread or child process has for sending: the same calls with the same checks and errors; its system, which
 * has the connection, carries them out.
 */
import type { ActorSpec } from '../../actor.ts'
import { checkOptions, CONTENT_TYPES, type SendOptions } from '../../client/options.ts'
import type { Sender } from '../../client/sender.ts'
import type { Sent, SentPlace } from '../../client/sent.ts'
import type { Target } from '../../client/store.ts'
import type { ChildSender } from '../../context.ts'
import { ActorError, describe } from '../../errors.ts'
import { payloadError, validate } from '../../schema.ts'
import type { Duration } from '../../time/duration.ts'
import { asReceived, isPlain } from '../carry.ts'
import type { Call, TargetData } from '../protocol.ts'

/** Asks the system; rejects with its error. */
export type Caller = (call: Call) => Promise<unknown>

export class RemoteSender implements ChildSender {
  readonly #call: Caller
  readonly send: Sender['send']
  readonly ask: Sender['ask']

  constructor(call: Caller) {
    this.#call = call
    this.send = (ref, payload, options) => this.#send(ref, payload, options) as never
    this.ask = (ref, payload, options) => this.#ask(ref, payload, options) as never
  }

  async #send(ref: Target, payload: unknown, options: SendOptions = {}): Promise<Sent> {
    checkOptions(options)
    const to = await checked(ref, payload)
    const place = await this.#call({ ask: 'send', to, payload: readied(payload, options), options })
    return new RemoteSent(this.#call, place as SentPlace)
  }

  async #ask(
    ref: Target,
    payload: unknown,
    options: SendOptions & { readonly timeout?: Duration } = {},
  ): Promise<unknown> {
    const { timeout: _timeout, ...rest } = options
    checkOptions(rest)
    const to = await checked(ref, payload)
    return this.#call({ ask: 'ask', to, payload: readied(payload, rest), options })
  }
}

class RemoteSent implements Sent {
  readonly #call: Caller
  readonly #place: SentPlace

  constructor(call: Caller, place: SentPlace) {
    this.#call = call
    this.#place = place
  }

  get id(): string {
    return this.#place.id
  }
  get actor(): string {
    return this.#place.actor
  }
  get message(): string {
    return this.#place.message
  }
  get duplicate(): boolean {
    return this.#place.duplicate
  }

  result(options: { timeout?: Duration } = {}): Promise<unknown> {
    return this.#call({ ask: 'result', sent: this.#place, timeout: options.timeout })
  }

  cancel(options: { reason?: string; timeout?: Duration } = {}): ReturnType<Sent['cancel']> {
    return this.#call({ ask: 'cancel', sent: this.#place, options }) as ReturnType<Sent['cancel']>
  }
}

/** Schemas are functions: what a definition says of its payload is held here. */
async function checked(ref: Target | undefined, payload: unknown): Promise<TargetData> {
  if (typeof ref?.actor !== 'string' || typeof ref.message !== 'string') {
    const text = `expected a message of an actor, like mailer.welcome, got: ${describe(ref)}. Is its name spelled right?`
    throw new ActorError('UNKNOWN_MESSAGE', text)
  }
  const { actor, message, spec } = ref
  const schema = spec?.messages.get(message)?.schema
  const verdict = schema === undefined ? undefined : await validate(schema, payload)
  if (verdict?.issues !== undefined) throw payloadError(actor, message, verdict.issues)
  return { actor, message, spec: spec === undefined ? undefined : withoutCode(spec) }
}

/** What a mailbox is made from; code can't be carried, and has no part in that. */
function withoutCode(spec: ActorSpec): NonNullable<TargetData['spec']> {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => isPlain(value)))
}

function readied(payload: unknown, { format = 'json' }: SendOptions): unknown {
  return asReceived(CONTENT_TYPES[format], payload)
}
