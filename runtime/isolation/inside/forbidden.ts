/** A module that is loaded for its actor must not start a system, or each of its processes would start processes without end. */
import { ConfigError } from '../../errors.ts'

/** One for all copies of Troupe that a process may load. */
const FORBIDDEN = Symbol.for('troupe.isolated')

export function forbidSystems(): void {
  Object.defineProperty(globalThis, FORBIDDEN, { value: true })
}

/** Throws `ConfigError` `SYSTEM_IN_MEMBER` in a thread or process of an isolated actor. */
export function checkMayRun(): void {
  if (!(FORBIDDEN in globalThis)) return
  const text =
    'expected the module of an isolated actor to define it and no more, but it starts a system when it is imported. Put defineActor(…) into a file of its own.'
  throw new ConfigError('SYSTEM_IN_MEMBER', text)
}
