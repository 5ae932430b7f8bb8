/** When a timer acks what it has put into the mailbox, and of what it doubts whether it was put there before (P5). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { Doubts } from '#actors/timer/doubts.js'
import { Releases } from '#actors/timer/releases.js'
import type { Connection } from '#runtime/broker/connection.js'
import type { Delivery } from '#runtime/broker/delivery.js'
import { systemClock } from '#runtime/time/clock.js'

const delivery = (sequence: number): Delivery => ({ origin: `timer:${sequence}` }) as Delivery

/** Acks are noted; they are confirmed when the test says so. */
function acking(many: number) {
  const acked: string[] = []
  const confirms: (() => void)[] = []
  const releases = new Releases(many, ({ origin }, then) => {
    acked.push(origin)
    confirms.push(then)
  })
  return { releases, acked, confirm: () => confirms.splice(0).forEach((then) => then()) }
}

describe('what was put into the mailbox', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate'] }))
  afterEach(() => void vi.useRealTimers())

  it('is acked at once while few are on their way', () => {
    const { releases, acked } = acking(4)
    for (let n = 1; n <= 3; n++) releases.begin()
    for (let n = 1; n <= 3; n++) releases.stored(delivery(n))
    expect(acked).toEqual(['timer:1', 'timer:2', 'timer:3'])
  })

  it('is acked together when all of many are stored, a few in one go', () => {
    const { releases, acked } = acking(4)
    for (let n = 1; n <= 10; n++) releases.begin()
    for (let n = 1; n <= 9; n++) releases.stored(delivery(n))
    vi.advanceTimersByTime(50)
    expect(acked).toEqual([])
    releases.stored(delivery(10))
    vi.advanceTimersToNextTimer()
    expect(acked).toHaveLength(4)
    vi.runAllTimers()
    expect(acked).toEqual(Array.from({ length: 10 }, (_, n) => `timer:${n + 1}`))
  })

  it('does not wait for what is never stored: refused ones count no more, slow ones hold it up for a quarter of a second', () => {
    const { releases, acked } = acking(2)
    for (let n = 1; n <= 4; n++) releases.begin()
    releases.stored(delivery(1))
    releases.refused()
    vi.advanceTimersByTime(200)
    expect(acked).toEqual([])
    vi.advanceTimersByTime(50)
    expect(acked).toEqual(['timer:1'])
    releases.refused()
    releases.refused()
    releases.begin()
    releases.stored(delivery(5))
    expect(acked).toEqual(['timer:1', 'timer:5'])
  })

  it('is known until its ack is confirmed, under whatever delivery it comes again', () => {
    const { releases, confirm } = acking(2)
    releases.begin()
    expect(releases.has(delivery(1))).toBe(false)
    vi.runAllTimers()
    releases.stored(delivery(1))
    expect(releases.has(delivery(1))).toBe(true)
    expect(releases.has(delivery(2))).toBe(false)
    confirm()
    vi.runAllTimers()
    expect(releases.has(delivery(1))).toBe(false)
  })
})

describe('there is a doubt', () => {
  /** The server's clock is 10,000 ahead of ours. */
  function doubting() {
    let reconnect = (): void => {}
    const connection = { onConnected: (listener: () => void) => ((reconnect = listener), () => {}) }
    const doubts = new Doubts(1_000)
    doubts.start({ connection: connection as unknown as Connection }, { now: () => systemClock.monotonic() + 10_000 })
    return { doubts, reconnect: () => reconnect() }
  }
  const come = (storedAgo: number, count = 1, leasedAgo = 0) => {
    const now = systemClock.monotonic()
    return { count, storedAt: now + 10_000 - storedAgo, leasedAt: now - leasedAgo }
  }

  it('of what was handed over before, and not of what comes for the first time', () => {
    const { doubts } = doubting()
    expect(doubts.has(come(100))).toBe(false)
    expect(doubts.has(come(100, 2))).toBe(true)
    expect(doubts.settlesInMs).toBe(0)
  })

  it('of what is held longer than a lease surely lasts', () => {
    const { doubts } = doubting()
    expect(doubts.has(come(900, 1, 700))).toBe(false)
    expect(doubts.has(come(900, 1, 900))).toBe(true)
  })

  it('of what was stored before a reconnect and came after it: others may be about to say that they have sent it', () => {
    const { doubts, reconnect } = doubting()
    const [held, late] = [come(200, 1, 100), come(200)]
    reconnect()
    expect(doubts.has(held)).toBe(false)
    expect(doubts.has({ ...late, leasedAt: systemClock.monotonic() })).toBe(true)
    expect(doubts.has({ ...come(0), storedAt: systemClock.monotonic() + 10_001 })).toBe(false)
    expect(doubts.settlesInMs).toBeGreaterThan(900)
    expect(doubts.settlesInMs).toBeLessThanOrEqual(1_000)
  })
})
