/** What the views judge: pure tables. */
import { describe, expect, it } from 'vitest'

import { afterKey, FIRST, screen, sorted } from '#runtime/cli/top/screen.js'
import { actorFindings, growthFindings } from '#runtime/view/actorChecks.js'
import { limitFindings, replicaFindings } from '#runtime/view/natsChecks.js'
import { stateOf, type ActorOverview } from '#runtime/view/status.js'

const well = {
  waiting: 0,
  running: 0,
  slots: 10,
  systems: ['a'],
  perSecond: 0,
  oldestMs: undefined,
  isPaused: false,
  pausedUntil: undefined,
}

describe('the state of an actor', () => {
  it.each([
    ['ok', {}],
    ['ok', { waiting: 3, oldestMs: 500 }],
    ['ok', { systems: [], slots: 0 }],
    ['no workers', { waiting: 1, systems: [], slots: 0 }],
    ['behind', { waiting: 1, oldestMs: 61_000, running: 10 }],
    ['behind', { waiting: 1, oldestMs: 61_000, running: 3, perSecond: 4 }],
    ['stalled', { waiting: 1, oldestMs: 61_000, running: 3 }],
    ['paused', { waiting: 1, oldestMs: 61_000, isPaused: true }],
  ] as const)('is %s for %j', (state, change) => {
    expect(stateOf({ ...well, ...change })).toBe(state)
  })
})

describe('the doctor', () => {
  it('tells limits of the account that are near, and none where there are none', () => {
    const used = { memory: 0, storage: 96, streams: 8, consumers: 1 }
    const levels = (limits: Record<string, number>): string[] =>
      limitFindings({ ...used, limits }).map(({ level }) => level)
    expect(levels({ max_storage: 100, max_streams: 10, max_consumers: 10 })).toEqual(['error', 'warning'])
    expect(levels({ max_storage: -1, max_streams: -1, max_consumers: 0 })).toEqual(['ok'])
  })

  it('tells of streams that nobody leads or answers for, and of copies that are behind', () => {
    const copy = { name: 'n2', current: true, offline: false, active: 0, lag: 0 }
    const told = (cluster: Parameters<typeof replicaFindings>[0]['cluster']): string[] =>
      replicaFindings({ stream: 's', cluster }).map(({ level, text }) => `${level}: ${text}`)
    expect(told(undefined)).toEqual([])
    expect(told({ leader: 'n1' })).toEqual([])
    expect(told({ leader: 'n1', replicas: [copy] })).toEqual([])
    expect(told({ leader: '' })).toEqual(['error: stream s has no leader'])
    expect(told({ leader: 'n1', replicas: [{ ...copy, current: false }] })).toEqual([
      'warning: stream s: replica n2 is behind or away',
    ])
    expect(told({ leader: 'n1', replicas: [{ ...copy, offline: true }] })).toHaveLength(1)
    expect(replicaFindings({ stream: 's', problem: 'nobody is there' })).toMatchObject([{ level: 'error' }])
  })

  it('has advice for everything that is not well', () => {
    const dead = growthFindings([{ actor: 'a', dead: 1_000, arriving: 10_000 }])
    expect(dead).toHaveLength(2)
    const overview = {
      ...well,
      actor: 'a',
      lanes: [],
      delivered: 0,
      parked: 0,
      parkedRetries: 0,
      arriving: 0,
      dead: 0,
      bytes: 0,
    }
    const states = ['paused', 'no workers', 'stalled', 'behind'] as const
    const found = actorFindings({ systems: [], actors: states.map((state) => ({ ...overview, state })) })
    expect(found.map(({ level }) => level)).toEqual(['warning', 'error', 'error', 'warning'])
    for (const { advice } of [...dead, ...found]) expect(advice).toMatch(/\S/)
    expect(actorFindings({ systems: [], actors: [{ ...overview, state: 'ok' }] })).toEqual([
      expect.objectContaining({ level: 'ok' }),
    ])
  })
})

describe('the screen of top', () => {
  const actor = (name: string, waiting: number): ActorOverview => ({
    ...well,
    actor: name,
    state: 'ok',
    lanes: [],
    waiting,
    delivered: 0,
    parked: 0,
    parkedRetries: 0,
    arriving: 0,
    dead: 0,
    bytes: 0,
  })
  const actors = [actor('a', 1), actor('b', 3), actor('c', 2)]
  const size = { width: 70, height: 12 }

  it('moves a cursor, within the list, in the order that is shown', () => {
    const byWaiting = afterKey(FIRST, 'sort', actors)
    expect(sorted(actors, byWaiting.sort).map((one) => one.actor)).toEqual(['b', 'c', 'a'])
    const down = afterKey(byWaiting, 'down', actors)
    expect(down.selected).toBe('c')
    expect(afterKey(afterKey(down, 'down', actors), 'down', actors).selected).toBe('a')
    expect(afterKey(FIRST, 'up', actors).selected).toBe('a')
    expect(afterKey(FIRST, 'down', []).selected).toBeUndefined()
    expect(afterKey(FIRST, 'x', actors)).toBe(FIRST)
  })

  it('fits the terminal, marks what is chosen, and shows what is inside', () => {
    const lines = screen({ ...FIRST, selected: 'b' }, { systems: [], actors }, undefined, size)
    expect(lines.every((line) => line.length <= size.width)).toBe(true)
    expect(lines.find((line) => line.startsWith('>'))).toMatch(/^> +b +ok +3/)
    const running = {
      system: 's',
      worker: 'w',
      id: 'id',
      actor: 'a',
      message: 'm',
      attempt: 2,
      sequence: 1,
      since: '',
      forMs: 1_500,
      remainingMs: 1,
    }
    const inside = screen(
      { ...FIRST, isInside: true },
      { systems: [], actors },
      { running: [running], waiting: [] },
      size,
    )
    expect(inside.join('\n')).toContain('runs   id  m  attempt 2  2s in s')
    expect(screen(FIRST, { systems: [], actors: [] }, undefined, size).join('\n')).toContain(
      'no actor has a mailbox yet',
    )
    expect(
      screen(FIRST, { systems: [], actors: Array.from({ length: 50 }, (_, n) => actor(`a${n}`, 0)) }, undefined, size),
    ).toHaveLength(12)
  })
})
