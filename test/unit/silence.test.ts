import { setTimeout as sleep } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import { watchSilence, type Line } from '#runtime/broker/silence.js'
import { isHopeless } from '#runtime/hopeless.js'

const AFTER_MS = 200

interface FakeLine extends Line {
  connected: boolean
  inMsgs: number
  answers: boolean
  pings: number
}

function fakeLine(): FakeLine {
  const line: FakeLine = {
    connected: true,
    closed: false,
    inMsgs: 0,
    answers: true,
    pings: 0,
    raw: {
      flush: () => {
        line.pings++
        return line.answers ? new Promise((resolve) => setImmediate(resolve)) : new Promise(() => {})
      },
      stats: () => ({ inMsgs: line.inMsgs, outMsgs: 0, inBytes: 0, outBytes: 0 }),
    },
  }
  return line
}

/** How often it was found silent in so many milliseconds. */
async function watched(line: FakeLine, ms: number, during: () => void = () => {}): Promise<number> {
  let silent = 0
  const stop = watchSilence(line, AFTER_MS, () => silent++)
  const timer = setInterval(during, 20)
  // What is watched for is time.
  await sleep(ms)
  clearInterval(timer)
  stop()
  return silent
}

describe('a line', () => {
  it('is silent when neither a PONG nor a message comes for the time that was set', async () => {
    const line = fakeLine()
    line.answers = false
    expect(await watched(line, AFTER_MS * 0.8)).toBe(0)
    expect(await watched(line, AFTER_MS * 1.7)).toBe(1)
  })

  it('is not silent while it answers, while messages come, or while it is not there', async () => {
    const line = fakeLine()
    expect(await watched(line, AFTER_MS * 2)).toBe(0)
    expect(line.pings).toBeGreaterThan(5)
    line.answers = false
    expect(await watched(line, AFTER_MS * 2, () => line.inMsgs++)).toBe(0)
    line.connected = false
    expect(await watched(line, AFTER_MS * 2)).toBe(0)
  })

  it('is not silent because the event loop stood still', async () => {
    const line = fakeLine()
    let silent = 0
    const stop = watchSilence(line, AFTER_MS, () => silent++)
    await sleep(50)
    const until = performance.now() + 5 * AFTER_MS
    while (performance.now() < until);
    await sleep(AFTER_MS / 2)
    stop()
    expect(silent).toBe(0)
  })
})

// prettier-ignore
const HOPES: readonly (readonly [string, boolean, number | undefined, number, boolean])[] = [
  ['away, nothing set',           false, undefined, 1e12,    false],
  ['refused, nothing set, early', true,  undefined, 59_999,  false],
  ['refused, nothing set',        true,  undefined, 60_000,  true],
  ['away, set, early',            false, 5_000,     4_999,   false],
  ['away, set',                   false, 5_000,     5_000,   true],
  ['refused, set longer',         true,  600_000,   120_000, false],
]

describe('a system without a connection', () => {
  it.each(HOPES)('%s', (_, isRefused, giveUpAfterMs, forMs, expected) => {
    expect(isHopeless({ since: 1_000, isRefused }, giveUpAfterMs, 1_000 + forMs)).toBe(expected)
  })
})
