import { describe, expect, it } from 'vitest'

import type { JetStreamApi } from '#runtime/broker/api.js'
import { ServerClock } from '#runtime/broker/serverClock.js'

/** A server whose clock is an hour ahead. `readAfterMs`: its answer is read so much later than it was given. */
function serverClock() {
  const hour = 3_600_000
  const server = { readAfterMs: 0, aheadMs: hour }
  const api = {
    streamInfo: async () => {
      const ts = new Date(Date.now() + server.aheadMs).toISOString()
      await new Promise((resolve) => setTimeout(resolve, server.readAfterMs))
      return { ts }
    },
  }
  const clock = new ServerClock(api as unknown as JetStreamApi, () => 'any')
  return { server, clock, behindMs: () => Date.now() + server.aheadMs - clock.now() }
}

describe("the server's clock", () => {
  it('is not taken for late where its answer was read late: the event loop stood still', async () => {
    const { server, clock, behindMs } = serverClock()
    await clock.ask()
    server.readAfterMs = 200
    await clock.ask()
    expect(behindMs()).toBeLessThan(100)
  })

  it.each([
    ['back', 1_800_000],
    ['on', 7_200_000],
  ])('is followed where it was put %s, however late that is read', async (_where, aheadMs) => {
    const { server, clock, behindMs } = serverClock()
    await clock.ask()
    Object.assign(server, { aheadMs, readAfterMs: 200 })
    await clock.ask()
    expect(Math.abs(behindMs())).toBeLessThan(1_000)
  })
})
