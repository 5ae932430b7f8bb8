/** What the doctor's checks take and give, in one form: a finding, and what to do about it. */
import type { ActorSpec } from '../actor.ts'
import type { Link } from '../troupe.ts'

export interface Finding {
  /** `error`: something does not work. `warning`: it may not for long. `ok`: looked at, and well. */
  readonly level: 'error' | 'warning' | 'ok'
  /** What was looked at: `server`, `streams`, … */
  readonly check: string
  readonly text: string
  /** What to do; absent where all is well. */
  readonly advice?: string
}

export interface Patient {
  readonly link: Link
  /** Definitions to compare the streams with; none: their settings are not checked. */
  readonly specs: readonly ActorSpec[]
}

/** Throws where it cannot read; that is a finding too (doctor.ts). */
export type Check = (patient: Patient) => Promise<Finding[]>

/** What a check found, or that all is well. */
export function orWell(findings: Finding[], check: string, text: string): Finding[] {
  return findings.length > 0 ? findings : [{ level: 'ok', check, text }]
}
