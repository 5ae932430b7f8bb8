/** What a limit means for handlers that run inline: code that can't be ended is named, while it blocks and afterwards. */
import type { SystemEvents } from 'troupe'
import { describe, expect, it } from 'vitest'

import { NAMESPACE, bed, until, type Bed } from './bed.ts'

type Blocked = SystemEvents['blocked']

/** Events of the system that says so, in order. */
async function followBlocked(t: Bed): Promise<Blocked[]> {
  const seen: Blocked[] = []
  t.troupe.connection.subscribe(`${NAMESPACE}.event.system.*.blocked`, {
    callback: (_error, msg) => void seen.push(msg.json<Blocked>()),
  })
  await t.troupe.connection.flush()
  return seen
}

describe('an inline handler that blocks the event loop', () => {
  it(
    'is named with its message and id while it does, and once more when it has ended',
    { timeout: 60_000 },
    async () => {
      await using t = await bed({ lease: '10s' })
      const seen = await followBlocked(t)
      await using worker = await t.worker('blocker')
      await t.troupe.send(t.box.block, { ms: 3_000 }, { id: 'blocks' })
      await worker.heard('blocking')
      await until('word of it', () => seen.length > 0)
      // While it blocks: its system can't say so, another thread of it does.
      expect(t.entries('done')).toEqual([])
      expect(seen[0]).toMatchObject({
        system: 'blocker',
        isOver: false,
        running: [{ id: 'blocks', message: 'box.block' }],
      })
      expect(seen[0]?.forMs).toBeGreaterThanOrEqual(1_000)
      await until('its end', () => seen.length > 1)
      expect(seen[1]).toMatchObject({ isOver: true, running: [{ id: 'blocks', message: 'box.block' }] })
      expect(seen[1]?.forMs).toBeGreaterThanOrEqual(2_000)
      await t.settled()
      expect(seen).toHaveLength(2)
    },
  )

  it('for ever is named too, though its system never says anything again', { timeout: 60_000 }, async () => {
    await using t = await bed({ lease: '10s' })
    const seen = await followBlocked(t)
    await using worker = await t.worker('stuck')
    await t.troupe.send(t.box.block, { ms: 3_600_000 }, { id: 'for-ever' })
    await worker.heard('blocking')
    await until('word of it', () => seen.length > 0)
    expect(seen[0]).toMatchObject({ system: 'stuck', isOver: false, running: [{ id: 'for-ever' }] })
  })

  it('for less than the setting is not worth a word', { timeout: 60_000 }, async () => {
    await using t = await bed({ lease: '10s' })
    const seen = await followBlocked(t)
    await using worker = await t.worker('short')
    await t.troupe.send(t.box.block, { ms: 200 }, { id: 'short' })
    await worker.heard('blocking')
    await t.settled()
    expect(seen.filter(({ forMs }) => forMs < 1_000)).toEqual([])
  })
})
