/** An own pull loop: one subscription with a callback, a new pull whenever half of what was asked for has come. */
import type { Msg, NatsConnection } from '@nats-io/nats-core'
import { createInbox } from '@nats-io/nats-core'

import { consumer } from './mailbox.ts'

const batch = 1000
const expires = 30e9

export function pull(nc: NatsConnection, stream: string, deliver: (message: Msg) => void): void {
  const inbox = createInbox()
  const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`
  let expected = 0
  const more = () => {
    const wanted = batch - expected
    expected = batch
    nc.publish(next, JSON.stringify({ batch: wanted, expires }), { reply: inbox })
  }
  nc.subscribe(inbox, {
    callback: (_, message) => {
      const isDelivery = message.reply !== undefined && message.reply !== ''
      if (isDelivery) deliver(message)
      expected -= isDelivery ? 1 : unserved(message)
      if (expected <= batch / 2) more()
    },
  })
  more()
}

// The end of a pull (408, 409) tells how many of its messages will not come; without that none is missing.
function unserved(status: Msg): number {
  return Number(status.headers?.get('Nats-Pending-Messages') || 0)
}
