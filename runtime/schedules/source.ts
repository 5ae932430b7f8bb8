/** What each kind of time rule has to be able to do. */

import type { Walk } from './walk.ts'
import type { Zone } from './zone.ts'
import type { Repeated } from './zoned.ts'

/** A rule's own keys, checked or not. */
export type RuleObject = Readonly<Record<string, unknown>>

export interface Source {
  /** Keys beside the one that makes the kind. */
  readonly options: readonly string[]
  /**
   * Checks the rule's own keys and gives their normal form, which is plain JSON that it takes back unchanged.
   *
   * @param timeZone as the rule says it; a kind whose own text names a zone gives it with its normal form
   * @throws ConfigError `INVALID_SCHEDULE`
   */
  resolve(rule: RuleObject, name: string, timeZone: string | undefined): RuleObject
  /** The moments of a rule in normal form. */
  walk(rule: RuleObject, zone: Zone, repeated: Repeated): Walk
}
