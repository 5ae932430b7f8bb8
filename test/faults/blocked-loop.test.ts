/** Handlers that block the event loop for longer than the lease. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { bed, ids, many, sum, until } from './bed.ts'

describe('a handler that blocks the event loop for three leases', () => {
  it(
    'keeps its message, and what waits behind it goes to an idle worker or runs once (P2)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '1s', concurrency: 10 })
      const blocked = await t.worker('blocked')
      // Fast work first: a worker whose handlers are fast has a buffer, and standing pulls.
      const warm = ids(many(2_000), 'warm')
      await t.troupe.sendMany(
        t.box.work,
        warm.map(() => ({ ms: 0 })),
        { id: (_, index) => warm[index] ?? '' },
      )
      await t.settled()
      const behind = ids(many(2_000), 'behind')
      const sendBehind = async (from: number, to: number): Promise<void> => {
        const part = behind.slice(from, to)
        const fates = await t.troupe.sendMany(
          t.box.work,
          part.map(() => ({ ms: 0 })),
          { id: (_, index) => part[index] ?? '' },
        )
        expect(fates.filter((fate) => 'error' in fate)).toEqual([])
      }
      // Half of them arrive with the blocker, half are sent to its standing pulls while nobody reads its socket.
      const file = join(t.dir, 'unblock')
      const half = behind.length / 2
      await Promise.all([t.troupe.send(t.box.block, { ms: 3_000, file }, { id: 'blocker' }), sendBehind(0, half)])
      await blocked.heard('blocking')
      await sendBehind(half, behind.length)
      await t.worker('idle')
      // The block ends only when another worker had what waits behind it, however slow the machine is.
      await until('work of the idle worker', () => t.entries('done').some(({ who }) => who === 'idle'))
      await writeFile(file, '')
      await t.settled()
      await until('the end of the block', () => t.entries('done').some(({ id }) => id === 'blocker'))
      const entries = t.entries()
      const sums = sum('blocked', [...warm, ...behind, 'blocker'], entries)
      const byIdle = entries.filter(({ who, what }) => who === 'idle' && what === 'done').length
      console.log(`blocked: ${byIdle} of ${behind.length} messages behind the blocker ran in the idle worker`)
      expect(entries.filter(({ id, what }) => id === 'blocker' && what === 'started')).toHaveLength(1)
      expect(byIdle).toBeGreaterThan(0)
      expect(sums).toMatchObject({ lost: 0, twice: 0, runs: sums.sent })
    },
  )
})
