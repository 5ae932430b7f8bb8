/** NATS gone and back, again and again: work goes on by itself, soon, and the worker does not grow (P9). */
import { setTimeout as sleep } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import { bed, isLong, sum, until } from './bed.ts'

const OUTAGES = 10
/** The long form is the real one: a minute each. */
const OUTAGE_MS = isLong ? 60_000 : 1_000
const MIB = 1_048_576

describe('nats-server killed and brought back ten times', () => {
  it(
    'finds work going on within 5 s each time, nothing lost, and a worker that has not grown',
    { timeout: 1_200_000 },
    async () => {
      await using t = await bed({ lease: '3s' })
      const worker = await t.worker('w0')
      const sent: string[] = []
      const send = async (id: string): Promise<void> => {
        sent.push(id)
        await t.troupe.send(t.box.work, { ms: 5 }, { id })
      }
      /** One outage with messages on their way; how long after the server is back the first one sent then is done: ms. */
      const outage = async (number: number): Promise<number> => {
        const during = Array.from({ length: 200 }, (_, at) => send(`during-${number}-${at}`))
        await t.server.kill9()
        // The fault is that it is away for so long.
        await sleep(OUTAGE_MS)
        await t.server.restart()
        const back = performance.now()
        const id = `after-${number}`
        await send(id)
        await until(`${id} to be done`, () => t.entries('done').some((entry) => entry.id === id))
        const tookMs = performance.now() - back
        await Promise.all(during)
        return tookMs
      }
      // What is made once, at the first fault, is no growth.
      await outage(0)
      await t.settled()
      const before = await worker.heap()
      const took: number[] = []
      for (let number = 1; number <= OUTAGES; number++) took.push(await outage(number))
      await t.settled()
      const grown = (await worker.heap()) - before
      const sums = sum(`${OUTAGES} outages of ${OUTAGE_MS} ms`, sent, t.entries())
      console.log(
        `outages: done ${took.map(Math.round).join(', ')} ms after the server was back; heap ${(grown / MIB).toFixed(1)} MiB more after them`,
      )
      expect(Math.max(...took)).toBeLessThan(5_000)
      expect(sums.lost).toBe(0)
      expect(await t.letters()).toEqual([])
      expect(grown).toBeLessThan(4 * MIB)
    },
  )
})
