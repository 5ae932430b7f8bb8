/** Sunrise and sunset as a kind of rule: once each solar day at a place, and not at all on days without. Absolute time. */

import { getTimes } from 'suncalc'

import { parseDuration, formatDuration } from '../time/duration.ts'
import { DAY, dayOf, SECOND } from './civil.ts'
import { readBy, readObject, readWord, refuse } from './refuse.ts'
import type { Source } from './source.ts'
import type { Walk } from './walk.ts'

export interface SunTimes {
  /** `dawn` and `dusk` are those of civil twilight (the sun 6° below the horizon), `noon` is when the sun is highest. */
  readonly event: SunEvent
  /** Degrees north, -89 to 89: nearer to the poles the sun rises about once a year. */
  readonly latitude: number
  /** Degrees east, -180 to 180. */
  readonly longitude: number
  /** So long after the event or, with a minus, before it: `'30m'`, `'-1h'`. At most a day. Default: at the event. */
  readonly offset?: string | number
}

const events = ['sunrise', 'sunset', 'dawn', 'dusk', 'noon'] as const
export type SunEvent = (typeof events)[number]

export type ResolvedSun = Readonly<Record<'latitude' | 'longitude', number>> & {
  readonly event: SunEvent
  readonly offset: string
}

export const sunSource: Source = {
  options: [],
  resolve({ sun }, name) {
    const given = readObject(sun, `${name}.sun`, ['event', 'latitude', 'longitude', 'offset'])
    return {
      sun: {
        event: readWord(given['event'], `${name}.sun.event`, events),
        latitude: readDegrees(given['latitude'], `${name}.sun.latitude`, 89),
        longitude: readDegrees(given['longitude'], `${name}.sun.longitude`, 180),
        offset: formatDuration(readOffset(given['offset'] ?? 0, `${name}.sun.offset`)),
      },
    }
  },
  walk: ({ sun }) => sunWalk(sun as ResolvedSun),
}

function readDegrees(value: unknown, name: string, most: number): number {
  const fits = typeof value === 'number' && Math.abs(value) <= most
  return fits ? value : refuse(name, `degrees from -${most} to ${most}`, value)
}

/** A duration with a sign. */
function readOffset(value: unknown, name: string): number {
  const isBefore = typeof value === 'string' ? value.startsWith('-') : typeof value === 'number' && value < 0
  const unsigned =
    typeof value === 'string' ? value.replace(/^[+-]/, '') : typeof value === 'number' ? Math.abs(value) : value
  const ms = readBy(parseDuration, unsigned, name)
  if (ms > DAY || ms % SECOND !== 0) return refuse(name, 'a span of whole seconds, at most a day', value)
  return isBefore ? -ms : ms
}

/** Longer than any night or day at an accepted latitude. */
const LONGEST_WAIT_DAYS = 400

function sunWalk({ event, latitude, longitude, offset }: ResolvedSun): Walk {
  const offsetMs = readOffset(offset, 'offset')
  const key = event === 'noon' ? 'solarNoon' : event
  const onDay = (day: number): number | undefined => {
    const noon = day * DAY + DAY / 2
    const at = getTimes(new Date(noon), latitude, longitude)[key]
    // Near the poles, where the sun rises for half a year, the formula may find a moment that is days away: it is no event of this day.
    if (at === null || Math.abs(at.getTime() - noon) > DAY) return undefined
    return Math.round(at.getTime() / SECOND) * SECOND + offsetMs
  }
  return {
    next: (after) => seek(onDay, dayOf(after - offsetMs) - 2, 1, (at) => at > after),
    previous: (before) => seek(onDay, dayOf(before - offsetMs) + 2, -1, (at) => at < before),
  }
}

/**
 * The first event in a direction of days that is beyond a moment. A solar day's events are within a day of its noon in UTC: near the
 * poles one of the next two days may have an earlier one.
 */
function seek(
  onDay: (day: number) => number | undefined,
  from: number,
  step: 1 | -1,
  isBeyond: (at: number) => boolean,
): number | undefined {
  const beyond = (index: number): number[] => {
    const at = onDay(from + index * step)
    return at !== undefined && isBeyond(at) ? [at] : []
  }
  for (let index = 0; index <= LONGEST_WAIT_DAYS; index++) {
    const [at] = beyond(index)
    if (at === undefined) continue
    const all = [at, ...beyond(index + 1), ...beyond(index + 2)]
    return step === 1 ? Math.min(...all) : Math.max(...all)
  }
  return undefined
}
