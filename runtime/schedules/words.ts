/** Rules as a person would say them. */

import type { ResolvedRule } from './rule.ts'

/** A rule in words: `every 15m`. */
export function inWords(rule: ResolvedRule): string {
  if ('every' in rule) return `every ${rule.every}`
  if ('times' in rule) return `at ${rule.times.join(', ')}`
  return `cron ${rule.cron}, ${rule.timeZone}`
}
