/** Workers killed after their message ended and before its ack: what the next worker makes of it. */
import { setTimeout as sleep } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import { bed, ids, many, sum, until, type Bed } from './bed.ts'
import { startProxy, type Proxy } from './proxy.ts'

const isAckOfMessage = ({ subject, text }: { subject: string; text: string }): boolean =>
  subject.startsWith('$JS.ACK.faults-mailbox-box.') && text.startsWith('+ACK')

/** A worker that loses every ack of a message on the way; everything else arrives. */
async function forgetful(t: Bed, proxy: Proxy) {
  proxy.swallow(isAckOfMessage)
  return t.worker('forgetful', { url: proxy.url, concurrency: many(1_000) })
}

describe('a redelivered message', () => {
  it(
    'whose result is kept is not run again; a new message with an old id is (P1, P4)',
    { timeout: 300_000 },
    async () => {
      await using t = await bed({ lease: '2s', dedupeWindow: '1s', concurrency: many(1_000) })
      await using proxy = await startProxy(t.server.port)
      const worker = await forgetful(t, proxy)
      const sent = ids(many(500))
      const send = () =>
        t.troupe.sendMany(
          t.box.work,
          sent.map(() => ({ ms: 1 })),
          { id: (_, index) => sent[index] ?? '', keep: '1h' },
        )
      await send()
      await until(
        'kept results and lost acks',
        async () => (await t.stored('faults-results')) === sent.length && proxy.swallowed >= sent.length,
      )
      await worker.kill9()
      expect(await t.stored('faults-mailbox-box')).toBe(sent.length)
      await t.worker('next')
      await t.settled()
      expect(sum('killed after keeping the result', sent, t.entries())).toMatchObject({
        lost: 0,
        twice: 0,
        runs: sent.length,
      })

      // Nothing tells that a dedupe window is over.
      await sleep(1_500)
      const fates = await send()
      expect(fates.filter(({ sent: own }) => own?.duplicate !== false)).toEqual([])
      await t.settled()
      expect(sum('the same ids as new messages', sent, t.entries())).toMatchObject({
        lost: 0,
        twice: sent.length,
        runs: 2 * sent.length,
      })
    },
  )

  for (const { what, lease, after } of [
    { what: 'is due before its lease ends', lease: '8s', after: '4s' },
    { what: 'is due after its lease ends', lease: '2s', after: '6s' },
  ]) {
    it(`whose parked retry ${what} is not forked (P1)`, { timeout: 300_000 }, async () => {
      await using t = await bed({ lease, concurrency: many(500) })
      await using proxy = await startProxy(t.server.port)
      const worker = await forgetful(t, proxy)
      const sent = ids(many(500))
      await t.troupe.sendMany(
        t.box.fail,
        sent.map(() => ({ until: 2, after })),
        { id: (_, index) => sent[index] ?? '' },
      )
      await until(
        'parked retries and lost acks',
        async () => (await t.stored('faults-timer-box')) > 0 && proxy.swallowed >= sent.length,
      )
      await worker.kill9()
      expect(await t.stored('faults-mailbox-box')).toBe(sent.length)
      expect(await t.stored('faults-timer-box')).toBe(sent.length)
      await t.worker('next')
      await t.settled()
      const sums = sum(`killed between parking and ack, retry ${what}`, sent, t.entries())
      // One failed attempt in the killed worker, one in the next that is done.
      expect(sums).toMatchObject({ lost: 0, twice: 0, runs: 2 * sent.length })
      expect(t.entries('started').filter(({ who, detail }) => who === 'next' && detail === '2')).toHaveLength(
        sent.length,
      )
      await until('no mark to be left', async () => (await t.stored('faults-marks')) === 0, 5_000)
    })
  }
})
