import { describe, it } from 'vitest'

import { StallWatch } from '#runtime/stallWatch.js'

type Host = ConstructorParameters<typeof StallWatch>[2]

describe('the watch on an actor’s progress', () => {
  it('makes sure of all that the actor has after a reconnect, also of one in the midst of a look', async () => {
    let reconnected = (): void => {}
    let answer = (): void => {}
    let asked = (): void => {}
    const isAsked = new Promise<void>((resolve) => (asked = resolve))
    const answered = new Promise<void>((resolve) => (answer = resolve))
    let mended = (): void => {}
    const isMended = new Promise<void>((resolve) => (mended = resolve))
    const broker = {
      connection: {
        connected: true,
        onConnected: (listener: () => void) => {
          reconnected = listener
          return () => {}
        },
      },
      api: {
        consumerInfo: async () => {
          asked()
          await answered
          return { num_pending: 0, num_ack_pending: 0, config: {} }
        },
      },
      assets: { forget: () => {}, worker: async () => mended() },
    }
    const host = { broker, stalledAfterMs: 30, onStall: () => {} }
    const queue = { stream: 's', consumer: 'c', arrived: 0 }
    const watched = [{ queues: [queue], wasFull: () => false }]
    const watch = new StallWatch({ name: 'mailer' } as never, watched, host as unknown as Host)
    watch.start()
    await isAsked
    reconnected()
    answer()
    await isMended
    watch.stop()
  })
})
