/**
 * Wall clocks of IANA time zones.
 *
 * Owns: offsets, and what a wall time means where clocks are set forward or back. Does not own: which wall times a rule has.
 * The zones' history comes from Node's own ICU data, through luxon; a newer Node knows newer laws.
 *
 * Assumed: two changes of one zone are more than `STEADY` apart. Of all zones that Node 20.20 knows, from 1970 to 2037, looked at each three
 * hours, the two that are nearest to each other are 6.9 days apart (Boa Vista, October 2000).
 */

import { IANAZone } from 'luxon'

import { DAY, MINUTE, SECOND } from './civil.ts'

/** Within so long an equal offset at both ends means the same offset in between. */
const STEADY = 3 * DAY

export interface Zone {
  /** As it was asked for: `Europe/Paris`. */
  readonly name: string
  /** What the wall clock is ahead of UTC, in milliseconds. */
  offsetAt(ms: number): number
}

const zones = new Map<string, Zone>()

/** The zone with this name; `undefined` where Node doesn't know it. */
export function findZone(name: string): Zone | undefined {
  const found = zones.get(name)
  if (found !== undefined) return found
  const zone = isUtc(name) ? utc(name) : ianaZone(name)
  if (zone !== undefined) zones.set(name, zone)
  return zone
}

const isUtc = (name: string): boolean => /^(utc|etc\/utc|gmt|etc\/gmt)$/i.test(name)

const utc = (name: string): Zone => ({ name, offsetAt: () => 0 })

function ianaZone(name: string): Zone | undefined {
  // Newer Node takes `+02:00` for a zone; a schedule with a bare offset would silently know no summer time.
  if (!/^[A-Za-z]/.test(name) || !IANAZone.isValidZone(name)) return undefined
  const iana = IANAZone.create(name)
  const offsetAt = (ms: number): number => iana.offset(ms) * MINUTE
  const chunks = new Map<number, Chunk>()
  const chunkAt = (index: number): Chunk => {
    const chunk = chunks.get(index) ?? surveyed(offsetAt, index * CHUNK)
    chunks.set(index, chunk)
    return chunk
  }
  return {
    name,
    offsetAt: (ms) => (chunkAt(Math.floor(ms / CHUNK)).findLast(({ from }) => from <= ms) as Stretch).offset,
  }
}

/** Offsets are surveyed a year or so at a time and kept: luxon takes microseconds for each. */
const CHUNK = 366 * DAY

/** A stretch with one offset, until the next one begins. */
interface Stretch {
  readonly from: number
  readonly offset: number
}

type Chunk = readonly Stretch[]

function surveyed(offsetAt: (ms: number) => number, start: number): Chunk {
  const stretches: Stretch[] = [{ from: start, offset: offsetAt(start) }]
  for (let ms = start; ms < start + CHUNK; ms += STEADY) {
    const end = Math.min(ms + STEADY, start + CHUNK - SECOND)
    const [before, after] = [(stretches.at(-1) as Stretch).offset, offsetAt(end)]
    if (before !== after) {
      const from = firstWithout(offsetAt, before, ms, end)
      stretches.push({ from, offset: offsetAt(from) })
    }
  }
  return stretches
}

/** A moment at which the clocks of a zone are set. */
export interface Change {
  readonly at: number
  /** Offsets before and from then on. */
  readonly before: number
  readonly after: number
}

/** What a wall time means: one moment, two, or none where the clock jumps over it. */
export type Meaning =
  | { readonly kind: 'once'; readonly at: number }
  | { readonly kind: 'twice'; readonly first: number; readonly second: number; readonly change: Change }
  | { readonly kind: 'never'; readonly change: Change }

/** Offsets are at most 14 hours from UTC, and so a day to either side of a wall time lies around its moment. */
export function meaningOf(zone: Zone, wallMs: number): Meaning {
  const change = changeNear(zone, wallMs - DAY, wallMs + DAY)
  if (change === undefined) return { kind: 'once', at: wallMs - zone.offsetAt(wallMs) }
  const [old, young] = [wallMs - change.before, wallMs - change.after]
  const [isOld, isYoung] = [old < change.at, young >= change.at]
  if (isOld && isYoung) return { kind: 'twice', first: old, second: young, change }
  if (isOld || isYoung) return { kind: 'once', at: isOld ? old : young }
  return { kind: 'never', change }
}

/** The first whole second of another offset than `offset`, which `from` has and `until` hasn't; by bisection. Clocks are set at whole seconds. */
function firstWithout(offsetAt: (ms: number) => number, offset: number, from: number, until: number): number {
  let [low, high] = [Math.floor(from / SECOND), Math.ceil(until / SECOND)]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(middle * SECOND) === offset) low = middle
    else high = middle
  }
  return high * SECOND
}

/** The moments of a wall time: where it exists twice the first or `both`, where it doesn't the end of the gap. */
export function momentsOf(zone: Zone, wallMs: number, both: boolean): number[] {
  const meaning = meaningOf(zone, wallMs)
  if (meaning.kind === 'twice') return both ? [meaning.first, meaning.second] : [meaning.first]
  return [meaning.kind === 'once' ? meaning.at : meaning.change.at]
}

/** The change between two moments at most a few days apart; `undefined` where there is none. */
export function changeNear(zone: Zone, from: number, until: number): Change | undefined {
  const [before, after] = [zone.offsetAt(from), zone.offsetAt(until)]
  if (before === after) return undefined
  return { at: firstWithout((ms) => zone.offsetAt(ms), before, from, until), before, after }
}

/** What the wall clock shows at a moment. */
export const wallAt = (zone: Zone, ms: number): number => ms + zone.offsetAt(ms)
