/**
 * The OTP manual's behaviours as a table (supervisor.erl): strategy × restart type × how it ended → who is stopped, who is
 * started, in which order. Children a, b, c, d in start order; b ends; a and c are permanent, d is temporary.
 */
import { describe, expect, it } from 'vitest'

import {
  decide,
  type AutoShutdown,
  type Decision,
  type How,
  type Member,
  type Restart,
  type Strategy,
  type SupervisorPolicy,
} from '#runtime/supervision/decide.js'

const POLICY: SupervisorPolicy = {
  strategy: 'one_for_one',
  restarts: 3,
  withinMs: 5_000,
  autoShutdown: 'never',
  backoff: { baseMs: 200, factor: 2, maxMs: 30_000, jitter: 0, resetAfterMs: 30_000 },
}

const member = (id: string, more: Partial<Member> = {}): Member => ({
  id,
  restart: 'permanent',
  significant: false,
  state: 'running',
  upMs: 100,
  failures: 0,
  ...more,
})

function decideOn(
  how: How,
  { members, ...policy }: Partial<SupervisorPolicy> & { members: readonly Member[] },
  { id = 'b', history = [] as readonly number[], now = 10_000, chance = 0.5 } = {},
): Decision {
  return decide({ ...POLICY, ...policy }, members, history, { id, how }, now, chance)
}

const family = (restart: Restart): Member[] => [
  member('a'),
  member('b', { restart }),
  member('c'),
  member('d', { restart: 'temporary' }),
]

/** `stop > start, forgotten`, or that it stays ended. */
function row(decision: Decision): string {
  if (decision.kind === 'leave') return decision.remove.length > 0 ? `forget ${decision.remove.join('')}` : 'leave'
  if (decision.kind === 'end') return `end: ${decision.because}, stop ${decision.stop.join('')}`
  return `stop ${decision.stop.join('') || '-'}, start ${decision.start.join('')}, forget ${decision.remove.join('') || '-'}`
}

const ALONE = 'stop -, start b, forget -'
const REST = 'stop dc, start bc, forget d'
const ALL = 'stop dca, start abc, forget d'

// prettier-ignore
const TABLE: readonly (readonly [Strategy, Restart, How, string])[] = [
  ['one_for_one',  'permanent', 'normal',    ALONE],
  ['one_for_one',  'permanent', 'shutdown',  ALONE],
  ['one_for_one',  'permanent', 'failed',    ALONE],
  ['one_for_one',  'permanent', 'unstarted', ALONE],
  ['one_for_one',  'transient', 'normal',    'leave'],
  ['one_for_one',  'transient', 'shutdown',  'leave'],
  ['one_for_one',  'transient', 'failed',    ALONE],
  ['one_for_one',  'transient', 'unstarted', ALONE],
  ['one_for_one',  'temporary', 'normal',    'forget b'],
  ['one_for_one',  'temporary', 'shutdown',  'forget b'],
  ['one_for_one',  'temporary', 'failed',    'forget b'],
  ['one_for_one',  'temporary', 'unstarted', 'forget b'],
  ['rest_for_one', 'permanent', 'normal',    REST],
  ['rest_for_one', 'permanent', 'shutdown',  REST],
  ['rest_for_one', 'permanent', 'failed',    REST],
  ['rest_for_one', 'permanent', 'unstarted', REST],
  ['rest_for_one', 'transient', 'normal',    'leave'],
  ['rest_for_one', 'transient', 'shutdown',  'leave'],
  ['rest_for_one', 'transient', 'failed',    REST],
  ['rest_for_one', 'transient', 'unstarted', REST],
  ['rest_for_one', 'temporary', 'normal',    'forget b'],
  ['rest_for_one', 'temporary', 'shutdown',  'forget b'],
  ['rest_for_one', 'temporary', 'failed',    'forget b'],
  ['rest_for_one', 'temporary', 'unstarted', 'forget b'],
  ['one_for_all',  'permanent', 'normal',    ALL],
  ['one_for_all',  'permanent', 'shutdown',  ALL],
  ['one_for_all',  'permanent', 'failed',    ALL],
  ['one_for_all',  'permanent', 'unstarted', ALL],
  ['one_for_all',  'transient', 'normal',    'leave'],
  ['one_for_all',  'transient', 'shutdown',  'leave'],
  ['one_for_all',  'transient', 'failed',    ALL],
  ['one_for_all',  'transient', 'unstarted', ALL],
  ['one_for_all',  'temporary', 'normal',    'forget b'],
  ['one_for_all',  'temporary', 'shutdown',  'forget b'],
  ['one_for_all',  'temporary', 'failed',    'forget b'],
  ['one_for_all',  'temporary', 'unstarted', 'forget b'],
]

describe('a child that ends', () => {
  it.each(TABLE)('%s, %s, %s: %s', (strategy, restart, how, expected) => {
    expect(row(decideOn(how, { strategy, members: family(restart) }))).toBe(expected)
  })

  it('is not one that was never there', () => {
    expect(row(decideOn('failed', { members: family('permanent') }, { id: 'x' }))).toBe('leave')
  })
})

describe('a restart of a group', () => {
  it('stops only what runs, and starts also what had ended normally or was stopped by hand', () => {
    const members = [
      member('a', { restart: 'transient', state: 'stopped' }),
      member('b'),
      member('c', { state: 'stopped' }),
      member('d'),
    ]
    expect(row(decideOn('failed', { strategy: 'one_for_all', members }))).toBe('stop d, start abcd, forget -')
    expect(row(decideOn('failed', { strategy: 'rest_for_one', members }))).toBe('stop d, start bcd, forget -')
  })

  it('takes over those that wait for another restart', () => {
    const members = [member('a'), member('b'), member('c', { state: 'waiting' }), member('d', { state: 'waiting' })]
    expect(row(decideOn('failed', { strategy: 'rest_for_one', members }))).toBe('stop -, start bcd, forget -')
  })

  it('of the first or the last child has no more and no less than its rest', () => {
    const members = [member('a'), member('b'), member('c')]
    expect(row(decideOn('failed', { strategy: 'rest_for_one', members }, { id: 'a' }))).toBe(
      'stop cb, start abc, forget -',
    )
    expect(row(decideOn('failed', { strategy: 'rest_for_one', members }, { id: 'c' }))).toBe(
      'stop -, start c, forget -',
    )
  })
})

describe('restarts within a period', () => {
  const members = family('permanent')

  it('are counted, and one more than allowed ends the supervisor, its children in reverse order', () => {
    const three = decideOn('failed', { members }, { history: [9_000, 8_000], now: 10_000 })
    expect(three).toMatchObject({ kind: 'restart', history: [10_000, 9_000, 8_000] })
    expect(row(decideOn('failed', { members }, { history: [10_000, 9_000, 8_000], now: 11_000 }))).toBe(
      'end: intensity, stop dca',
    )
  })

  it('count at the very edge of the period, and not beyond', () => {
    const at = (now: number): Decision => decideOn('failed', { members, restarts: 1 }, { history: [10_000], now })
    expect(at(15_000).kind).toBe('end')
    expect(at(15_001)).toMatchObject({ kind: 'restart', history: [15_001] })
  })

  it('are none for restarts: 0', () => {
    expect(row(decideOn('failed', { members, restarts: 0 }))).toBe('end: intensity, stop dca')
  })

  it('count a start that failed like an end', () => {
    expect(row(decideOn('unstarted', { members, restarts: 1 }, { history: [9_000] }))).toBe('end: intensity, stop dca')
  })

  it('do not count what is not restarted', () => {
    const quiet = decideOn('normal', { members: family('transient'), restarts: 0 })
    expect(row(quiet)).toBe('leave')
    expect(row(decideOn('failed', { members: family('temporary'), restarts: 0 }))).toBe('forget b')
  })
})

// prettier-ignore
const SHUTDOWNS: readonly (readonly [AutoShutdown, Restart, How, 'only' | 'another', string])[] = [
  ['never',           'transient', 'normal',   'only',    'leave'],
  ['any_significant', 'transient', 'normal',   'only',    'end: significant, stop ca'],
  ['any_significant', 'transient', 'shutdown', 'only',    'end: significant, stop ca'],
  ['any_significant', 'transient', 'failed',   'only',    'stop -, start b, forget -'],
  ['any_significant', 'temporary', 'normal',   'only',    'end: significant, stop ca'],
  ['any_significant', 'temporary', 'failed',   'only',    'end: significant, stop ca'],
  ['any_significant', 'transient', 'normal',   'another', 'end: significant, stop ca'],
  ['all_significant', 'transient', 'normal',   'only',    'end: significant, stop ca'],
  ['all_significant', 'transient', 'normal',   'another', 'leave'],
  ['all_significant', 'temporary', 'failed',   'only',    'end: significant, stop ca'],
  ['all_significant', 'temporary', 'failed',   'another', 'forget b'],
]

describe('automatic shutdown', () => {
  it.each(SHUTDOWNS)(
    '%s: a significant %s child that ends %s, it is %s: %s',
    (autoShutdown, restart, how, count, expected) => {
      const c = member('c', { restart: 'transient', significant: count === 'another' })
      const members = [member('a'), member('b', { restart, significant: true }), c]
      expect(row(decideOn(how, { autoShutdown, members }))).toBe(expected)
    },
  )

  it('is not caused by a child that is not significant', () => {
    const members = [member('a', { restart: 'transient', significant: true }), member('b', { restart: 'transient' })]
    expect(row(decideOn('normal', { autoShutdown: 'any_significant', members }))).toBe('leave')
  })

  it('of all waits for a significant child that is about to be restarted, and not for one that has ended', () => {
    const others = (state: Member['state']): Member[] => [
      member('a', { restart: 'transient', significant: true, state }),
      member('b', { restart: 'transient', significant: true }),
    ]
    const all = (state: Member['state']): string =>
      row(decideOn('normal', { autoShutdown: 'all_significant', members: others(state) }))
    expect(all('waiting')).toBe('leave')
    expect(all('stopped')).toBe('end: significant, stop ')
  })
})

describe('the wait before a restart', () => {
  const wait = (more: Partial<Member>, { chance = 0.5, jitter = 0 } = {}): { afterMs: number; failures: number } => {
    const backoff = { ...POLICY.backoff, jitter }
    const decision = decideOn('failed', { members: [member('b', more)], backoff }, { chance })
    if (decision.kind !== 'restart') throw new Error(decision.kind)
    return { afterMs: decision.afterMs, failures: decision.failures }
  }

  it('is doubled with each failure in a row, up to its longest', () => {
    const waits = [0, 1, 2, 3, 7, 8, 50].map((failures) => wait({ failures }).afterMs)
    expect(waits).toEqual([200, 400, 800, 1_600, 25_600, 30_000, 30_000])
  })

  it('begins anew after calm', () => {
    expect(wait({ failures: 5, upMs: 29_999 })).toEqual({ afterMs: 6_400, failures: 6 })
    expect(wait({ failures: 5, upMs: 30_000 })).toEqual({ afterMs: 200, failures: 1 })
  })

  it('is spread by chance', () => {
    expect(wait({}, { jitter: 0.5, chance: 0 }).afterMs).toBe(100)
    expect(wait({}, { jitter: 0.5, chance: 0.999_999 }).afterMs).toBe(300)
  })
})
