/** Moments and wall times as text. */

import { SECOND } from './civil.ts'

/** RFC 3339 in UTC; without fractions where there are none: `2027-03-28T01:00:00Z`. */
export function formatMoment(ms: number): string {
  const text = new Date(ms).toISOString()
  return ms % SECOND === 0 ? `${text.slice(0, -5)}Z` : text
}

const wallText = /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?))?$/

/** A wall time without offset, `2027-03-28T09:00` or `2027-03-28`, as wall milliseconds; `undefined` for all else. */
export function parseWall(value: unknown): number | undefined {
  const match = typeof value === 'string' ? wallText.exec(value) : null
  if (match === null) return undefined
  const [, date = '', time = '00:00'] = match
  const ms = Date.parse(`${date}T${time}Z`)
  // `Date.parse` takes the 30th of February for the 2nd of March.
  return Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== date ? undefined : ms
}

/** `2027-03-28T09:00:00` */
export const formatWall = (wallMs: number): string => new Date(wallMs).toISOString().slice(0, 19)
