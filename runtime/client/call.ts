/** A live call: a request to the NATS micro endpoint of a running worker (ADR-32), with its error headers. */
import type { MsgHdrs } from '@nats-io/transport-node'

import type { Broker } from '../broker/broker.ts'
import { encodeHeaders, H, type HeaderEntry } from '../broker/headers.ts'
import { decode } from '../codec/codec.ts'
import { ActorError, BrokerError, OutcomeError, UnavailableError, toError } from '../errors.ts'
import { LIVE_CODES } from '../flow/live.ts'

interface Target {
  readonly actor: string
  readonly message: string
}

/** The library waits by a timer of Node's, which fires at once for more than 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1

export async function liveCall(
  broker: Broker,
  target: Target,
  body: Uint8Array,
  headers: readonly HeaderEntry[],
  timeoutMs: number,
): Promise<unknown> {
  const { connection, subjects } = broker
  const block = encodeHeaders(headers)
  const options = {
    timeout: Math.min(LONGEST_MS, Math.max(1, timeoutMs)),
    headers: { encode: () => block } as unknown as MsgHdrs,
  }
  const reply = await connection.raw
    .request(subjects.call(target.actor, target.message), body, options)
    .catch((thrown: unknown) => {
      throw callError(target, toError(thrown), timeoutMs)
    })
  const code = reply.headers?.get('Nats-Service-Error-Code')
  if (code !== undefined && code !== '')
    throw serviceError(target, Number(code), reply.headers?.get('Nats-Service-Error') ?? '', reply.data)
  return decode(reply.headers?.get(H.contentType), reply.data)
}

function callError({ actor, message }: Target, cause: Error, timeoutMs: number): Error {
  const what = `${actor}.${message}`
  if (/no ?responders/i.test(`${cause.name} ${cause.message}`)) {
    const text = `expected a live worker that answers ${what}, but none runs. Start one, or send() the message so that it waits for one.`
    return new ActorError('NO_LIVE_WORKER', text, { cause, data: { actor, message } })
  }
  if (/timeout/i.test(`${cause.name} ${cause.message}`)) {
    return new UnavailableError(
      'TIMEOUT',
      `expected ${what} to answer within ${timeoutMs} ms, but it did not. It may still run.`,
      { cause },
    )
  }
  if (/permission/i.test(`${cause.name} ${cause.message}`)) {
    const text = `expected NATS to let us call ${what}, but this user may not (${cause.message}). Ask the operator for publish rights on it.`
    return new BrokerError('FORBIDDEN', text, { cause, data: { actor, message } })
  }
  return new UnavailableError('DISCONNECTED', `expected to reach ${what}, but the request failed: ${cause.message}`, {
    cause,
  })
}

function serviceError({ actor, message }: Target, code: number, description: string, body: Uint8Array): Error {
  const text = `${actor}.${message} answered with an error (${code}): ${description}`
  if (code === LIVE_CODES.busy || code === LIVE_CODES.stopping)
    return new UnavailableError('BUSY', text, { data: { code } })
  return new OutcomeError('DEAD', text, failureIn(body) ?? { name: 'Error', message: description }, { data: { code } })
}

function failureIn(body: Uint8Array): { name: string; message: string } | undefined {
  try {
    const value = JSON.parse(Buffer.from(body).toString()) as { name?: unknown; message?: unknown } | null
    return typeof value?.message === 'string'
      ? { ...value, name: String(value.name), message: value.message }
      : undefined
  } catch {
    return undefined
  }
}
