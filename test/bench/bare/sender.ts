import type { NatsConnection, PublishOptions } from '@nats-io/nats-core'
import { headers } from '@nats-io/nats-core'

import { nowMs } from '../clock.ts'
import { payload } from '../payload.ts'
import { pacing, pumping } from '../pumping.ts'
import type { SenderRole } from '../roles.ts'
import { Inbox } from './inbox.ts'
import { ensureMailbox, open, parkedAt, subjectOf } from './mailbox.ts'

let nc: NatsConnection
let inbox: Inbox
let space: string
let subject: string

/** The bare publisher: `nc.publish` with a token on a shared reply inbox for each message. */
export const role: SenderRole = {
  async start(place) {
    nc = await open(place.url)
    inbox = new Inbox(nc)
    space = place.space
    subject = subjectOf(space)
    await ensureMailbox(nc, space)
  },
  pump: (count, window, ids) => pumping(count, window, ids ? sendWithId : send),
  pace: (count, everyMs) => pacing(count, everyMs, sendWithId),
  async ask(count) {
    const took: number[] = []
    for (let n = 0; n < count; n++) took.push(await askOnce(n))
    return took
  },
  later: (dues) => pumping(dues.length, 2048, (n) => park(n, dues[n] ?? 0)),
  stop: () => nc.close(),
}

function send(n: number): Promise<void> {
  return inbox.store(subject, JSON.stringify(payload(n)))
}

function sendWithId(n: number): Promise<void> {
  return inbox.store(subject, JSON.stringify(payload(n)), withHeaders({ 'Nats-Msg-Id': nextId() }))
}

// Unique through all runs of this process, and as long as an id of the runtime (22 characters).
function nextId(): string {
  return `bench-${(++ids).toString().padStart(16, '0')}`
}
let ids = 0

function withHeaders(fields: Readonly<Record<string, string>>): PublishOptions {
  const built = headers()
  for (const [name, value] of Object.entries(fields)) built.set(name, value)
  return { headers: built }
}

// Resolves with the outcome; that the message was stored is known by then.
async function askOnce(n: number): Promise<number> {
  const begun = nowMs()
  await new Promise<void>((resolve, reject) => {
    const options = withHeaders({ 'Nats-Msg-Id': nextId(), Reply: inbox.address(() => resolve()) })
    inbox.store(subject, JSON.stringify(payload(n)), options).catch(reject)
  })
  return nowMs() - begun
}

// JetStream's own schedule: the server's tick of 250 ms is what the runtime's timer improves on.
function park(n: number, due: number): Promise<void> {
  const schedule = { 'Nats-Schedule': `@at ${new Date(due).toISOString()}`, 'Nats-Schedule-Target': subject }
  return inbox.store(parkedAt(space, n), JSON.stringify(payload(n, due)), withHeaders(schedule))
}
