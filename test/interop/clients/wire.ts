/** The three words of NATS that everything else is made of, whichever library says them. */
import type { Headers } from '../scenario/client.ts'

export interface Received {
  readonly subject: string
  readonly reply: string | undefined
  /** From the first line of the headers: 404, 503, …; 0 where there is none. */
  readonly status: number
  readonly description: string
  readonly headers: Headers
  readonly body: Uint8Array
}

export interface Wire {
  publish(subject: string, headers: Headers, body: Uint8Array, reply?: string): void
  /** Returns what ends it. */
  subscribe(subject: string, onMessage: (message: Received) => void, queue?: string): () => void
  /** Resolves when the server has seen everything so far. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** The next message of a subject: `ask` is called when it is listened to. Undefined where none comes in time. */
export async function firstOf(
  wire: Wire,
  subject: string,
  timeoutMs: number,
  ask: () => void | Promise<unknown>,
): Promise<Received | undefined> {
  let end = (): void => {}
  const heard = new Promise<Received | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), timeoutMs)
    const unsubscribe = wire.subscribe(subject, (message) => {
      clearTimeout(timer)
      resolve(message)
    })
    end = () => {
      clearTimeout(timer)
      unsubscribe()
      resolve(undefined)
    }
  })
  try {
    await ask()
    return await heard
  } finally {
    end()
  }
}

let inboxes = 0

/** A subject for one answer. */
export function newInbox(): string {
  return `_INBOX.${process.pid}x${Math.random().toString(36).slice(2)}.${++inboxes}`
}

/** Request and reply. Throws where nobody answers in time. */
export async function request(
  wire: Wire,
  subject: string,
  body: Uint8Array | string = '',
  headers: Headers = {},
  timeoutMs = 5_000,
): Promise<Received> {
  const inbox = newInbox()
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const reply = await firstOf(wire, inbox, timeoutMs, () => wire.publish(subject, headers, bytes, inbox))
  if (reply === undefined) throw new Error(`expected an answer on ${subject} within ${timeoutMs} ms, got none`)
  return reply
}
