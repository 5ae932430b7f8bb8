/** Spans around what a sender does, where the application traces (observe/tracing.ts); without one these cost next to nothing. */
import type { HeaderEntry } from '../broker/headers.ts'
import type { Lane, Subjects } from '../broker/subjects.ts'
import { isTracing, type SendAbout, type Sending, type Tracing } from '../observe/tracing.ts'
import { lineageHeaders, untraced, type Lineage } from './envelope.ts'

export interface SpansHost {
  readonly tracing: Tracing
  readonly broker: { readonly subjects: Subjects }
}

interface About {
  readonly actor: string
  readonly message: string
  readonly id?: string | undefined
  readonly lane?: Lane | undefined
}

/** Where each kind of sending goes to: the name of its destination in a span. */
const DESTINATIONS: Readonly<Record<SendAbout['what'], (subjects: Subjects, about: About) => string>> = {
  send: (subjects, { actor, message, lane }) => subjects.message(actor, message, lane),
  ask: (subjects, { actor, message, lane }) => subjects.message(actor, message, lane),
  call: (subjects, { actor, message }) => subjects.call(actor, message),
  broadcast: (subjects, { actor, message }) => subjects.broadcast(actor, message),
}

/** Opens a span, or nothing. `lineage` is of the message whose handler sends; `above` is the span that it belongs below. */
export function openSpan(
  { tracing, broker }: SpansHost,
  what: SendAbout['what'],
  about: About,
  lineage: Lineage | undefined,
  above?: Sending,
): Sending | undefined {
  if (!isTracing()) return undefined
  const { actor, message, id } = about
  const subject = DESTINATIONS[what](broker.subjects, about)
  const root = lineage?.root ?? id
  return tracing.sending({ what, actor, message, subject, id, root }, lineage?.trace, above?.context)
}

/** Does the work, and ends the span with it. */
export async function underSpan<T>(span: Sending | undefined, work: () => Promise<T>): Promise<T> {
  if (span === undefined) return work()
  try {
    const value = await work()
    span.end()
    return value
  } catch (error) {
    span.end(error)
    throw error
  }
}

/** Headers of the lineage, with the span's own trace in place of the inherited one. */
export function headersUnder(span: Sending | undefined, lineage: Lineage | undefined): HeaderEntry[] {
  if (span === undefined) return lineageHeaders(lineage)
  return [...lineageHeaders(untraced(lineage)), ...span.headers]
}
