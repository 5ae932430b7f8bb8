import { describe, expect, it } from 'vitest'

import { nextId, random, randomToken } from '#runtime/time/chance.js'
import { sleep, systemClock } from '#runtime/time/clock.js'
import { manualClock } from '#runtime/time/manualClock.js'

describe('the system clock', () => {
  it('fires a timer not before its time and not when it was cleared', async () => {
    let cleared = false
    systemClock.clearTimer(systemClock.setTimer(() => (cleared = true), 1))
    const before = systemClock.monotonic()
    await sleep(20)
    expect(systemClock.monotonic() - before).toBeGreaterThan(18)
    expect(cleared).toBe(false)
    expect(Number.isInteger(systemClock.now())).toBe(true)
    systemClock.clearTimer(undefined)
  })

  it('does not fire a timer of 60 days at once, as setTimeout would', async () => {
    let fired = false
    const timer = systemClock.setTimer(() => (fired = true), 60 * 86_400_000, { unref: true })
    // A sleep, because what must not happen has no event.
    await sleep(20)
    expect(fired).toBe(false)
    systemClock.clearTimer(timer)
  })

  it('stops sleeping with the reason of its signal, aborted before or meanwhile', async () => {
    const reason = new Error('stop')
    await expect(sleep(10_000, AbortSignal.abort(reason))).rejects.toBe(reason)
    const controller = new AbortController()
    const sleeping = sleep(10_000, controller.signal)
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
  })
})

describe('the manual clock', () => {
  it('fires what is due in order of time, each at its own time', async () => {
    const clock = manualClock(1000)
    const fired: [string, number][] = []
    clock.setTimer(() => fired.push(['late', clock.now()]), 50)
    clock.setTimer(() => fired.push(['soon', clock.now()]), 10)
    clock.clearTimer(clock.setTimer(() => fired.push(['never', clock.now()]), 20))
    clock.setTimer(() => fired.push(['soon too', clock.now()]), 10)
    await clock.advance(40)
    expect(fired).toEqual([
      ['soon', 1010],
      ['soon too', 1010],
    ])
    expect(clock.now()).toBe(1040)
    expect(clock.waiting).toBe(1)
    await clock.set(1050)
    expect(fired.at(-1)).toEqual(['late', 1050])
  })

  it('lets code that sleeps in a loop go through all its rounds', async () => {
    const clock = manualClock()
    const wokeAt: number[] = []
    const looping = (async () => {
      for (let round = 0; round < 3; round++) {
        await sleep(86_400_000, undefined, clock)
        wokeAt.push(clock.monotonic())
      }
    })()
    await clock.advance(10 * 86_400_000)
    await looping
    expect(wokeAt).toEqual([86_400_000, 2 * 86_400_000, 3 * 86_400_000])
  })

  it('steps wall time back without moving monotonic time or timers', async () => {
    const clock = manualClock(5000)
    let fired = false
    clock.setTimer(() => (fired = true), 10)
    await clock.set(1000)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([1000, 0, false])
    await clock.advance(10)
    expect([clock.now(), fired]).toEqual([1010, true])
  })
})

describe('chance', () => {
  it('makes ids of 22 characters that differ, over every carry of the counter', () => {
    // 62^5 divided by the largest increment is 2.7 million ids: in half a million, one process in five carries.
    const ids = new Set<string>()
    for (let count = 0; count < 500_000; count++) ids.add(nextId())
    expect(ids.size).toBe(500_000)
    for (const id of Array.from(ids).slice(0, 1000)) expect(id).toMatch(/^[0-9A-Za-z]{22}$/)
  })

  it('makes tokens that carry the bytes asked for', () => {
    expect(randomToken()).toMatch(/^[0-9A-Za-z]{22}$/)
    expect(randomToken(32)).toHaveLength(43)
    expect(randomToken()).not.toBe(randomToken())
    expect(random()).toBeLessThan(1)
  })
})
