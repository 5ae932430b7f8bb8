/**
 * What a message leaves behind when it ends: its dead letter, its outcome. The same for one that was run (settle.ts) and for one that
 * never was (bury.ts); they differ in how they store, and in what they do when that fails.
 */
import type { Delivery } from '../broker/delivery.ts'
import { encodeHeaders, H, type HeaderEntry } from '../broker/headers.ts'
import type { Publisher } from '../broker/publisher.ts'
import type { Subjects } from '../broker/subjects.ts'
import type { Message } from '../message.ts'
import { letterOf, type deadHeaders } from './copies.ts'

/** Something to be stored. */
export interface Copy {
  readonly subject: string
  readonly payload: Uint8Array
  readonly headers: Uint8Array
  readonly stream: string
}

/** Stores a copy and returns its sequence; rejects where that can't be done. */
export type Store = (copy: Copy) => Promise<number>

/** What is stored, and where: the publisher for its limit and for what is only told. */
export interface Ends {
  readonly subjects: Subjects
  readonly publisher: Publisher
}

/** Stores a dead letter: whole, or its end first where it is too large for one message. */
export async function storeLetter(
  { subjects, publisher }: Ends,
  dead: { readonly message: Message; readonly delivery: Delivery },
  death: Parameters<typeof deadHeaders>[1],
  store: Store,
): Promise<void> {
  const { actor, name, id } = dead.message
  const { tail, body, headers } = letterOf(dead, death, publisher.maxPayload)
  const stream = subjects.deadStream
  const tailAt =
    tail &&
    (await store({ subject: subjects.deadTail(actor, name, id), payload: tail.body, headers: tail.headers, stream }))
  await store({ subject: subjects.dead(actor, name, id), payload: body, headers: headers(tailAt), stream })
}

/** Keeps an outcome where its sender asked for it, confirmed, then tells who waits, which nobody confirms. `origin` is the delivery's. */
export async function deliverOutcome(
  { subjects, publisher }: Ends,
  message: Message,
  origin: string,
  outcome: { readonly headers: readonly HeaderEntry[]; readonly body: Uint8Array },
  store: Store,
): Promise<void> {
  const { reply, keepMs } = message
  const { headers, body } = outcome
  if (keepMs !== undefined) {
    const subject = subjects.result(message.actor, message.sender, message.id)
    const ttl = `${Math.max(1, Math.ceil(keepMs / 1000))}s`
    const kept = encodeHeaders([...headers, [H.ttl, ttl], [H.dedupe, `result:${origin}`]])
    await store({ subject, payload: body, headers: kept, stream: subjects.resultStream })
  }
  if (reply !== undefined) publisher.tell(reply, body, encodeHeaders(headers))
}
