/** What a timer holds until its moment. */
import { setTimeout as sleep } from 'node:timers/promises'

import { expect, it } from 'vitest'

import { Moments, SLICE } from '#actors/timer/moments.js'

interface Entry {
  readonly at: number
}

function holding() {
  const seen = { go: [] as number[], looks: 0, skewMs: 0, empty: 0 }
  const now = (): number => {
    seen.looks++
    return Date.now() + seen.skewMs
  }
  const moments: Moments<Entry> = new Moments({
    now,
    onDue: ({ at }) => {
      expect(now()).toBeGreaterThanOrEqual(at)
      seen.go.push(at)
    },
    onEmpty: () => seen.empty++,
  })
  return { moments, seen }
}

it('lets each go at its moment, the first first, and never early', async () => {
  const { moments, seen } = holding()
  const from = Date.now()
  const at = [40, 5, 20, 5].map((ms) => from + ms)
  for (const moment of at) moments.hold({ at: moment })
  expect(moments.nextAt).toBe(from + 5)
  while (seen.empty === 0) await sleep(5)
  expect(seen.go).toEqual(at.toSorted((a, b) => a - b))
})

it('does not ring all the time for what is due in a year', async () => {
  const { moments, seen } = holding()
  moments.hold({ at: Date.now() + 365 * 86_400_000 })
  await sleep(50)
  expect(seen.looks).toBeLessThan(5)
  expect(seen.go).toEqual([])
  seen.skewMs = 366 * 86_400_000
  moments.ring()
  expect(seen.go).toHaveLength(1)
  expect(moments.size).toBe(0)
})

it('lets others have the event loop between parts of many', async () => {
  const { moments, seen } = holding()
  const at = Date.now() - 1
  for (let count = 0; count < 3 * SLICE; count++) moments.hold({ at })
  moments.ring()
  expect(seen.go).toHaveLength(SLICE)
  while (seen.empty === 0) await sleep(1)
  expect(seen.go).toHaveLength(3 * SLICE)
})

it('gives back all that it holds when it stops, and rings no more', async () => {
  const { moments, seen } = holding()
  moments.hold({ at: Date.now() + 10 })
  expect(moments.stop()).toHaveLength(1)
  await sleep(20)
  expect(seen.go).toEqual([])
})
