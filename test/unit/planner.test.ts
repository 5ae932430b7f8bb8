/** What a timer decides for a schedule: tables over the pure plan, and properties over many of them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { carriedOut, withCause, type Done } from '#runtime/schedules/carried.js'
import { resolveSchedule, type ScheduleOptions } from '#runtime/schedules/definition.js'
import { nextLook } from '#runtime/schedules/nextLook.js'
import { first, plannedAfter, plannedBefore } from '#runtime/schedules/planned.js'
import { plan, type Ended, type Plan } from '#runtime/schedules/planner.js'
import { changed, isBroken, newRecord, type ScheduleRecord } from '#runtime/schedules/record.js'
import { encodeRecord, readRecord } from '#runtime/schedules/recordBytes.js'
import type { ScheduleRule } from '#runtime/schedules/rule.js'

type Input = Omit<ScheduleOptions, 'send'> & ScheduleRule

const T0 = Date.parse('2027-03-01T12:00:00Z')
const LIMITS = { lostAfterMs: 86_400_000 }

async function recordOf(input: Input, now = T0): Promise<ScheduleRecord> {
  const { definition } = await resolveSchedule('s', { send: 'mailer.digest', ...input })
  return newRecord(definition, now)
}

/** First words of occurrences, and why they were due: what a ledger knows. */
type Known = Map<number, { readonly word: Done['result']; readonly by: string }>

/** Carries a plan out as a ledger does: what was accounted for is passed over by a range, and is as it is for all else. */
function done({ steps }: Plan, now: number, known: Known = new Map()): Done[] {
  const words = { send: 'sent', wait: 'waiting', skip: 'skipped', miss: 'missed', missMany: 'missed' } as const
  return steps.map((step) => {
    const { planned, by } = step.occurrence
    const before = known.get(planned)
    const word = wordOf(words[step.kind], by, before)
    if (word !== 'known') known.set(planned, { word, by })
    return {
      step,
      result: word,
      occurrence: step.occurrence,
      runningSince: word === 'sent' ? now : undefined,
      count: step.kind === 'missMany' ? step.count : 1,
    }
  })
}

function wordOf(
  word: Done['result'],
  by: string,
  before: { word: Done['result']; by: string } | undefined,
): Done['result'] {
  if (before === undefined || before.word === 'waiting') return word
  return by === 'catchUp' && before.by !== by ? 'known' : before.word
}

interface Look {
  readonly record: ScheduleRecord
  /** `send 12:00:05`, `skip 12:00:06`, … */
  readonly steps: string[]
  readonly plan: Plan
  readonly done: readonly Done[]
}

function look(
  record: ScheduleRecord,
  now: number,
  ends: readonly (readonly [number, Ended])[] = [],
  known?: Known,
): Look {
  const planned = plan('s', record, now, new Map(ends), LIMITS)
  const steps = planned.steps.map(({ kind, occurrence }) => `${kind} ${clock(occurrence.planned)}`)
  const carried = done(planned, now, known)
  return { record: carriedOut(record, planned, carried), steps, plan: planned, done: carried }
}

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19)

describe('what is due', () => {
  it('is sent at its time and not before', async () => {
    const record = await recordOf({ every: '10s' })
    expect(look(record, T0 + 9_999).steps).toEqual([])
    const sent = look(record, T0 + 10_000)
    expect(sent.steps).toEqual(['send 12:00:10'])
    expect(look(sent.record, T0 + 10_001).steps).toEqual([])
    expect(nextLook('s', sent.record, T0 + 10_001, LIMITS)).toBe(T0 + 20_000)
  })

  it('ends with its limit', async () => {
    let record = await recordOf({ every: '10s', overlap: 'allow', limit: 2 })
    for (let at = T0 + 10_000; at <= T0 + 50_000; at += 10_000) ({ record } = look(record, at))
    expect(record.state.counts).toEqual({ sent: 2, skipped: 0, missed: 0 })
    expect(nextLook('s', record, T0 + 60_000, LIMITS)).toBeUndefined()
  })

  it('keeps within from and until', async () => {
    const record = await recordOf({ every: '10s', from: T0 + 20_000, until: T0 + 40_000 })
    const times = first(plannedAfter('s', record, T0), 10).map(({ planned }) => clock(planned))
    expect(times).toEqual(['12:00:20', '12:00:30'])
  })
})

describe('while the run before is not finished', () => {
  const running = (record: ScheduleRecord): ScheduleRecord => look(record, T0 + 10_000).record

  it('skip skips', async () => {
    const record = running(await recordOf({ every: '10s', overlap: 'skip' }))
    const { steps, plan: made } = look(record, T0 + 20_000)
    expect(steps).toEqual(['skip 12:00:20'])
    expect(made.steps[0]).toMatchObject({
      reason: expect.stringContaining('2027-03-01T12:00:10Z is not finished') as unknown,
    })
  })

  it('allow sends', async () => {
    const record = running(await recordOf({ every: '10s', overlap: 'allow' }))
    expect(record.state.running).toEqual([])
    expect(look(record, T0 + 20_000).steps).toEqual(['send 12:00:20'])
  })

  it('bufferOne lets one wait, which goes when the run has ended', async () => {
    let { record } = look(running(await recordOf({ every: '10s', overlap: 'bufferOne' })), T0 + 20_000)
    expect(record.state.waiting).toHaveLength(1)
    const third = look(record, T0 + 30_000)
    expect(third.steps).toEqual(['skip 12:00:30'])
    const ended = look(third.record, T0 + 35_000, [[T0 + 10_000, 'done']])
    expect(ended.steps).toEqual(['send 12:00:20'])
    expect(ended.record.state).toMatchObject({ waiting: [], running: [{ planned: T0 + 20_000 }] })
  })

  it('bufferOne does not wait for what the ledger says was skipped, and counts it once', async () => {
    const record = running(await recordOf({ every: '10s', overlap: 'bufferOne' }))
    const known: Known = new Map([[T0 + 20_000, { word: 'skipped', by: 'rule' }]])
    const second = look(record, T0 + 20_000, [], known)
    expect(second.steps).toEqual(['wait 12:00:20'])
    expect(second.record.state).toMatchObject({ waiting: [], counts: { sent: 1, skipped: 1, missed: 0 } })
    expect(look(second.record, T0 + 25_000, [[T0 + 10_000, 'done']]).steps).toEqual([])
  })

  it('bufferAll lets all wait, and they go one after the other', async () => {
    let record = running(await recordOf({ every: '10s', overlap: 'bufferAll' }))
    for (const at of [20, 30, 40]) ({ record } = look(record, T0 + at * 1_000))
    expect(record.state.waiting).toHaveLength(3)
    for (const [at, ended] of [
      [41, 10],
      [42, 20],
      [43, 30],
    ] as const) {
      const next = look(record, T0 + at * 1_000, [[T0 + ended * 1_000, 'done']])
      expect(next.steps).toEqual([`send ${clock(T0 + (ended + 10) * 1_000)}`])
      record = next.record
    }
  })

  it('cancelOther cancels it, and the newest goes when it has ended', async () => {
    const second = look(running(await recordOf({ every: '10s', overlap: 'cancelOther' })), T0 + 20_000)
    expect(second.plan.cancel).toEqual([T0 + 10_000])
    expect(second.steps).toEqual(['wait 12:00:20'])
    const third = look(second.record, T0 + 30_000)
    expect(third.steps).toEqual(['skip 12:00:20', 'wait 12:00:30'])
    expect(look(third.record, T0 + 31_000, [[T0 + 10_000, 'cancelled']]).steps).toEqual(['send 12:00:30'])
  })

  it.each(['skip', 'bufferOne', 'bufferAll', 'cancelOther'] as const)(
    '%s sends again when it has ended, or counts as lost',
    async (overlap) => {
      const record = running(await recordOf({ every: '10s', overlap, lostAfter: '1h' }))
      expect(look(record, T0 + 20_000, [[T0 + 10_000, 'dead']]).steps).toEqual(['send 12:00:20'])
      const late = look(record, T0 + 3_610_000)
      expect(late.plan.lost).toEqual([T0 + 10_000])
      expect(late.steps.at(-1)).toBe('send 13:00:10')
    },
  )
})

describe('after downtime over 50 occurrences', () => {
  const now = T0 + 50_000 + 10
  const after = async (catchUp: ScheduleOptions['catchUp'] & {}): Promise<Look> =>
    look(await recordOf({ every: '1s', overlap: 'allow', catchUp }), now)

  it('skip sends the one that is due now, and misses 49', async () => {
    const { steps, record } = await after('skip')
    expect(steps.filter((step) => step.startsWith('miss'))).toHaveLength(49)
    expect(steps.at(-1)).toBe('send 12:00:50')
    expect(record.state.counts).toEqual({ sent: 1, skipped: 0, missed: 49 })
  })

  it('skip misses all where the last is later than its window', async () => {
    const record = await recordOf({ every: '1h', catchUp: { policy: 'skip', within: '5m' } })
    expect(look(record, T0 + 3 * 3_600_000 + 300_001).steps).toEqual([
      'miss 13:00:00',
      'miss 14:00:00',
      'miss 15:00:00',
    ])
    expect(look(record, T0 + 3 * 3_600_000 + 300_000).steps.at(-1)).toBe('send 15:00:00')
  })

  it('latest sends the newest, and misses 49', async () => {
    const { record, steps } = await after('latest')
    expect(steps.at(-1)).toBe('send 12:00:50')
    expect(record.state.counts).toEqual({ sent: 1, skipped: 0, missed: 49 })
  })

  it('latest sends one however late, but within its window', async () => {
    expect(look(await recordOf({ every: '1h' }), T0 + 3_600_000 * 24 * 30).steps.at(-1)).toMatch(/^send/)
    const record = await recordOf({ cron: '0 13 * * *', catchUp: { policy: 'latest', within: '2h' } })
    expect(look(record, T0 + 3_600_000 * 3).steps).toEqual(['send 13:00:00'])
    expect(look(record, T0 + 3_600_000 * 3 + 1).steps).toEqual(['miss 13:00:00'])
  })

  it('all sends all, the newest at once and the others at the pace, and nothing twice', async () => {
    let { record, steps } = await after({ policy: 'all', pace: '250ms' })
    expect(steps).toEqual(['send 12:00:50', 'send 12:00:01'])
    const sent = new Set(steps)
    for (let at = now; record.state.spans.length > 0; at += 125) {
      const next = look(record, at)
      expect(next.steps.length).toBeLessThanOrEqual(2)
      for (const step of next.steps) {
        expect(sent.has(step)).toBe(false)
        sent.add(step)
      }
      record = next.record
    }
    for (let second = 1; second <= 50; second++) expect(sent).toContain(`send ${clock(T0 + second * 1_000)}`)
    expect(record.state.counts).toMatchObject({ skipped: 0, missed: 0 })
  })

  it('all within a window misses what is older', async () => {
    const { record, steps } = await after({ policy: 'all', within: '10s' })
    expect(steps.filter((step) => step.startsWith('miss'))).toHaveLength(40)
    expect(record.state.spans).toMatchObject([{ after: T0 + 41_000, until: T0 + 50_000 - 1 }])
  })

  it('all waits for the run before, where runs must not overlap', async () => {
    let record = await recordOf({ every: '1s', catchUp: { policy: 'all', pace: '100ms' }, until: T0 + 3_500 })
    const begun = look(record, T0 + 5_000)
    expect(begun.steps).toEqual(['send 12:00:03'])
    record = begun.record
    expect(look(record, T0 + 5_500).steps).toEqual([])
    expect(look(record, T0 + 5_500, [[T0 + 3_000, 'done']]).steps).toEqual(['send 12:00:01'])
  })

  it('of more than a thousand the missed ones have one entry together, with how many they are', async () => {
    const { plan: made, record } = look(await recordOf({ every: '1s' }), T0 + 5_000_000)
    expect(made.steps).toMatchObject([
      { kind: 'missMany', occurrence: { planned: T0 + 1_000 }, until: T0 + 5_000_000 - 1, count: 4_999 },
      { kind: 'send', occurrence: { planned: T0 + 5_000_000 } },
    ])
    expect(record.state.counts.missed).toBe(4_999)
  })
})

describe('a change', () => {
  it('leaves what the old rule planned until then, and begins with the new one: no run more, no run less', async () => {
    const record = await recordOf({ every: '10s', overlap: 'allow', catchUp: { policy: 'all', pace: '1ms' } })
    const { definition } = await recordOf({ every: '7s', overlap: 'allow', catchUp: { policy: 'all', pace: '1ms' } })
    const edited = changed(record, T0 + 25_000, { definition })
    const times = first(plannedAfter('s', edited, T0), 4).map(({ planned }) => clock(planned))
    expect(times.slice(0, 2)).toEqual(['12:00:10', '12:00:20'])
    const every7 = first(plannedAfter('s', newRecord(definition, T0 + 25_000), T0 + 25_000), 2)
    expect(times.slice(2)).toEqual(every7.map(({ planned }) => clock(planned)))
  })

  it('of what is sent, not of when, changes no times', async () => {
    const record = await recordOf({ every: '10s' })
    const edited = changed(record, T0 + 25_000, { definition: { ...record.definition, note: 'hello' } })
    expect(edited).toMatchObject({ generation: 2, past: [], since: T0 })
  })

  it('is forgotten when all that was planned before it is accounted for', async () => {
    const record = await recordOf({ every: '10s' })
    const { definition } = await recordOf({ every: '7s' })
    const edited = changed(record, T0 + 5_000, { definition })
    expect(edited.past).toHaveLength(1)
    expect(look(edited, T0 + 20_000).record.past).toEqual([])
  })
})

describe('while it is paused', () => {
  it('nothing is planned; what came due before is skipped; what is triggered runs; and it goes on after', async () => {
    const record = await recordOf({ every: '10s', overlap: 'allow' })
    const paused = changed(record, T0 + 15_000, { paused: { at: 'x' } })
    const first_ = look(paused, T0 + 60_000)
    expect(first_.steps).toEqual(['skip 12:00:10'])
    const asked = { planned: T0 + 61_001, by: 'trigger' as const, key: 'k' }
    const triggered = look({ ...first_.record, state: { ...first_.record.state, asked: [asked] } }, T0 + 61_000)
    expect(triggered.steps).toEqual(['send 12:01:01'])
    expect(nextLook('s', triggered.record, T0 + 61_000, LIMITS)).toBeUndefined()
    const resumed = changed(triggered.record, T0 + 75_000, { paused: undefined })
    expect(look(resumed, T0 + 80_000).steps).toEqual(['send 12:01:20'])
  })

  it('by a failure, it pauses itself and says why', async () => {
    const { record } = look(await recordOf({ every: '10s', pauseOnFailure: true, overlap: 'allow' }), T0 + 10_000)
    const after = look(record, T0 + 12_000, [[T0 + 10_000, 'dead']])
    expect(after.record.paused).toMatchObject({
      onFailure: true,
      note: expect.stringContaining('dead letter') as unknown,
    })
    expect(look(after.record, T0 + 30_000).steps).toEqual([])
  })
})

describe('after another message', () => {
  const cause = (place: string) => ({ actor: 'etl', message: 'load', id: 'x', status: 'done', place })
  const after = { actor: 'etl', message: 'load' }

  it('alone it runs each time, once for each', async () => {
    const record = await recordOf({ after, overlap: 'allow' })
    expect(nextLook('s', record, T0, LIMITS)).toBeUndefined()
    const noticed = withCause(record, cause('a:1'), T0 + 5)
    expect(noticed).toBeDefined()
    const ran = look(noticed as ScheduleRecord, T0 + 10)
    expect(ran.steps).toEqual(['send 12:00:00'])
    expect(withCause(ran.record, cause('a:1'), T0 + 5)).toBeUndefined()
    expect(withCause(ran.record, cause('a:2'), T0 + 7)).toBeDefined()
  })

  it('with a time rule each planned time waits for its cause', async () => {
    const record = await recordOf({ every: '10s', after, overlap: 'allow' })
    const due = look(record, T0 + 10_000)
    expect(due.steps).toEqual([])
    const missed = look(due.record, T0 + 20_000)
    expect(missed.steps).toEqual(['skip 12:00:10'])
    const caused = look(withCause(missed.record, cause('a:1'), T0) as ScheduleRecord, T0 + 23_000)
    expect(caused.steps).toEqual(['send 12:00:20'])
    expect(look(caused.record, T0 + 30_000).steps).toEqual([])
  })

  it('with a time rule, a cause that came before waits for the time', async () => {
    const record = await recordOf({ every: '10s', after, overlap: 'allow' })
    const early = look(withCause(record, cause('a:1'), T0) as ScheduleRecord, T0 + 3_000)
    expect(early.steps).toEqual([])
    expect(look(early.record, T0 + 10_000).steps).toEqual(['send 12:00:10'])
  })
})

describe('for any schedule', () => {
  const rules = fc.oneof(
    fc.integer({ min: 1, max: 50 }).map((seconds) => ({ every: `${seconds}s` })),
    fc.constantFrom({ cron: '*/7 * * * * *' }, { cron: '0 * * * *' }, { cron: '5,6,50 * * * * *' }),
  )
  const options = fc.record(
    {
      jitter: fc.integer({ min: 0, max: 30 }).map((seconds) => `${seconds}s`),
      overlap: fc.constantFrom('allow', 'skip', 'bufferOne', 'bufferAll', 'cancelOther'),
      catchUp: fc.constantFrom(
        'skip',
        'latest',
        { policy: 'all', pace: '1ms' },
        { policy: 'all', within: '20s', pace: '1ms' },
      ),
      limit: fc.integer({ min: 1, max: 20 }),
    },
    { requiredKeys: [] },
  )
  const inputs = fc.tuple(rules, options).map(([rule, more]) => ({ ...rule, ...more }) as Input)

  it('each planned time is accounted for once, whenever it is looked at, whatever its policies (P6)', async () => {
    await fc.assert(
      fc.asyncProperty(
        inputs,
        fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 25 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
        async (input, waits, chance) => {
          let record = await recordOf(input)
          let now = T0
          const known: Known = new Map()
          const accounts = new Map<number, string[]>()
          const lookOnce = (mayEnd: () => boolean): void => {
            const ends = record.state.running.flatMap(({ planned }): [number, Ended][] =>
              mayEnd() ? [[planned, 'done']] : [],
            )
            const next = look(record, now, ends, known)
            for (const { result, occurrence } of next.done)
              if (result !== 'known')
                accounts.set(occurrence.planned, [...(accounts.get(occurrence.planned) ?? []), result])
            record = next.record
          }
          for (const wait of waits) {
            now += wait
            lookOnce(() => chance.next().value === 0)
          }
          // Runs end, nothing new comes due, and what stands in the record is seen to its end.
          for (let left = 5_000; record.state.spans.length + record.state.waiting.length > 0; left--) {
            expect(left).toBeGreaterThan(0)
            now += 1
            lookOnce(() => true)
          }
          const isOver = record.state.limited >= (input.limit ?? Infinity)
          for (const { planned, at } of plannedAfter('s', record, T0)) {
            if (at > now || planned > record.state.cursor) break
            // One that waited has a second word, its last.
            const words = (accounts.get(planned) ?? []).filter((word) => word !== 'waiting')
            if (isOver) expect(words.length).toBeLessThanOrEqual(1)
            else expect([planned, words.length]).toEqual([planned, 1])
          }
          for (const planned of accounts.keys()) expect(planned).toBeLessThanOrEqual(now)
          const sent = [...accounts.values()].flat().filter((word) => word === 'sent').length
          expect(sent).toBeLessThanOrEqual(input.limit ?? Infinity)
          expect(record.state.counts.sent).toBe(sent)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('the ledger is complete in the end, also where timers die after writing into it and before storing the record (P6)', async () => {
    await fc.assert(
      fc.asyncProperty(
        inputs.map(({ limit: _limit, ...input }) => input as Input),
        fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 25 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
        async (input, waits, chance) => {
          let record = await recordOf(input)
          let now = T0
          const known: Known = new Map()
          const lookOnce = (mayEnd: () => boolean, isStored: boolean): void => {
            const ends = record.state.running.flatMap(({ planned }): [number, Ended][] =>
              mayEnd() ? [[planned, 'done']] : [],
            )
            const next = look(record, now, ends, known)
            if (isStored) record = next.record
          }
          for (const wait of waits) {
            now += wait
            lookOnce(() => chance.next().value === 0, chance.next().value !== 0)
          }
          lookOnce(() => true, true)
          for (let left = 5_000; record.state.spans.length + record.state.waiting.length > 0; left--) {
            expect(left).toBeGreaterThan(0)
            now += 1
            lookOnce(() => true, true)
          }
          for (const { planned, at } of plannedAfter('s', record, T0)) {
            if (at > now || planned > record.state.cursor) break
            expect([planned, known.get(planned)?.word]).toEqual([
              planned,
              expect.stringMatching(/^(sent|skipped|missed)$/),
            ])
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('times go forward and back alike, and with jitter they keep their order', async () => {
    await fc.assert(
      fc.asyncProperty(inputs, fc.integer({ min: 0, max: 100_000 }), async (input, from) => {
        const record = await recordOf(input)
        const forward = first(plannedAfter('s', record, T0 + from), 20)
        const last = forward.at(-1)
        const back = first(plannedBefore('s', record, (last?.planned ?? 0) + 1), 20).toReversed()
        expect(back.slice(-forward.length)).toEqual(forward)
        for (const [index, { planned, at }] of forward.entries()) {
          expect(at).toBeGreaterThanOrEqual(planned)
          expect(at).toBeLessThanOrEqual(forward[index + 1]?.planned ?? Infinity)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('a record is read back as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(
        inputs,
        fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 10 }),
        async (input, waits) => {
          let record = await recordOf(input)
          let now = T0
          for (const wait of waits) ({ record } = look(record, (now += wait)))
          record = changed(record, now, {
            definition: { ...record.definition, limit: 3 },
            paused: { at: 'x', note: 'n' },
          })
          const read = readRecord('s', encodeRecord(record), 0)
          expect(isBroken(read) ? read.broken : read).toEqual(record)
        },
      ),
      { numRuns: 100 },
    )
  })
})
