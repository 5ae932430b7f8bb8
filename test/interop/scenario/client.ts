/**
 * What a service can do that has nothing but PROTOCOL.md and a NATS client: the verbs of the scenario (steps.ts). Every language supplies them in
 * its own way; clients/verbs.ts has them for those that are written in JavaScript.
 */

export type Headers = Readonly<Record<string, string>>

/** A message on its way to an actor. */
export interface Sending {
  /** The second token: `do`, `high`, `low` or `later`. */
  readonly kind: 'do' | 'high' | 'low' | 'later'
  readonly actor: string
  readonly message: string
  readonly headers?: Headers
  readonly body: Uint8Array
}

/** JetStream's ack of a message, or its refusal. */
export interface Ack {
  readonly stream?: string
  readonly seq?: number
  readonly duplicate?: boolean
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string }
}

/** How a message ended: told to `Troupe-Reply`, or kept. */
export interface Outcome {
  readonly status: string
  readonly headers: Headers
  readonly body: Uint8Array
}

/** The answer to a live call. */
export interface Answer {
  /** Absent where the call was answered by its handler. 503: nobody is there. */
  readonly error?: { readonly code: number; readonly description: string } | undefined
  readonly body: Uint8Array
}

/** A dead letter, its body whole. */
export interface Letter {
  readonly headers: Headers
  readonly body: Uint8Array
}

export interface Client {
  /** Publishes without waiting for anything: `nats pub`. */
  tell(sending: Sending): Promise<void>
  /** Stores a message. */
  send(sending: Sending): Promise<Ack>
  /** Stores a message and waits for its outcome. */
  ask(sending: Sending): Promise<Outcome>
  /** Waits until a result is kept, and reads it; null where none was within the time. */
  result(place: { actor: string; sender: string; id: string }, timeoutMs: number): Promise<Outcome | null>
  call(actor: string, message: string, body: Uint8Array, headers?: Headers): Promise<Answer>
  /** What the cancel met first; null where nobody said so within the time. */
  cancel(
    actor: string,
    request: Readonly<Record<string, unknown>>,
    timeoutMs: number,
  ): Promise<{ was: string; id: string } | null>
  /** The newest dead letter of an id. */
  letter(place: { actor: string; message: string; id: string }): Promise<Letter | null>
  /** Events of an actor's messages from now on. */
  events(actor: string, onEvent: (subject: string, body: Uint8Array) => void): Promise<void>
  close(): Promise<void>
}
