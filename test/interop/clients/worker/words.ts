/** What a worker and a timer say to JetStream, each confirmed: PROTOCOL.md, "Ending a delivery" and "Storing a copy". */
import type { Headers } from '../../scenario/client.ts'
import { request, type Wire } from '../wire.ts'
import type { Delivery } from './message.ts'

const TRIES = 5
const ANSWER_MS = 1_000

/** An ack, a heartbeat, a term: repeated until the server has it. What must not hit another's delivery is said with `tries` 1. */
export async function say(wire: Wire, { ackSubject }: Delivery, word: string, tries = TRIES): Promise<boolean> {
  for (let left = tries; left > 0; left--) {
    const reply = await request(wire, ackSubject, word, {}, ANSWER_MS).catch(() => undefined)
    if (reply !== undefined) return reply.status === 0
  }
  return false
}

/** Gives it back, at once or later. */
export function giveBack(wire: Wire, delivery: Delivery, delayMs = 0): Promise<boolean> {
  return say(wire, delivery, delayMs === 0 ? '-NAK' : `-NAK ${JSON.stringify({ delay: delayMs * 1_000_000 })}`, 1)
}

export interface Stored {
  readonly seq: number
  readonly duplicate?: boolean
}

/** Stores a copy: the same again under the same key until the stream has said that it has it. Throws its refusal. */
export async function store(
  wire: Wire,
  stream: string,
  { subject, headers }: { subject: string; headers: Headers },
  body: Uint8Array,
): Promise<Stored> {
  for (let left = TRIES; ; left--) {
    const reply = await request(wire, subject, body, headers, ANSWER_MS).catch(() => undefined)
    const answer = reply === undefined || reply.body.length === 0 ? undefined : readAck(reply.body)
    if (answer?.error !== undefined)
      throw Object.assign(new Error(answer.error.description), { code: answer.error.err_code })
    if (answer?.stream === stream && answer.seq !== undefined)
      return { seq: answer.seq, duplicate: answer.duplicate ?? false }
    if (left === 1) throw new Error(`expected ${stream} to store ${subject}, got no answer`)
  }
}

interface Ack {
  readonly stream?: string
  readonly seq?: number
  readonly duplicate?: boolean
  readonly error?: { readonly err_code: number; readonly description: string }
}

function readAck(body: Uint8Array): Ack {
  return JSON.parse(Buffer.from(body).toString()) as Ack
}
