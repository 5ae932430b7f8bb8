/** An error as the command line tells it: one paragraph, and an exit code that scripts can act on. */
import { ConfigError, OutcomeError, PayloadError, TroupeError, UnavailableError, toError } from '../errors.ts'
import { toJson } from './print.ts'

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notDone: 3,
  unavailable: 4,
} as const

/** For help. */
export const exitCodesText = [
  '0  it was done; for "start" and "server": stopped as asked',
  '1  it failed',
  '2  the command line, the configuration or the payload is wrong',
  '3  the message ended otherwise than done: dead, cancelled or expired',
  '4  nothing is wrong with the command, but it was not done in time: try again later',
].join('\n  ')

export function exitCodeOf(error: unknown): number {
  if (error instanceof OutcomeError) return exitCodes.notDone
  if (error instanceof UnavailableError) return exitCodes.unavailable
  return error instanceof ConfigError || error instanceof PayloadError ? exitCodes.usage : exitCodes.failed
}

export function failureText(thrown: unknown, { isDebug, isJson }: { isDebug: boolean; isJson: boolean }): string {
  const error = toError(thrown)
  if (isJson) return toJson({ error: failureData(error, isDebug) })
  if (isDebug) return `troupe: ${stacks(error)}`
  if (error instanceof TroupeError) return `troupe: ${error.message}`
  return `troupe: ${error.name}: ${error.message} (with --debug its stack is shown)`
}

function failureData(error: Error, isDebug: boolean): Record<string, unknown> {
  const { name, message, stack } = error
  const code = error instanceof TroupeError ? error.code : undefined
  const failure = error instanceof OutcomeError ? error.failure : undefined
  return { name, code, message, failure, stack: isDebug ? stack : undefined }
}

function stacks(error: Error): string {
  const text = error.stack ?? error.message
  return error.cause === undefined ? text : `${text}\nbecause of ${stacks(toError(error.cause))}`
}
