/**
 * Reading through a stream without a consumer: direct gets in batches (ADR-31). A work queue allows no second consumer on what
 * its lanes have, and whoever only looks should not leave one behind.
 *
 * A follower may answer, a moment behind its leader: what is decided by a message (deleting it) is confirmed by the leader.
 */
import type { Msg } from '@nats-io/transport-node'

import { UnavailableError } from '../errors.ts'
import { randomToken } from '../time/chance.ts'
import { JetStreamError, type Stored } from './api.ts'
import type { Broker } from './broker.ts'
import { headersOf } from './delivery.ts'
import { HeaderBlock } from './headers.ts'

export interface ScanOptions {
  /** Subjects that are meant; wildcards as NATS has them. */
  readonly filter: string
  /** The first sequence that is looked at. Default: the oldest. */
  readonly from?: number
  /** Messages per request. Default 200. */
  readonly batch?: number
}

const BATCH = 200
/** A batch ends there too, so that a few large bodies don't come all at once. */
const BATCH_BYTES = 4 * 1024 * 1024

/** The messages of a stream in order, oldest first; nothing where there is no such stream. Break off when you have seen enough. */
export async function* scan(broker: Broker, stream: string, options: ScanOptions): AsyncGenerator<Stored> {
  let from = options.from ?? 1
  for (;;) {
    const { found, isLast } = await readBatch(broker, stream, { ...options, from })
    yield* found
    const last = found.at(-1)
    if (last === undefined || isLast) return
    from = last.sequence + 1
  }
}

async function readBatch(
  broker: Broker,
  stream: string,
  { filter, from, batch = BATCH }: ScanOptions & { from: number },
): Promise<{ found: Stored[]; isLast: boolean }> {
  const { connection, api } = broker
  const inbox = `${connection.settings.inboxPrefix ?? '_INBOX'}.${randomToken(16)}`
  const found: Stored[] = []
  return new Promise((resolve, reject) => {
    const end = (act: () => void): void => {
      clearTimeout(timer)
      subscription.unsubscribe()
      act()
    }
    const timer = setTimeout(() => end(() => reject(silent(stream))), connection.settings.requestTimeoutMs)
    const subscription = connection.subscribe(inbox, (msg) => {
      const stored = storedOf(stream, msg)
      if (stored === undefined) end(() => settle(msg, found, stream, resolve, reject))
      else found.push(stored)
    })
    const body = { seq: from, next_by_subj: filter, batch, max_bytes: BATCH_BYTES }
    connection.publish(api.directStream(stream), Buffer.from(JSON.stringify(body)), undefined, inbox)
  })
}

/** 204 ends a batch and says how many are left, 404 found nothing, 503: no such stream, or none that allows it. */
function settle(
  msg: Msg,
  found: Stored[],
  stream: string,
  resolve: (batch: { found: Stored[]; isLast: boolean }) => void,
  reject: (error: Error) => void,
): void {
  const code = msg.headers?.code ?? 0
  if (code === 204) resolve({ found, isLast: Number(msg.headers?.get('Nats-Num-Pending') ?? 0) === 0 })
  else if (code === 404 || code === 503) resolve({ found, isLast: true })
  else reject(new JetStreamError('refused', code, msg.headers?.description ?? 'no reason given', stream))
}

const OWN = new Set([
  'nats-stream',
  'nats-sequence',
  'nats-time-stamp',
  'nats-subject',
  'nats-num-pending',
  'nats-last-sequence',
])

/** A message as a direct get answers it, undefined for any other answer: the last header of each of the server's names is the server's own. */
export function storedOf(stream: string, msg: Msg): Stored | undefined {
  const entries = headersOf(msg).entries()
  const own = (name: string): string | undefined => entries.findLast(([key]) => key === name)?.[1]
  const [sequence, subject, time] = [own('Nats-Sequence'), own('Nats-Subject'), own('Nats-Time-Stamp')]
  if (sequence === undefined || subject === undefined) return undefined
  return {
    stream,
    subject,
    sequence: Number(sequence),
    headers: new HeaderBlock(entries.filter(([name]) => !OWN.has(name.toLowerCase()))),
    data: msg.data,
    storedAt: Date.parse(time ?? ''),
  }
}

function silent(stream: string): UnavailableError {
  return new UnavailableError(
    'TIMEOUT',
    `expected NATS to read stream ${stream}, but it did not answer in time. Is it reachable?`,
  )
}
