/** `times: [...]` as a kind of rule: a fixed list. */

import { parseInstant } from '../time/duration.ts'
import { FIRST_MS, LAST_MS, SECOND } from './civil.ts'
import { formatMoment, formatWall, parseWall } from './moments.ts'
import { readBy, refuse } from './refuse.ts'
import type { Source } from './source.ts'
import { listWalk, sortedUnique } from './walk.ts'
import { momentsOf, type Zone } from './zone.ts'
import type { Repeated } from './zoned.ts'

/** More don't belong into one record. */
const MOST = 10_000

export const timesSource: Source = {
  options: [],
  resolve({ times }, name) {
    const isList = Array.isArray(times) && times.length > 0 && times.length <= MOST
    if (!isList) return refuse(`${name}.times`, `a list of 1 to ${MOST} moments`, times)
    return { times: times.map((time, index) => readTime(time, `${name}.times[${index}]`)) }
  },
  walk({ times }, zone, repeated) {
    return listWalk(sortedUnique((times as string[]).flatMap((time) => momentsAt(time, zone, repeated))))
  },
}

/** Normal form: a moment in UTC, or a wall time that stays one. */
function readTime(value: unknown, name: string): string {
  const wallMs = parseWall(value)
  const ms = wallMs ?? readBy(parseInstant, value, name)
  if (ms < FIRST_MS || ms > LAST_MS || ms % SECOND !== 0)
    return refuse(name, 'a moment in whole seconds, from 1970 to 2199', value)
  return wallMs === undefined ? formatMoment(ms) : formatWall(wallMs)
}

function momentsAt(time: string, zone: Zone, repeated: Repeated): number[] {
  const wallMs = parseWall(time)
  return wallMs === undefined ? [Date.parse(time)] : momentsOf(zone, wallMs, repeated === 'both')
}
