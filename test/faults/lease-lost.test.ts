/** Workers that live on while their lease lapses: cut off, or frozen. Others run their messages meanwhile. */
import { describe, expect, it } from 'vitest'

import { bed, ids, many, sum, until, type Bed } from './bed.ts'
import type { Child } from './child.ts'
import type { Ending } from './fixtures/box.ts'
import { startProxy } from './proxy.ts'

const MAILBOX = 'faults-mailbox-box'
const TIMER = 'faults-timer-box'
/** What a stale worker must not do to a message that another runs now, by how its handler ends. */
const HARMLESS: readonly Ending['end'][] = ['throw', 'dead', 'retry', 'snooze']

/** Sends messages that hold, to the one worker there is, and waits until it runs them all. */
async function occupy(
  t: Bed,
  stale: Child,
  count: number,
  message: 'hold' | 'nap',
  payload: (index: number) => object,
): Promise<string[]> {
  const sent = ids(count)
  const fates = await t.troupe.sendMany(
    t.box[message],
    sent.map((_, index) => payload(index) as Ending),
    { id: (_, index) => sent[index] ?? '' },
  )
  expect(fates.filter((fate) => 'error' in fate)).toEqual([])
  await stale.heard('holding', count)
  return sent
}

/** Whether this process ended that run as asked. */
const endings = (t: Bed, who: string): number =>
  t.entries().filter((entry) => entry.who === who && HARMLESS.some((end) => end === entry.what)).length

/**
 * What the other worker has of them while it runs them: each once, not given back, not dead, nothing parked. Before that the
 * stale worker handles more: so it is back, and what it had to say of the others was said.
 */
async function expectUntouched(t: Bed, other: Child, sent: string[]): Promise<void> {
  const more = ids(many(500), 'more')
  await t.troupe.sendMany(
    t.box.work,
    more.map(() => ({ ms: 1 })),
    { id: (_, index) => more[index] ?? '' },
  )
  await until('work of the stale worker', () => t.entries('done').length === more.length)
  expect(await t.letters()).toEqual([])
  expect(await t.stored(TIMER)).toBe(0)
  await until('acks', async () => (await t.stored(MAILBOX)) <= sent.length)
  const consumer = await t.jsm.consumers.info(MAILBOX, 'normal')
  expect(consumer).toMatchObject({ num_ack_pending: sent.length, num_pending: 0 })
  // Each was handed over twice: to the stale worker, then to the other one.
  expect(consumer.delivered.consumer_seq).toBe(2 * sent.length + more.length)
  expect(other.count('holding')).toBe(sent.length)
}

describe('a worker that is cut off for longer than its lease', () => {
  it(
    'is told so, others run its messages, and it touches none of them when it is back (P2, P9)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: many(500) })
      await using proxy = await startProxy(t.server.port)
      const stale = await t.worker('stale', { url: proxy.url })
      const sent = await occupy(t, stale, many(500), 'hold', (index) => ({ end: HARMLESS[index % 4], after: '1s' }))

      proxy.cut()
      const other = await t.worker('other')
      await other.heard('holding', sent.length)
      expect(t.entries('aborted').filter(({ who, detail }) => who === 'stale' && detail === 'lease-lost')).toHaveLength(
        sent.length,
      )
      expect(endings(t, 'stale')).toBe(sent.length)
      proxy.heal()
      await expectUntouched(t, other, sent)
      console.log(
        `cut off: ${sent.length} runs lost their lease, ${other.count('holding')} begun by the other worker, none a third time`,
      )
    },
  )

  it(
    'and whose handlers finish all the same: what is done counts, nothing runs again (P2)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: many(500) })
      await using proxy = await startProxy(t.server.port)
      const stale = await t.worker('stale', { url: proxy.url, grace: '1m' })
      const sent = await occupy(t, stale, many(500), 'hold', () => ({ end: 'done', isDeaf: true }))

      proxy.cut()
      const other = await t.worker('other')
      await other.heard('holding', sent.length)
      stale.go()
      proxy.heal()
      // The other worker still holds all of them: only the stale one's acks can empty the mailbox.
      await until('acks of the stale worker', async () => (await t.stored(MAILBOX)) === 0)
      other.go()
      await until(
        'the other worker',
        () => t.entries('done').filter(({ who }) => who === 'other').length === sent.length,
      )
      const sums = sum('cut off, done all the same', sent, t.entries())
      expect(sums).toMatchObject({ lost: 0, twice: sent.length, runs: 2 * sent.length })
    },
  )
})

describe('a worker that stands still for longer than its lease', () => {
  it(
    'neither gives back nor ends what another runs now, however its handlers end (P2)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: many(500) })
      // Its handlers end by a timer that passes while it stands still: at the thaw they end at once, beside everything else.
      const stale = await t.worker('stale', { napMs: 2_500, grace: '1m' })
      const sent = await occupy(t, stale, many(500), 'nap', (index) => ({
        ms: 60_000,
        end: HARMLESS[index % 4],
        after: '1s',
      }))
      stale.freeze()
      const other = await t.worker('other')
      await other.heard('holding', sent.length)
      expect(endings(t, 'stale')).toBe(0)
      stale.thaw()
      await until('the ends of the stale runs', () => endings(t, 'stale') === sent.length)
      await expectUntouched(t, other, sent)
      console.log(`frozen: ${sent.length} runs of the stale worker ended after another had them, none a third time`)
    },
  )

  it(
    'does not take its lease up again with a heartbeat, and its handlers are told (P2)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', concurrency: many(500) })
      const stale = await t.worker('stale', { napMs: 6_000, grace: '1m' })
      const sent = await occupy(t, stale, many(500), 'nap', (index) => ({
        ms: 60_000,
        end: HARMLESS[index % 4],
        after: '1s',
      }))
      stale.freeze()
      const other = await t.worker('other')
      await other.heard('holding', sent.length)
      stale.thaw()
      await until('the ends of the stale runs', () => endings(t, 'stale') === sent.length)
      const told = t.entries('aborted').filter(({ who, detail }) => who === 'stale' && detail === 'lease-lost')
      console.log(
        `frozen, then running on: ${told.length} of ${sent.length} stale runs were told that their lease is lost`,
      )
      expect(told).toHaveLength(sent.length)
      await expectUntouched(t, other, sent)
    },
  )
})

describe('a worker that is cut off while a handler blocks its event loop', () => {
  it('does not take for its own again what its heartbeats reach after the cut (P2)', { timeout: 300_000 }, async () => {
    await using t = await bed({ lease: '2s', concurrency: many(500) })
    await using proxy = await startProxy(t.server.port)
    const stale = await t.worker('stale', { url: proxy.url, napMs: 3_000, blockMs: 7_000, grace: '1m' })
    const sent = await occupy(t, stale, many(500) - 1, 'nap', (index) => ({
      ms: 60_000,
      end: HARMLESS[index % 4],
      after: '1s',
    }))
    await t.troupe.send(t.box.block, { ms: 0 }, { id: 'blocker' })
    await stale.heard('blocking')
    proxy.cut()
    const other = await t.worker('other')
    await other.heard('holding', sent.length)
    expect(endings(t, 'stale')).toBe(0)
    // From here its keeper, a thread of its own, sends heartbeats again, while the loop is still blocked.
    proxy.heal()
    await until('the ends of the stale runs', () => endings(t, 'stale') === sent.length)
    const told = t.entries('aborted').filter(({ who, detail }) => who === 'stale' && detail === 'lease-lost')
    console.log(`cut off and blocked: ${told.length} of ${sent.length} stale runs were told that their lease is lost`)
    expect(told).toHaveLength(sent.length)
    expect(await t.letters()).toEqual([])
    expect(await t.stored(TIMER)).toBe(0)
    expect(other.count('holding')).toBe(sent.length)
  })
})
