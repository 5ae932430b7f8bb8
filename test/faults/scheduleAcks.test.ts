/** Runs of schedules whose worker dies between their end and its ack: they are not run again, and what follows them follows once. */
import { describe, expect, it } from 'vitest'

import { bed, ids, many, sum, until } from './bed.ts'
import { startProxy } from './proxy.ts'

const COUNT = many(50)
const NEVER = { cron: '0 0 1 1 *' } as const

describe('a run of a schedule that ended, and was not acked before its worker died', () => {
  it(
    'is not run again, is accounted for as done, and what runs after it does so once (P6)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: 100 })
      await using proxy = await startProxy(t.server.port)
      const { schedules } = t.troupe
      const all = ids(COUNT, 's')
      await t.worker('timer')
      await t.troupe.pause('box')
      await Promise.all(all.map((id) => schedules.put(id, { ...NEVER, send: t.box.work.with({ ms: 1 }) })))
      const after = { actor: 'box', message: 'work' } as const
      await schedules.put('after', { after, overlap: 'allow', send: t.box.timed.with({}) })
      await schedules.put('last', { after, overlap: 'bufferOne', lostAfter: '1h', send: t.box.timed.with({}) })
      await Promise.all(all.map((id) => schedules.trigger(id)))
      await until('all are sent', async () => (await t.stored('faults-mailbox-box')) === COUNT)
      // From here on every ack of a message is lost on the way.
      const ended = new Set<string>()
      proxy.swallow(({ subject, text }) => {
        const isLost = subject.startsWith('$JS.ACK.faults-mailbox-box.normal.') && text.startsWith('+ACK')
        if (isLost) ended.add(subject.split('.')[5] ?? '')
        return isLost
      })
      const forgetful = await t.worker('forgetful', { url: proxy.url })
      await t.troupe.resume('box')
      await until('runs and lost acks', () => ended.size >= COUNT / 4)
      await forgetful.kill9()
      const settled = ended.size
      await t.worker('next')
      await until('all is accounted for and has ended', async () => {
        const [followed, last] = [await schedules.get('after'), await schedules.get('last')]
        const counted = last.counts.sent + last.counts.skipped
        const isOver = followed.counts.sent >= COUNT && counted >= COUNT && last.waiting.length === 0
        return isOver && (await t.stored('faults-mailbox-box')) === 0
      })
      const runs = t.entries('done').filter(({ id }) => /^s\d+@/.test(id))
      const sums = sum(
        'runs whose acks were lost',
        runs.map(({ id }) => id),
        t.entries(),
      )
      expect(new Set(runs.map(({ id }) => id)).size).toBe(COUNT)
      // What may run again had ended at the moment of the kill, and had no ack sent yet: an ack is sent when the end is in the ledger.
      const done = t.entries('done').filter(({ who }) => who === 'forgetful').length
      expect(settled).toBeGreaterThanOrEqual(COUNT / 4)
      expect(sums.twice).toBeLessThanOrEqual(done - settled)
      const followed = await schedules.history('after', { limit: 10_000 })
      expect(followed.map(({ outcome }) => outcome?.status)).toEqual(Array.from({ length: COUNT }, () => 'done'))
      expect(new Set(followed.map(({ cause }) => cause?.id)).size).toBe(COUNT)
      expect(await schedules.get('after')).toMatchObject({ counts: { sent: COUNT, skipped: 0, missed: 0 } })
      const buffered = await schedules.get('last')
      expect(buffered.counts.sent + buffered.counts.skipped).toBe(COUNT)
      expect(buffered.waiting).toEqual([])
    },
  )
})
