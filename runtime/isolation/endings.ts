/** What is told of a thread or process that ended though nobody had asked it to, or before it was ready. */
import { ActorError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { boundReport, type CrashCause, type CrashReport } from './crash.ts'
import type { MemberSettings } from './member.ts'
import type { PortExit } from './port.ts'

/** What its parent knew of it. */
export interface Known {
  readonly name: string
  readonly kind: CrashReport['kind']
  readonly pid: number | undefined
  /** 0: never looked at. */
  readonly heldBytes: number
  /** It was ended for holding more than its limit. */
  readonly isOverLimit: boolean
  /** An exception that nobody caught. */
  readonly error: Error | undefined
}

export function crashReport(known: Known, exit: PortExit): CrashReport {
  const { name, kind, pid, heldBytes, error } = known
  const { code, signal, stderr } = exit
  return boundReport({
    at: new Date(systemClock.now()).toISOString(),
    member: name,
    kind,
    cause: causeOf(known, exit),
    ...(pid === undefined ? {} : { pid }),
    ...(code === undefined ? {} : { code }),
    ...(signal === undefined ? {} : { signal }),
    ...(error === undefined ? {} : { error: error.stack ?? `${error.name}: ${error.message}` }),
    ...(heldBytes === 0 ? {} : { memoryBytes: heldBytes }),
    stderr,
  })
}

function causeOf({ isOverLimit, error }: Known, { isOutOfMemory, signal }: PortExit): CrashCause {
  if (isOverLimit || isOutOfMemory) return 'memory'
  if (error !== undefined) return 'uncaught'
  return signal === undefined ? 'exit' : 'signal'
}

/** Why it never was ready: what it said itself, or how it ended. */
export function startFailure({ start, isolation }: MemberSettings, exit: PortExit, said: Error | undefined): Error {
  if (said instanceof ActorError && said.code === 'START_FAILED') return said
  const { actor, module } = start
  const { code, signal, stderr } = exit
  const how = said?.message ?? `it ended with ${signal ?? `exit code ${code}`} before it was ready`
  const text = `expected the ${isolation.kind} of actor ${actor} to start, but it did not: ${how}`
  return new ActorError('START_FAILED', text, { cause: said, data: { actor, module, code, signal, stderr } })
}
