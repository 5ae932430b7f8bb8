import type { MsgHdrs, NatsConnection } from '@nats-io/nats-core'
import { headers } from '@nats-io/nats-core'

import { nowMs } from '../clock.ts'
import { payload, stamped } from '../payload.ts'
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
  pump: (count, window, encode) => pumping(count, window, encode ? send : sendBytes),
  pace: (count, everyMs) => pacing(count, everyMs, sendStamped),
  async ask(count) {
    const took: number[] = []
    for (let n = 0; n < count; n++) took.push(await askOnce(n))
    return took
  },
  later: (dues) => pumping(dues.length, 2048, (n) => park(n, dues[n] ?? 0)),
  recur: (count) => pumping(count, 64, recur),
  stop: () => nc.close(),
}

const bytes = new TextEncoder().encode(JSON.stringify(payload(0)))

function sendBytes(): Promise<void> {
  return inbox.store(subject, bytes, withId())
}

function send(n: number): Promise<void> {
  return inbox.store(subject, JSON.stringify(payload(n)), withId())
}

function sendStamped(n: number): Promise<void> {
  return inbox.store(subject, JSON.stringify(stamped(n)), withId())
}

// Unique through all runs of this process, and as long as an id of the runtime (22 characters).
function withId(): MsgHdrs {
  const built = headers()
  built.set('Nats-Msg-Id', `bench-${1e15 + ++ids}`)
  return built
}
let ids = 0

// Resolves with the outcome; that the message was stored is known by then.
async function askOnce(n: number): Promise<number> {
  const begun = nowMs()
  await new Promise<void>((resolve, reject) => {
    const built = withId()
    built.set(
      'Reply',
      inbox.address(() => resolve()),
    )
    inbox.store(subject, JSON.stringify(payload(n)), built).catch(reject)
  })
  return nowMs() - begun
}

// JetStream's own schedule: the server's tick of 250 ms is what the runtime's timer improves on.
function park(n: number, due: number): Promise<void> {
  const schedule = headers()
  schedule.set('Nats-Schedule', `@at ${new Date(due).toISOString()}`)
  schedule.set('Nats-Schedule-Target', subject)
  return inbox.store(parkedAt(space, parked++), JSON.stringify(payload(n, due)), schedule)
}
let parked = 0

// JetStream's own recurring schedule, with seconds in front.
function recur(n: number): Promise<void> {
  const schedule = headers()
  schedule.set('Nats-Schedule', '* * * * * *')
  schedule.set('Nats-Schedule-Target', subject)
  return inbox.store(parkedAt(space, parked++), JSON.stringify(payload(n, 0)), schedule)
}
