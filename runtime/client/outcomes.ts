/** An outcome as it comes back to a sender: the value, or the typed error that says how the message ended. */
import type { HeaderBlock } from '../broker/headers.ts'
import { H } from '../broker/headers.ts'
import { decode } from '../codec/codec.ts'
import { OutcomeError, PayloadError, type Failure } from '../errors.ts'

/** The handler's value. Throws `OutcomeError` (`DEAD`, `CANCELLED`, `EXPIRED`), or `PayloadError` where the value could not cross the wire. */
export function readOutcome(headers: HeaderBlock, body: Uint8Array, what: string): unknown {
  const status = headers.get(H.status)
  const value = decode(headers.get(H.contentType), body)
  if (status === 'done') {
    const problem = headers.get(H.error)
    if (problem === undefined) return value
    throw new PayloadError(problem, `${what} is done, but its result could not be sent: ${toFailureOf(value).message}`)
  }
  const failure = toFailureOf(value)
  const text = `${what} ended as ${status ?? 'unknown'}: ${failure.name}: ${failure.message}`
  throw new OutcomeError((status ?? 'dead').toUpperCase(), text, failure, { data: { attempts: failure.attempts } })
}

function toFailureOf(value: unknown): Failure {
  if (typeof value === 'object' && value !== null && 'message' in value) {
    const { name, message, code, attempts, issues } = value as Record<string, unknown>
    return {
      name: typeof name === 'string' ? name : 'Error',
      message: String(message),
      ...(typeof code === 'string' ? { code } : {}),
      ...(typeof attempts === 'number' ? { attempts } : {}),
      ...(Array.isArray(issues) ? { issues: issues as NonNullable<Failure['issues']> } : {}),
    }
  }
  return { name: 'Error', message: 'no reason was given' }
}
