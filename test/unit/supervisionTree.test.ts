/** What a supervision tree may look like, and what is said of one that is wrong. */
import { child, createSystem, defineActor, supervisor, type ChildInput, type SupervisorOptions } from 'troupe'
import { describe, expect, it } from 'vitest'

import { actorsOf, treeSpec } from '#runtime/supervision/treeSpec.js'

const actor = (name: string) => defineActor(name, { messages: { go: () => {} } })
const a = actor('a')
const b = actor('b')
const c = actor('c')

/** As JavaScript would let people write it. */
const wrong = (options: unknown): SupervisorOptions => options as SupervisorOptions

describe('a tree', () => {
  it('has defaults: each child for itself, permanent, 20 restarts in a minute, waits from 200 ms to 30 s', () => {
    expect(treeSpec({ children: [a] })).toMatchObject({
      id: 'system',
      policy: {
        strategy: 'one_for_one',
        restarts: 20,
        withinMs: 60_000,
        autoShutdown: 'never',
        backoff: { baseMs: 200, factor: 2, maxMs: 30_000, jitter: 0.2, resetAfterMs: 30_000 },
      },
      children: [{ id: 'a', kind: 'worker', restart: 'permanent', significant: false, stopWithinMs: undefined }],
    })
  })

  it('holds supervisors and children with options, in the order of their start', () => {
    const tree = treeSpec({
      strategy: 'rest_for_one',
      restarts: 0,
      within: '5s',
      autoShutdown: 'any_significant',
      backoff: { base: '1s', max: '10s', resetAfter: '1m' },
      children: [
        child(a, { restart: 'transient', stopWithin: '3s', significant: true }),
        child(supervisor('inner', { strategy: 'one_for_all', children: [c] }), { restart: 'temporary' }),
        b,
      ],
    })
    expect(tree).toMatchObject({
      policy: {
        strategy: 'rest_for_one',
        restarts: 0,
        withinMs: 5_000,
        backoff: { maxMs: 10_000, resetAfterMs: 60_000 },
      },
      children: [
        { id: 'a', restart: 'transient', stopWithinMs: 3_000, significant: true },
        { id: 'inner', kind: 'supervisor', restart: 'temporary', policy: { strategy: 'one_for_all' } },
        { id: 'b' },
      ],
    })
    expect(actorsOf(tree).map(({ name }) => name)).toEqual(['a', 'c', 'b'])
  })

  it('may wait longer than the default longest, or not at all', () => {
    expect(treeSpec({ backoff: { base: '1m' }, children: [a] }).policy.backoff).toMatchObject({
      baseMs: 60_000,
      maxMs: 60_000,
    })
    expect(treeSpec({ backoff: false, children: [a] }).policy.backoff).toMatchObject({ baseMs: 0, maxMs: 0 })
  })
})

const cycle: ChildInput[] = [a]
const below = supervisor('below', { children: cycle })
cycle.push(below)

const WRONG: readonly (readonly [string, SupervisorOptions, string])[] = [
  ['an actor twice', { children: [a, b, a] }, 'expected each actor and each supervisor once, got "a" twice'],
  [
    'an actor twice, once below',
    { children: [a, supervisor('s', { children: [a] })] },
    'expected each actor and each supervisor once, got "a" twice',
  ],
  [
    'a supervisor with the name of an actor',
    { children: [a, supervisor('a', { children: [b] })] },
    'expected each actor and each supervisor once, got "a" twice',
  ],
  [
    'a supervisor below itself',
    { children: [below] },
    'expected below to be a tree, got: "below, which is below itself"',
  ],
  [
    'no children',
    { children: [] },
    'expected supervise.children to be a list of at least one actor or supervisor, got: []',
  ],
  [
    'a child that is no actor',
    wrong({ children: [a, 'mailer'] }),
    'expected supervise.children[1] to be an actor made by defineActor(…), or a supervisor(…), got: "mailer"',
  ],
  [
    'an unknown key',
    wrong({ stratgey: 'one_for_one', children: [a] }),
    'expected the options of supervise to be among strategy, restarts, within, backoff, autoShutdown, children, got: "stratgey", did you mean "strategy"?',
  ],
  [
    'an unknown key below',
    { children: [supervisor('s', wrong({ restart: 3, children: [a] }))] },
    'expected the options of s to be among strategy, restarts, within, backoff, autoShutdown, children, got: "restart", did you mean "restarts"?',
  ],
  [
    'an unknown strategy',
    wrong({ strategy: 'one_for_al', children: [a] }),
    'expected supervise.strategy to be one of one_for_one, one_for_all, rest_for_one, got: "one_for_al", did you mean "one_for_all"?',
  ],
  [
    'fewer than no restarts',
    { restarts: -1, children: [a] },
    'expected supervise.restarts to be a whole number from 0, got: -1',
  ],
  ['a period of nothing', { within: 0, children: [a] }, 'expected supervise.within to be a duration above 0, got: 0'],
  [
    'a wait that shrinks',
    { backoff: { factor: 0.5 }, children: [a] },
    'expected supervise.backoff.factor to be a number from 1, got: 0.5',
  ],
  [
    'an unknown key of the wait',
    wrong({ backoff: { bas: '1s' }, children: [a] }),
    'expected the options of supervise.backoff to be among base, factor, max, jitter, resetAfter, got: "bas", did you mean "base"?',
  ],
  [
    'a significant child that is permanent (OTP: bad_combination)',
    { autoShutdown: 'any_significant', children: [child(a, { significant: true })] },
    'expected supervise.children[0].restart to be transient or temporary for a significant child, since a permanent one never ends, got: "permanent"',
  ],
  [
    'a significant child where nothing shuts down (OTP: bad_combination)',
    { children: [child(a, { significant: true, restart: 'transient' })] },
    'expected supervise.children[0].significant to be false where autoShutdown is never: its end would mean nothing, got: true',
  ],
  [
    'an unknown restart type',
    { children: [child(a, { restart: 'allways' as 'permanent' })] },
    'expected supervise.children[0].restart to be one of permanent, transient, temporary, got: "allways"',
  ],
]

describe('a bad tree', () => {
  it.each(WRONG)('with %s is refused when it is put together', (_, options, text) => {
    expect(() => createSystem({ supervise: options })).toThrow(text)
  })

  it('with a bad name or option is refused where that is written', () => {
    expect(() => supervisor('a.b', { children: [a] })).toThrow(
      "expected the supervisor's name to be a letter followed by",
    )
    expect(() => supervisor('system', { children: [a] })).toThrow('"system" is reserved')
    expect(() => child(a, { restrat: 'transient' } as object)).toThrow('got: "restrat", did you mean "restart"?')
  })

  it('is two trees in one', () => {
    expect(() => createSystem({ supervise: { children: [a] }, actors: [b] } as never)).toThrow(
      'absent where actors are given',
    )
  })
})
