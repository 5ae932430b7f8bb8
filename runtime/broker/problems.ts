/** What the server or its limits refuse of us: how its word for it is known, and our own, which say what to do. */
import { BrokerError, PayloadError, UnavailableError } from '../errors.ts'

/** Whether the server's problem is that this subject may not be published or subscribed. */
export function isRefusal(problem: Error, operation: 'publish' | 'subscription', subject: string): boolean {
  const refusal = problem as { operation?: unknown; subject?: unknown }
  return refusal.operation === operation && undomained(String(refusal.subject)) === undomained(subject)
}

/** A server of the domain that was asked names the subject that it has made of ours: `$JS.API.…` of `$JS.hub.API.…`, `$KV.…` of that of a key. */
export function undomained(subject: string): string {
  return subject.replace(/^\$JS\.[^.]+\.API\.(\$KV\.)?/, (_prefix, key: string | undefined) => key ?? '$JS.API.')
}

/** Whether NATS was there and did not take our login, at the first dial or at a later one. */
export function isLoginRefused({ name, message }: Error): boolean {
  return /authori[sz]ation|authentication|credentials/i.test(`${name} ${message}`)
}

export function forbidden(subject: string, cause: Error): BrokerError {
  const text = `expected NATS to let us publish to ${subject}, but this user may not. Ask the operator for publish rights on it.`
  return new BrokerError('FORBIDDEN', text, { cause, data: { subject } })
}

export function cutOff(subject: string, cause: Error): UnavailableError {
  const text = `expected NATS to take the message on ${subject}, but the connection was lost meanwhile: it may have been heard or not. Try again.`
  return new UnavailableError('DISCONNECTED', text, { cause, data: { subject } })
}

export function tooLarge(subject: string, size: number, limit: number): PayloadError {
  const text = `expected at most ${limit} bytes with headers on ${subject}, got: ${size}. Raise max_payload on the server, or send less.`
  return new PayloadError('TOO_LARGE', text, { data: { size, limit } })
}
