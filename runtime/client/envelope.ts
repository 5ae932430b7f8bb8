/** The headers of a message as it leaves its sender. */
import { encodeHeaders, H, type HeaderBlock, type HeaderEntry } from '../broker/headers.ts'
import { PayloadError, describe } from '../errors.ts'
import { nextId } from '../time/chance.ts'
import { optionHeaders, type SendOptions } from './options.ts'

/** What a message inherits from the one whose handler sends it. */
export interface Lineage {
  readonly root: string
  readonly parent: string
  readonly trace: readonly HeaderEntry[]
}

/** When a message is to be sent: neither is now. */
export interface Timing {
  /** Epoch ms by the server's clock. */
  readonly due?: number
  /** So long after the server has stored it. */
  readonly delayMs?: number
}

/** Epoch ms at which it is due, as well as it is known here. */
export function dueOf({ due, delayMs }: Timing, now: () => number): number | undefined {
  return delayMs === undefined ? due : now() + delayMs
}

export interface Envelope {
  readonly id: string
  readonly options: SendOptions
  readonly timing: Timing
  readonly lineage: Lineage | undefined
  /** The sender's name. */
  readonly sender: string
  readonly extra: readonly HeaderEntry[]
  /** Epoch ms by the server's clock. */
  readonly now: () => number
}

/** No options: the plain message, whose headers are made without a list. */
export const NO_OPTIONS: SendOptions = Object.freeze({})

export function envelopeHeaders({ id, options, timing, lineage, sender, extra, now }: Envelope): Buffer {
  if (options === NO_OPTIONS && extra.length === 0 && lineage === undefined) return plainHeaders(id)
  const key = headerId(id)
  const due = dueOf(timing, now)
  const headers: HeaderEntry[] = [[H.dedupe, options.replace ? nextId() : key]]
  if (options.replace) headers.push([H.id, key])
  headers.push(
    // The server's own TTL would count from now: a delayed message gets its own from the timer.
    ...optionHeaders(options, () => due ?? now()).filter(([name]) => due === undefined || name !== H.ttl),
    ...extra,
    ...lineageHeaders(lineage),
  )
  if (sender !== 'any') headers.push([H.sender, sender])
  if (due === undefined) return encodeHeaders(headers)
  headers.push(timing.delayMs === undefined ? [H.due, String(due)] : [H.delay, `${timing.delayMs}ms`])
  if (options.lane !== undefined && options.lane !== 'normal') headers.push([H.lane, options.lane])
  if (options.replace) headers.push([H.replace, 'true'])
  return encodeHeaders(headers)
}

export function lineageHeaders(lineage: Lineage | undefined): HeaderEntry[] {
  if (lineage === undefined) return []
  return [[H.root, lineage.root], [H.parent, lineage.parent], ...lineage.trace]
}

/** Without the trace, where a span of its own stands for it. */
export function untraced(lineage: Lineage | undefined): Lineage | undefined {
  return lineage && { ...lineage, trace: [] }
}

/** A message's lineage for what its handler sends. */
export function lineageOf(message: { id: string; root: string; headers: HeaderBlock }): Lineage {
  const trace: HeaderEntry[] = []
  for (const name of [H.traceparent, H.tracestate]) {
    const value = message.headers.get(name)
    if (value !== undefined) trace.push([name, value])
  }
  return { root: message.root, parent: message.id, trace }
}

/** The whole block of a plain message: one header, made without a list. */
function plainHeaders(id: string): Buffer {
  return Buffer.from(`NATS/1.0\r\n${H.dedupe}: ${id}\r\n\r\n`, 'latin1')
}

/** An id as a header carries it: as it is, unless a line break, a margin or half of a character (which has no UTF-8) would change it. */
function headerId(id: string): string {
  // oxlint-disable-next-line no-control-regex -- exactly these characters cannot stand in a header
  if (!/[\u0000-\u001F\u007F\p{Surrogate}]|^\s|\s$/u.test(id)) return id
  throw new PayloadError(
    'INVALID_ID',
    `expected id to have no control characters, no halves of characters and no space at its ends, got: ${describe(id)}`,
  )
}
