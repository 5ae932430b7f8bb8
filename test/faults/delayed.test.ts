/** Delayed messages across kills of the timer's system and of nats-server. */
import { describe, expect, it } from 'vitest'

import { openLink } from '#runtime/troupe.js'
import { leftoversOf } from '#runtime/view/leftovers.js'

import { bed, ids, many, NAMESPACE, sum, until, type Bed } from './bed.ts'

/** Sends delayed messages at random moments of the next seconds. */
async function sendDelayed(t: Bed, sent: string[], withinMs: number): Promise<void> {
  await Promise.all(
    sent.map((id) => t.troupe.send(t.box.timed, {}, { id, delay: 1 + Math.round(Math.random() * withinMs) })),
  )
}

/** None was stored in its lane before it was due: both times are of the server's clock. */
function expectNoneEarly(t: Bed): void {
  const late = t
    .entries('late')
    .map(({ detail }) => Number(detail))
    .sort((a, b) => a - b)
  console.log(
    `delayed: earliest ${late[0]} ms, half ${late[late.length >> 1]} ms, latest ${late.at(-1)} ms after they were due`,
  )
  expect(late.filter((ms) => !(ms >= 0))).toEqual([])
}

/** What waits or runs, by the consumers, and what is parked. */
async function waiting(t: Bed): Promise<number> {
  const { state } = await t.jsm.streams.info('faults-timer-box', { subjects_filter: 'faults.timer.at.>' })
  return (state.num_subjects ?? 0) + (await t.unacked('faults-mailbox-box')) + (await t.unacked('faults-timer-box'))
}

describe('thousands of delayed messages', () => {
  it(
    'are stored never early, none is lost and none sent twice when systems with timers are killed (P5)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: 100 })
      const doomed = [await t.worker('w0'), await t.worker('w1')]
      const sent = ids(many(3_000))
      await sendDelayed(t, sent, 4_000)
      for (const [kill, system] of doomed.entries()) {
        await until(`part ${kill}`, () => t.entries('done').length > (sent.length * (kill + 1)) / 4)
        await system.kill9()
        await t.worker(`w${kill + 2}`)
      }
      await t.settled()
      const entries = t.entries()
      const sums = sum('delayed, systems killed', sent, entries)
      expectNoneEarly(t)
      expect(sums.lost).toBe(0)
      // The message itself may run again when its worker is killed before the ack; it was put into its lane once.
      const lanes = await t.jsm.streams.info('faults-mailbox-box')
      expect(lanes.state.last_seq).toBe(2 * sent.length)
    },
  )

  it(
    'are stored never early and none is lost when nats-server is killed; repeats are counted (P5)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: 100 })
      await t.worker('w0')
      await t.worker('w1')
      const sent = ids(many(3_000))
      await sendDelayed(t, sent, 4_000)
      for (let kill = 1; kill <= 2; kill++) {
        await until(`part ${kill}`, () => t.entries('done').length > (sent.length * kill) / 4)
        await t.server.kill9()
        await t.server.restart()
      }
      await until('all to be acked', async () => (await waiting(t)) === 0)
      // A killed server may keep an ack and forget that its message is gone: what "troupe doctor" then advises takes away those, and no others.
      const link = await openLink({ servers: t.server.url, namespace: NAMESPACE, logLevel: 'silent' })
      for (const { stream, subject, floor } of await leftoversOf(link.broker, 'box')) {
        const { purged } = await t.jsm.streams.purge(stream, { filter: subject, seq: floor + 1 })
        console.log(`delayed: ${purged} acked messages of ${subject} were still stored`)
      }
      await link.close()
      await t.settled()
      const sums = sum('delayed, nats-server killed twice', sent, t.entries())
      expectNoneEarly(t)
      expect(sums.lost).toBe(0)
      // A killed server brings back what was acked shortly before, in each of the three queues on the way, and what came due at the moment
      // of the kill may be sent again (actors/timer/doubts.ts): it is counted, and no message goes round for ever.
      const { state } = await t.jsm.streams.info('faults-mailbox-box')
      console.log(`delayed: ${state.last_seq - 2 * sent.length} of the repeats were put into the mailbox again`)
      expect(sums.twice).toBeLessThan(2 * sent.length)
    },
  )

  it(
    'are not sent again when nats-server is killed as soon as they are handled (P5)',
    { timeout: 120_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: 100 })
      await t.worker('w0')
      const [soon, parked] = [ids(50, 'soon'), ids(50, 'parked')]
      const at = new Date(Date.now() + 2_000)
      await Promise.all(parked.map((id) => t.troupe.send(t.box.timed, {}, { id, at })))
      await until('the parked ones', () => t.entries('done').length === parked.length)
      // These are never parked: they wait in the timer's memory, unacked in the queue that they came by.
      await Promise.all(soon.map((id) => t.troupe.send(t.box.timed, {}, { id, delay: '400ms' })))
      await until('the others', () => t.entries('done').length === parked.length + soon.length)
      await until(
        'acked runs',
        async () => (await t.jsm.consumers.info('faults-mailbox-box', 'normal')).num_ack_pending === 0,
      )
      await t.server.kill9()
      await t.server.restart()
      await t.settled()
      const { state } = await t.jsm.streams.info('faults-mailbox-box')
      const again = state.last_seq - 2 * (soon.length + parked.length)
      console.log(`delayed, killed when handled: ${again} of 100 were put into the mailbox again`)
      expect(sum('delayed, killed when handled', [...soon, ...parked], t.entries()).lost).toBe(0)
      // One or two may be brought back by the server itself (LIMITS.md).
      expect(again).toBeLessThanOrEqual(2)
    },
  )
})
