/**
 * What may be wrong with a namespace: questions to NATS and to the systems, each answered by findings that say what to do.
 *
 * The checks are a list. Each reads what it needs and returns what it found; one that cannot read (no permission, NATS away) is
 * a finding itself and holds up no other.
 */
import { toError } from '../errors.ts'
import { checkActors, checkGrowth, checkStuck } from './actorChecks.ts'
import type { Check, Finding, Patient } from './finding.ts'
import {
  checkClock,
  checkLeftovers,
  checkLimits,
  checkPermissions,
  checkReplicas,
  checkServer,
  checkStreams,
} from './natsChecks.ts'

/** In the order in which they are told. */
const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ['server', checkServer],
  ['limits', checkLimits],
  ['clock', checkClock],
  ['permissions', checkPermissions],
  ['streams', checkStreams],
  ['replicas', checkReplicas],
  ['actors', checkActors],
  ['growth', checkGrowth],
  ['stuck', checkStuck],
  ['leftovers', checkLeftovers],
]

/** All findings, check by check; `onCheck` is told before each. */
export async function examine(patient: Patient, onCheck: (name: string) => void = () => {}): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [name, check] of CHECKS) {
    onCheck(name)
    findings.push(...(await check(patient).catch((error: unknown) => [unread(name, toError(error))])))
  }
  return findings
}

function unread(check: string, error: Error): Finding {
  const advice = 'Is NATS reachable, and may this user ask? The role "operator" may.'
  return { level: 'warning', check, text: `could not be looked at: ${error.message}`, advice }
}
