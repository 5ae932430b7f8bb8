/** Invariants O1 and O2 of runtime/schedules/occurrences.ts, and the normal form of rules, for rules of every kind. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { jitterOf } from '#runtime/schedules/jitter.js'
import { nextAfter, occurrences, preview, previousBefore } from '#runtime/schedules/occurrences.js'
import { resolveRule } from '#runtime/schedules/rule.js'
import { inWords } from '#runtime/schedules/words.js'

import { partsOf, wallOf } from '../../kit/wallClock.ts'
import { conditions, plainRules, zones } from './rules.ts'

const moment = fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2030, 0) })
const resolved = (rule: unknown): ReturnType<typeof resolveRule> => resolveRule(rule, 'rule')

describe('for any rule', () => {
  it('next and previous are each other’s inverse, and strict (O1)', () => {
    fc.assert(
      fc.property(plainRules, moment, (input, ms) => {
        const rule = resolved(input)
        const next = nextAfter(rule, ms)
        const previous = previousBefore(rule, ms)
        if (next !== undefined) {
          expect(next).toBeGreaterThan(ms)
          expect(previousBefore(rule, next + 1)).toBe(next)
          expect(nextAfter(rule, next - 1)).toBe(next)
        }
        if (previous !== undefined) {
          expect(previous).toBeLessThan(ms)
          expect(nextAfter(rule, previous - 1)).toBe(previous)
        }
        const isNow = nextAfter(rule, ms - 1) === ms
        if (next !== undefined) expect(previousBefore(rule, next)).toBe(isNow ? ms : previous)
        if (previous !== undefined) expect(nextAfter(rule, previous)).toBe(isNow ? ms : next)
      }),
      { numRuns: 500 },
    )
  })

  it('also for the sun near a pole, where it rises once a year', () => {
    const event = fc.constantFrom('sunrise', 'sunset', 'dawn', 'dusk', 'noon')
    const latitude = fc.oneof(fc.integer({ min: 60, max: 89 }), fc.integer({ min: -89, max: -60 }))
    const place = fc.record({ event, latitude, longitude: fc.integer({ min: -180, max: 180 }) })
    const found = { event: 'sunrise', latitude: 89, longitude: -3, offset: '-1h' }
    fc.assert(
      fc.property(place, moment, (sun, ms) => {
        const rule = resolved({ sun })
        const next = nextAfter(rule, ms)
        if (next === undefined) return
        expect(next).toBeGreaterThan(ms)
        expect(nextAfter(rule, next - 1)).toBe(next)
        expect(previousBefore(rule, next + 1)).toBe(next)
        const previous = previousBefore(rule, next)
        if (previous === undefined) return
        expect(previous).toBeLessThanOrEqual(ms)
        expect(nextAfter(rule, previous)).toBe(next)
      }),
      { numRuns: 300, examples: [[found as never, 1_837_049_160_000]] },
    )
  })

  it('a preview is whole seconds, strictly rising, within its bounds, and what repeated next gives (O2)', () => {
    fc.assert(
      fc.property(plainRules, moment, fc.integer({ min: 1, max: 30 }), (input, from, count) => {
        const until = from + 90 * 86_400_000
        const dates = preview(input, { from, until, count }).map(Number)
        const walked: number[] = []
        for (let at = nextAfter(resolved(input), from - 1); at !== undefined && at < until && walked.length < count;) {
          walked.push(at)
          at = nextAfter(resolved(input), at)
        }
        expect(dates).toEqual(walked)
        for (const [index, at] of dates.entries()) {
          expect(at % 1000).toBe(0)
          if (index > 0) expect(at).toBeGreaterThan(dates[index - 1] ?? NaN)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('its normal form is JSON, stays what it is when checked again, and has the same times and words', () => {
    fc.assert(
      fc.property(plainRules, fc.option(conditions, { nil: undefined }), moment, (input, only, ms) => {
        const rule = orNever(() => resolved(only === undefined ? input : { ...input, only }))
        if (rule === undefined) return
        const text = JSON.stringify(rule)
        const again = resolved(JSON.parse(text))
        expect(JSON.stringify(again)).toBe(text)
        expect(nextAfter(again, ms)).toBe(nextAfter(rule, ms))
        expect(inWords(again)).toBe(inWords(rule))
        expect(inWords(rule)).toMatch(/^\S[^\n]*\S$/)
        expect(inWords(rule)).not.toMatch(/undefined|NaN|\[object|  /)
      }),
      { numRuns: 150 },
    )
  })

  it('conditions leave exactly the times at which they hold on the wall clock', () => {
    fc.assert(
      fc.property(plainRules, conditions, conditions, moment, (input, only, except, from) => {
        const rule = orNever(() => resolved({ ...input, only, except }))
        const plain = resolved(input)
        const until = from + 40 * 86_400_000
        const all = take(occurrences(plain, from, until), 400)
        const end = all.length === 400 ? (all.at(-1) ?? until) : until
        const expected = all.filter(
          (at) => at < end && holds(only, plain.timeZone, at) && !holds(except, plain.timeZone, at),
        )
        expect(rule === undefined ? [] : [...occurrences(rule, from, end)]).toEqual(expected)
        if (rule === undefined) return
        expect(previousBefore(rule, end)).toBe(expected.at(-1) ?? previousBefore(rule, from))
      }),
      { numRuns: 200 },
    )
  })
})

/** A rule that conditions make never true is refused: then there is nothing to compare. */
function orNever<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    expect((error as Error).message).toContain('never is')
    return undefined
  }
}

function take(times: Iterable<number>, count: number): number[] {
  const taken: number[] = []
  for (const time of times) if (taken.push(time) === count) break
  return taken
}

const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

interface Written {
  readonly and?: readonly object[]
  readonly or?: readonly object[]
  readonly not?: object
  readonly weekdays?: readonly string[]
  readonly dates?: readonly string[]
  readonly between?: readonly [string, string]
}

/** What a condition means, said a second time and plainly. */
function holds(given: object, zone: string, ms: number): boolean {
  const condition = given as Written
  const wall = wallOf(zone, ms)
  const { weekday, hour, minute, second } = partsOf(wall)
  if (condition.and) return condition.and.every((one) => holds(one, zone, ms))
  if (condition.or) return condition.or.some((one) => holds(one, zone, ms))
  if (condition.not) return !holds(condition.not, zone, ms)
  if (condition.weekdays) return condition.weekdays.includes(names[weekday] ?? '')
  if (condition.dates) return condition.dates.some((item) => isOn(item, new Date(wall).toISOString().slice(0, 10)))
  const [from = 0, to = 0] = (condition.between ?? []).map(minuteOf)
  const time = hour * 60 + minute + second / 60
  return from < to ? time >= from && time < to : time >= from || time < to
}

const minuteOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))

function isOn(item: string, date: string): boolean {
  const [from = '', to = from] = item.split('/')
  if (from.length === 10) return from <= date && date <= to
  const day = date.slice(5)
  return from <= to ? from <= day && day <= to : day >= from || day <= to
}

describe('a fixed list of dates in any zone', () => {
  it('has its own length, without repeats', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: 2_000_000 }), { minLength: 1, maxLength: 50 }),
        zones,
        (seconds, timeZone) => {
          const times = seconds.flatMap((second) => [new Date(second * 1e6), new Date(second * 1e6).toISOString()])
          const rule = resolved({ times, timeZone })
          expect([...occurrences(rule, 0, 1e15)]).toEqual(seconds.map((second) => second * 1e6).sort((a, b) => a - b))
        },
      ),
    )
  })
})

describe('jitter', () => {
  it('is the same for the same schedule and time, whole, and within its bound', () => {
    fc.assert(
      fc.property(fc.string(), moment, fc.nat(3_600_000), (id, ms, most) => {
        const jitter = jitterOf(id, ms, most)
        expect(jitterOf(id, ms, most)).toBe(jitter)
        expect(Number.isInteger(jitter) && jitter >= 0 && jitter <= most).toBe(true)
      }),
    )
    expect(jitterOf('daily', 0, 0)).toBe(0)
  })

  it('spreads evenly, over times of one schedule and over schedules at one time', () => {
    const times = Array.from({ length: 10_000 }, (_, index) =>
      jitterOf('daily', Date.UTC(2027, 0) + index * 1000, 9_999),
    )
    const schedules = Array.from({ length: 10_000 }, (_, index) => jitterOf(`every-${index}`, Date.UTC(2027, 0), 9_999))
    for (const values of [times, schedules]) {
      const tenths = Array.from(
        { length: 10 },
        (_, tenth) => values.filter((value) => Math.floor(value / 1000) === tenth).length,
      )
      // 1,000 each, give or take five standard deviations.
      for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150)
    }
  })
})
