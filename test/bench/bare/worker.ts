import type { Msg, NatsConnection } from '@nats-io/nats-core'

import { handling } from '../handling.ts'
import { Meter, memoryNow } from '../meter.ts'
import type { Payload } from '../payload.ts'
import type { WorkerJob, WorkerRole } from '../roles.ts'
import { Inbox } from './inbox.ts'
import { ensureMailbox, open } from './mailbox.ts'
import { pull } from './pull.ts'

let nc: NatsConnection
let meter: Meter

/** The bare consumer: own pull loop, every ack confirmed on a shared inbox. */
export const role: WorkerRole = {
  async start(job) {
    nc = await open(job.url)
    meter = new Meter(job.marks)
    await ensureMailbox(nc, job.space)
    const inbox = new Inbox(nc)
    const handle = handlerOf(job)
    pull(nc, job.space, (message) => {
      const pending = handle(message)
      if (pending === undefined) ack(inbox, message)
      else void pending.then(() => ack(inbox, message))
    })
  },
  mark: (index) => meter.mark(index),
  samples: async () => meter.samples,
  memory: async () => memoryNow(),
  stop: () => nc.close(),
}

function ack(inbox: Inbox, message: Msg): void {
  inbox.request(message.reply ?? '', ackBody, confirmed)
}

const ackBody = new TextEncoder().encode('+ACK')

function confirmed(): void {}

type BareHandler = (message: Msg) => Promise<unknown> | undefined

function handlerOf({ handler }: WorkerJob): BareHandler {
  const handle = handling(handler, meter)
  if (handler.kind === 'nothing') return counted
  if (handler.kind === 'answer') return answered
  return (message) => pendingOf(handle(message.json<Payload>()))
}

function counted(): undefined {
  meter.count()
}

// The outcome goes to the asking sender before the ack, as settle does it (DESIGN section 5).
function answered(message: Msg): undefined {
  const { n } = message.json<Payload>()
  nc.publish(message.headers?.get('Reply') ?? '', JSON.stringify({ n }))
  meter.count()
}

function pendingOf(result: unknown): Promise<unknown> | undefined {
  return result instanceof Promise ? result : undefined
}
