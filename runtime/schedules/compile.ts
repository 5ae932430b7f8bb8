/** From a checked rule to its walk: kind, zone, conditions. Compiled once for each rule object, and forgotten with it. */

import { FIRST_MS, LAST_MS } from './civil.ts'
import { conditioned } from './conditioned.ts'
import { conditionOf } from './conditions.ts'
import { kindOf, sources } from './kinds.ts'
import { invalid } from './refuse.ts'
import type { ResolvedRule } from './rule.ts'
import type { Source } from './source.ts'
import { noTimes, type Walk, within } from './walk.ts'
import { findZone, type Zone } from './zone.ts'

const walks = new WeakMap<ResolvedRule, Walk>()

/** The moments of a rule. */
export function walkOf(rule: ResolvedRule): Walk {
  const known = walks.get(rule)
  if (known !== undefined) return known
  const walk = compile(rule)
  walks.set(rule, walk)
  return walk
}

function compile(rule: ResolvedRule): Walk {
  const kind = kindOf(rule)
  if (kind === undefined) return noTimes
  const zone = zoneOf(rule.timeZone)
  const source: Source = sources[kind]
  const walk = within(source.walk({ ...rule }, zone, rule.dst), FIRST_MS, LAST_MS)
  const condition = conditionOf(rule)
  return condition === undefined ? walk : conditioned(walk, condition, zone)
}

function zoneOf(name: string): Zone {
  const zone = findZone(name)
  if (zone === undefined) throw invalid(`expected timeZone to be a zone that this Node knows, got: ${name}`, 'timeZone')
  return zone
}
