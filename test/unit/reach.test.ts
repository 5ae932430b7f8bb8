import { describe, expect, it } from 'vitest'

import { Reach } from '#runtime/broker/reach.js'

type Step = readonly [at: number, what: 'served' | 'in vain' | 'left', askedAt?: number]

/** What was told of a server until then, and whether to leave it now. */
function isLost(steps: readonly Step[], now: number, isAlone = false): boolean {
  const reach = new Reach()
  for (const [at, what, askedAt] of steps) {
    if (what === 'served') reach.served()
    else if (what === 'left') reach.left(at)
    else reach.inVain(at, askedAt)
  }
  return reach.isLost(now, isAlone)
}

const vain = (from: number, to: number): Step[] =>
  Array.from({ length: Math.floor((to - from) / 1_000) + 1 }, (_, second) => [from + second * 1_000, 'in vain'])

describe('a server is left', () => {
  it.each([
    ['not while nothing was asked', [], 60_000, false, false],
    ['not while an election may be going on', vain(0, 9_000), 9_000, false, false],
    ['when nothing was served for 10 s', vain(0, 10_000), 10_000, false, true],
    ['after 2 s where it knows of no other server', vain(0, 2_000), 2_000, true, true],
    [
      'not where something was served in between',
      [...vain(0, 9_000), [9_500, 'served'], ...vain(9_600, 12_000)],
      12_000,
      false,
      false,
    ],
    ['not for an old trouble after which nobody asked', vain(0, 9_000), 30_000, false, false],
    ['not for a new trouble because of an old one', [...vain(0, 9_000), [60_000, 'in vain']], 60_000, false, false],
    [
      'by the time of the question, where an answer is missing',
      [[5_000, 'in vain', 0], ...vain(6_000, 10_000)],
      10_000,
      false,
      true,
    ],
    [
      'not for what was asked of the one before',
      [
        [20_000, 'left'],
        [25_000, 'in vain', 19_000],
      ],
      25_000,
      true,
      false,
    ],
    [
      'later, where leaving was in vain',
      [...vain(0, 10_000), [10_000, 'left'], ...vain(10_000, 25_000)],
      25_000,
      false,
      false,
    ],
    [
      'again after twice the time',
      [...vain(0, 10_000), [10_000, 'left'], ...vain(10_000, 30_000)],
      30_000,
      false,
      true,
    ],
    [
      'as soon as ever, once something was served',
      [[0, 'left'], [1_000, 'served'], ...vain(2_000, 12_000)],
      12_000,
      false,
      true,
    ],
  ] satisfies [string, Step[], number, boolean, boolean][])('%s', (_what, steps, now, isAlone, expected) => {
    expect(isLost(steps, now, isAlone)).toBe(expected)
  })

  it('at the latest a minute after the first word in vain, however often it was in vain', () => {
    const moves = Array.from({ length: 20 }, (_, index): Step => [index * 1_000, 'left'])
    expect(isLost([...moves, ...vain(20_000, 79_000)], 79_000)).toBe(false)
    expect(isLost([...moves, ...vain(20_000, 80_000)], 80_000)).toBe(true)
  })
})
