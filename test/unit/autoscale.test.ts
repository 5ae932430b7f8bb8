import { availableParallelism } from 'node:os'

import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { sizingOf } from '#runtime/autoscaling.js'
import { AT_REST, nextSize, type Move, type Sample, type Sizing, type Trend } from '#runtime/flow/autoscale.js'

const SIZING: Sizing = { min: 4, max: 40, waitMs: 1_000, calmMs: 30_000 }
/** All slots taken, and a backlog of ten seconds. */
const SHORT: Sample = { size: 10, busy: 10, peak: 10, backlog: 1_000, perSecond: 100, loopShare: 0.3 }
/** Two slots of ten are used. */
const CALM: Sample = { size: 10, busy: 1, peak: 2, backlog: 0, perSecond: 10, loopShare: 0.1 }

function move(sample: Partial<Sample>, trend: Partial<Trend> = {}, now = 100_000): Move {
  return nextSize(SIZING, { ...AT_REST, ...trend }, { ...SHORT, ...sample }, now)
}

/** It was like this at the last look too. */
const SURE: Partial<Trend> = { paces: [100] }

// prettier-ignore
const UP: readonly (readonly [string, Partial<Sample>, Partial<Trend>, number])[] = [
  ['all slots taken, and more waits than is done in time', {},                              SURE,                 20],
  ['that is seen for the first time',                      {},                              {},                   10],
  ['the most that is allowed is near',                     { size: 30, busy: 30 },          SURE,                 40],
  ['it is at its most',                                    { size: 40, busy: 40 },          SURE,                 40],
  ['nothing of it matters how slow that is',               { size: 4, busy: 4, perSecond: 1 }, SURE,              8],
  ['nothing has ended yet',                                { perSecond: 0 },                { paces: [0] },       20],
  ['what waits is done in time',                           { backlog: 90 },                 SURE,                 10],
  ['a slot in five is free',                               { busy: 8 },                     SURE,                 10],
  ['the event loop is busy',                               { loopShare: 0.95 },             SURE,                 10],
  ['a step did not help a moment ago',                     {},                              { ...SURE, holdUntil: 100_001 }, 10],
  ['that was long ago',                                    {},                              { ...SURE, holdUntil: 100_000 }, 20],
  ['the last step is not judged yet',                      {},                              { paces: [70], step: { from: 7, perSecond: 70 } }, 10],
]

describe('up', () => {
  it.each(UP)('%s', (_, sample, trend, expected) => {
    expect(move(sample, trend).size).toBe(expected)
  })

  it('a step that helped is kept, and followed by another; the look in which it was made counts for nothing', () => {
    const trend = { step: { from: 10, perSecond: 100 }, paces: [50, 140] }
    expect(move({ size: 15, busy: 15, perSecond: 145 }, trend)).toMatchObject({
      size: 30,
      why: 'backlog',
      trend: { step: { from: 15, perSecond: 145 }, paces: [] },
    })
  })

  it('a step after which all runs took longer is taken back, and none is tried for a while', () => {
    const trend = { step: { from: 10, perSecond: 100 }, paces: [50, 101] }
    const back = move({ size: 15, busy: 15, perSecond: 104 }, trend)
    expect(back).toMatchObject({ size: 10, why: 'no faster', trend: { holdUntil: 160_000 } })
    expect(move({}, { ...back.trend, ...SURE }, 159_999).size).toBe(10)
    expect(move({}, { ...back.trend, ...SURE }, 160_000).size).toBe(20)
  })

  it('a step whose slots were not taken is not judged by its pace', () => {
    const trend = { step: { from: 10, perSecond: 100 }, paces: [50, 101] }
    expect(move({ size: 15, busy: 3, perSecond: 30, backlog: 0, peak: 12 }, trend)).toMatchObject({ size: 15 })
  })
})

describe('down', () => {
  const calm = (sample: Partial<Sample>, trend: Partial<Trend>): Move => move({ ...CALM, ...sample }, trend)

  it('comes after the calm, to what was used at most and a quarter', () => {
    const begun = calm({}, {})
    expect(begun).toMatchObject({ size: 10, trend: { calmSince: 100_000, peak: 2 } })
    const busier = nextSize(SIZING, begun.trend, { ...CALM, peak: 5 }, 110_000)
    expect(busier).toMatchObject({ size: 10, trend: { calmSince: 100_000, peak: 5 } })
    expect(nextSize(SIZING, busier.trend, CALM, 129_999).size).toBe(10)
    expect(nextSize(SIZING, busier.trend, CALM, 130_000)).toMatchObject({ size: 7, why: 'calm' })
  })

  it('never below the fewest, nor while something waits or most slots are used', () => {
    const since = { calmSince: 0, peak: 1 }
    expect(calm({}, since).size).toBe(4)
    expect(calm({ backlog: 1 }, since)).toMatchObject({ size: 10, trend: { calmSince: undefined } })
    expect(calm({ peak: 7 }, since)).toMatchObject({ size: 10, trend: { calmSince: undefined } })
  })
})

describe('bounds', () => {
  it('are kept also where it was scaled beyond them by hand', () => {
    expect(move({ size: 100 })).toMatchObject({ size: 40, why: 'bounds' })
    expect(move({ size: 1 })).toMatchObject({ size: 4, why: 'bounds' })
  })

  it('depend on the machine where none are given', () => {
    const cores = availableParallelism()
    expect(sizingOf({}, false, 10)).toEqual({ min: 10, max: 50 * cores, waitMs: 1_000, calmMs: 30_000 })
    expect(sizingOf({}, true, cores)).toMatchObject({ min: 1, max: cores })
    expect(sizingOf({ min: 1_000 }, false, 10)).toMatchObject({ min: 1_000, max: Math.max(1_000, 50 * cores) })
    expect(sizingOf({ max: 3 }, false, 10)).toMatchObject({ min: 3, max: 3 })
  })

  it('that make no sense are refused', () => {
    const define = (autoscale: object): unknown => defineActor('a', { autoscale, messages: { m: () => {} } })
    expect(() => define({ min: 5, max: 2 })).toThrow(
      'expected a.autoscale.min to be at most a.autoscale.max (2), got: 5',
    )
    expect(() => define({ mni: 5 })).toThrow('got: "mni", did you mean "min"?')
    expect(() => define({ min: 0 })).toThrow('expected a.autoscale.min to be a whole number from 1, got: 0')
  })
})
