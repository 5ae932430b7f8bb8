/** Errors of supervisors. */
import { ActorError, UnavailableError, didYouMean } from '../errors.ts'
import { formatDuration } from '../time/duration.ts'

/** A child could not be started, so its supervisor could not either. Code `START_FAILED`; the child's own error is the cause. */
export class StartError extends UnavailableError {
  constructor(supervisor: string, child: string, cause: Error) {
    super('START_FAILED', `expected ${child} to start below ${supervisor}, but it could not: ${cause.message}`, {
      cause,
      data: { supervisor, child },
    })
  }
}

/** A supervisor made more restarts than it may. Code `GAVE_UP`; the last child's own error is the cause. */
export class GaveUpError extends UnavailableError {
  constructor(
    supervisor: string,
    child: string,
    limit: { restarts: number; withinMs: number },
    cause: Error | undefined,
  ) {
    const { restarts, withinMs } = limit
    const last = cause === undefined ? `the last was ${child}, which ended` : `the last was ${child}: ${cause.message}`
    const text = `expected at most ${restarts} restarts below ${supervisor} within ${formatDuration(withinMs)}, but there were more: ${last}`
    super('GAVE_UP', text, { cause, data: { supervisor, child, restarts, withinMs } })
  }
}

/** What a start really failed of, however deep in the tree. */
export function rootCause(error: Error): Error {
  return error instanceof StartError && error.cause instanceof Error ? rootCause(error.cause) : error
}

export function childNotFound(name: string, known: readonly string[]): ActorError {
  const text = `expected one of ${known.join(', ') || 'no name at all'}, got: ${JSON.stringify(name)}${didYouMean(name, known)}`
  return new ActorError('NO_CHILD', text, { data: { name, known } })
}
