/**
 * How many messages a worker should run at once, between bounds: pure, decided anew at each look (a second).
 *
 * Up, doubled, where all slots are taken, more waits, and what waits would take longer than `waitMs` at the present pace; unless
 * the event loop is busy already, or the last step up did not help. Whether it helped is seen in latency: where runs take
 * longer in step with their number, something behind them (a database, the cores) is what they wait for; then that step is taken back, and
 * none is tried for a while.
 * Down, to what was used at most and a quarter, after `calmMs` in which nothing waited and a good part of the slots was never used.
 */

export interface Sizing {
  readonly min: number
  readonly max: number
  /** What waits should be begun within this time: ms. */
  readonly waitMs: number
  /** Before it goes down: ms. */
  readonly calmMs: number
}

/** What was seen since the last look. */
export interface Sample {
  readonly size: number
  /** Slots that were taken: on average, and at most. */
  readonly busy: number
  readonly peak: number
  /** Messages that wait in the mailbox. */
  readonly backlog: number
  /** Runs that ended, per second. */
  readonly perSecond: number
  /** Of an inline actor: share of the time in which the event loop was at work. */
  readonly loopShare: number
}

/** What is remembered between looks. Times are monotonic ms. */
export interface Trend {
  /** Since when it is calm, and the most slots that were taken since. */
  readonly calmSince: number | undefined
  readonly peak: number
  /** Runs per second at each look at this size at which all slots were taken, the newest last. */
  readonly paces: readonly number[]
  /** The last step up, and the pace before it. */
  readonly step: { readonly from: number; readonly perSecond: number } | undefined
  readonly holdUntil: number
}

export interface Move {
  readonly size: number
  readonly trend: Trend
  /** Why it moved; undefined where it did not. */
  readonly why?: 'backlog' | 'calm' | 'no faster' | 'bounds'
}

export const AT_REST: Trend = { calmSince: undefined, peak: 0, paces: [], step: undefined, holdUntil: 0 }

const GROWTH = 2
/** Slots are full when so many of them are taken on average. */
const FULL = 0.9
/** More than this of the loop's time, and more at once would only make all of them slower. */
const LOOP_BUSY = 0.9
/** Looks at one size before a step away from it, and before that step is judged: one alone may say anything. */
const LOOKS = 2
/** It helped if the pace rose by this share of what the step could give. */
const HELPED = 0.3
/** After a step that did not help: ms. */
const HOLD_MS = 60_000
const CALM_USE = 0.6
const HEADROOM = 1.25

export function nextSize(sizing: Sizing, before: Trend, sample: Sample, now: number): Move {
  const { size } = sample
  const bounded = Math.min(sizing.max, Math.max(sizing.min, size))
  if (bounded !== size) return { size: bounded, trend: AT_REST, why: 'bounds' }
  const trend = withPace(before, sample)
  const back = stepBack(trend, sample, now)
  if (back !== undefined) return back
  return wantsMore(sizing, sample) ? stepUp(sizing, trend, sample, now) : stepDown(sizing, trend, sample, now)
}

/** Where its slots are not even taken, its pace says nothing about them. */
function withPace(trend: Trend, { size, busy, perSecond }: Sample): Trend {
  return busy < size * FULL ? trend : { ...trend, paces: [...trend.paces, perSecond].slice(-LOOKS - 1) }
}

/** Takes a step back that did not help. The first look after it is still about the size before. */
function stepBack({ step, paces }: Trend, { size }: Sample, now: number): Move | undefined {
  if (step === undefined || paces.length <= LOOKS) return undefined
  const could = size / step.from - 1
  const did = step.perSecond === 0 ? Infinity : mean(paces.slice(1)) / step.perSecond - 1
  if (did >= could * HELPED) return undefined
  return { size: step.from, trend: { ...AT_REST, holdUntil: now + HOLD_MS }, why: 'no faster' }
}

function wantsMore({ waitMs }: Sizing, { size, busy, backlog, perSecond, loopShare }: Sample): boolean {
  const waitsMs = perSecond === 0 ? Infinity : (backlog / perSecond) * 1_000
  return backlog > 0 && busy >= size * FULL && waitsMs > waitMs && loopShare < LOOP_BUSY
}

function stepUp({ max }: Sizing, trend: Trend, { size }: Sample, now: number): Move {
  const busy = { ...trend, calmSince: undefined, peak: 0 }
  const isSure = trend.paces.length >= (trend.step === undefined ? LOOKS : LOOKS + 1)
  if (size >= max || now < trend.holdUntil || !isSure) return { size, trend: busy }
  const to = Math.min(max, Math.max(size + 1, Math.ceil(size * GROWTH)))
  const step = { from: size, perSecond: Math.max(...trend.paces) }
  return { size: to, trend: { ...busy, paces: [], step }, why: 'backlog' }
}

function stepDown({ min, calmMs }: Sizing, trend: Trend, { size, peak, backlog }: Sample, now: number): Move {
  if (backlog > 0 || peak > size * CALM_USE) return { size, trend: { ...trend, calmSince: undefined, peak: 0 } }
  const calmSince = trend.calmSince ?? now
  const most = Math.max(trend.peak, peak)
  const to = Math.max(min, Math.ceil(most * HEADROOM))
  if (now - calmSince < calmMs || to >= size)
    return { size, trend: { ...trend, calmSince, peak: most, paces: [], step: undefined } }
  return { size: to, trend: AT_REST, why: 'calm' }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
