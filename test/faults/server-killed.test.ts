/** `kill -9` of nats-server, restarted on its data, while senders send and workers work. */
import { describe, expect, it } from 'vitest'

import { bed, ids, many, sum, until } from './bed.ts'

describe('nats-server killed under load and restarted on its data', () => {
  it(
    'loses nothing that was acknowledged; senders and workers go on by themselves (P1, P9)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '3s' })
      await t.worker('w0')
      await t.worker('w1')
      const sent = ids(many(6_000))
      let acknowledged = 0
      const errors: Error[] = []
      // In flight at any time: 200, so that each kill meets messages of every kind.
      const next = sent.values()
      const sendOnAndOn = async (): Promise<void> => {
        for (const id of next) {
          await t.troupe.send(t.box.work, { ms: 5 }, { id }).then(
            () => acknowledged++,
            (error: Error) => errors.push(error),
          )
        }
      }
      const senders = Promise.all(Array.from({ length: 200 }, sendOnAndOn))
      for (let kill = 1; kill <= 3; kill++) {
        await until(`messages before kill ${kill}`, () => acknowledged > (sent.length * kill) / 4)
        await t.server.kill9()
        await t.server.restart()
      }
      await senders
      expect(errors).toEqual([])
      await t.settled()
      const sums = sum('server killed 3 times', sent, t.entries())
      expect(sums).toMatchObject({ sent: acknowledged, lost: 0 })
      // A restarted server knows the ids of stored messages only, and brings back what was acked shortly before,
      // in any number (LIMITS.md): counted, once a kill at most.
      expect(sums.twice).toBeLessThan(3 * sent.length)
      expect(await t.letters()).toEqual([])
    },
  )
})

describe('a sender killed in the middle of sendMany', () => {
  it(
    'has stored all whose fate it learned; the same ids again store nothing twice (P1, P4)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed()
      const calls = [2_000, many(15_000)]
      const count = 2_000 + many(15_000)
      // The mailbox, before there is a worker.
      await t.troupe.send(t.box.work, { ms: 1 }, { id: 'first' })
      const first = await t.sender('s0', { calls })
      await first.heard('sent')
      await until('the second call to be on its way', async () => (await t.stored('faults-mailbox-box')) > 2_500)
      await first.kill9()
      const known = t.entries('sent').map(({ id }) => id)
      const stored = (await t.stored('faults-mailbox-box')) - 1
      console.log(`sender killed: ${known.length} of ${count} fates known, ${stored} stored`)
      expect(known).toHaveLength(2_000)
      expect(stored).toBeGreaterThan(2_000)
      expect(stored).toBeLessThan(count)

      await t.worker('w0', { concurrency: 1_000 })
      const second = await t.sender('s1', { calls })
      await second.exited
      await t.settled()
      expect(t.entries('refused')).toEqual([])
      const sums = sum('sender killed and run again', ids(count), t.entries())
      expect(sum('sender killed: fates it knew', known, t.entries()).lost).toBe(0)
      expect(sums).toMatchObject({ sent: count, lost: 0, twice: 0, runs: count })
    },
  )
})
