/** Rules as a person would say them. */

import { formatMoment } from './moments.ts'
import { kindOf, type ResolvedRule } from './rule.ts'

/** A rule in words: `every 15m`. */
export function inWords(rule: ResolvedRule): string {
  if ('every' in rule) return `every ${String(rule.every)}`
  if ('times' in rule)
    return `at ${rule.times.map((time) => (typeof time === 'string' ? time : formatMoment(+time))).join(', ')}`
  return `${kindOf(rule)} ${rule.cron}, ${rule.timeZone}`
}
