/**
 * Spans of OpenTelemetry, by its API alone: the application brings the SDK. Without one nothing is made, no header is added,
 * and asking whether there is one costs a few nanoseconds a message.
 *
 * | span | kind | parent |
 * | `send <subject>` | producer | the active span, else the run whose handler sends |
 * | `ask <subject>`, `call <subject>` | client, over the wait for the outcome | the same; `send` is its child |
 * | `process <subject>` | consumer, one for each attempt | the `send`, which is linked too |
 * | `process <subject>` of a live call | server | the `call` |
 *
 * The context crosses as the application's propagator writes it (W3C: `traceparent`, `tracestate`), in headers that all copies of
 * a message keep: so all attempts of a message, retried or parked, have the same parent. Names and attributes are those of the
 * semantic conventions for messaging (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).
 */
import {
  context,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Link,
  type Span,
  type TextMapGetter,
  type TextMapSetter,
  type Tracer,
} from '@opentelemetry/api'

import { troupeVersion } from '../application.ts'
import type { HeaderBlock, HeaderEntry } from '../broker/headers.ts'
import type { Subjects } from '../broker/subjects.ts'
import type { RunContext, RunEnd } from '../context.ts'
import { toError } from '../errors.ts'
import type { Invoke } from '../flow/execute.ts'
import { hideLogin } from '../secrets.ts'
import { codeOf } from './sendTally.ts'

const NO_SDK = new ProxyTracerProvider().getDelegate()

/** Whether an SDK was registered: also after Troupe was started. */
export function isTracing(): boolean {
  const provider = trace.getTracerProvider() as { getDelegate?: () => unknown }
  return provider.getDelegate === undefined || provider.getDelegate() !== NO_SDK
}

/** What a sender does while a span is open. */
export interface Sending {
  /** What carries the span to the other side. */
  readonly headers: readonly HeaderEntry[]
  /** The span's context, for a span below it. */
  readonly context: Context
  end(error?: unknown): void
}

export interface SendAbout {
  readonly what: 'send' | 'ask' | 'call' | 'broadcast'
  readonly actor: string
  readonly message: string
  readonly subject: string
  readonly id?: string | undefined
  /** The tree that the message belongs to, where it does not begin one. */
  readonly root?: string | undefined
}

export interface TracingParts {
  readonly subjects: Subjects
  /** `host:port`. */
  server(): string
  /** Name of the system or sender. */
  readonly client: string
}

const KINDS = { send: SpanKind.PRODUCER, broadcast: SpanKind.PRODUCER, ask: SpanKind.CLIENT, call: SpanKind.CLIENT }

export class Tracing {
  readonly #parts: TracingParts
  #tracer: Tracer | undefined

  constructor(parts: TracingParts) {
    this.#parts = parts
  }

  /** Opens a span, or nothing without an SDK. `inherited`: trace headers of the message whose handler sends. */
  sending(about: SendAbout, inherited: readonly HeaderEntry[] = [], above?: Context): Sending | undefined {
    if (!isTracing()) return undefined
    const parent = above ?? parentOf(inherited)
    const { what, actor, message, subject, id, root } = about
    const attributes: Attributes = {
      ...this.#common(actor, message, subject),
      'messaging.operation.name': what,
      'messaging.operation.type': 'send',
      ...(id === undefined ? {} : { 'messaging.message.id': id }),
      ...(root === undefined ? {} : { 'messaging.message.conversation_id': root }),
    }
    const span = this.#tracing().startSpan(`${what} ${subject}`, { kind: KINDS[what], attributes }, parent)
    const own = trace.setSpan(parent, span)
    return { headers: injected(own), context: own, end: (error) => endSpan(span, error) }
  }

  /** Around every handler, of the mailbox and of live calls: a span that ends when the run has. */
  running(invoke: Invoke): Invoke {
    return (spec, payload, ctx) => {
      if (!isTracing()) return invoke(spec, payload, ctx)
      const span = this.#beginRun(ctx)
      return context.with(span, () => invoke(spec, payload, ctx))
    }
  }

  #beginRun(ctx: RunContext): Context {
    const { source } = ctx
    const sent = propagation.extract(ROOT_CONTEXT, source.headers, FROM_BLOCK)
    const subject = this.#parts.subjects.message(source.actor, source.name)
    const attributes: Attributes = {
      ...this.#common(source.actor, source.name, subject),
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.consumer.group.name': source.actor,
      'messaging.message.id': source.id,
      'messaging.message.conversation_id': source.root,
      'troupe.attempt': source.attempt,
      'troupe.lane': source.lane,
    }
    const kind = ctx.isLive ? SpanKind.SERVER : SpanKind.CONSUMER
    const span = this.#tracing().startSpan(`process ${subject}`, { kind, attributes, links: linksTo(sent) }, sent)
    const own = trace.setSpan(sent, span)
    const { traceId, spanId } = span.spanContext()
    ctx.trace = { headers: injected(own), ids: { trace_id: traceId, span_id: spanId } }
    ctx.onEnd = (end) => endRun(span, end)
    return own
  }

  #tracing(): Tracer {
    return (this.#tracer ??= trace.getTracer('troupe', troupeVersion()))
  }

  #common(actor: string, message: string, subject: string): Attributes {
    const server = this.#parts.server()
    const colon = server.lastIndexOf(':')
    return {
      'messaging.system': 'nats',
      'messaging.destination.name': subject,
      'messaging.client.id': this.#parts.client,
      'server.address': colon < 0 ? server : server.slice(0, colon),
      ...(colon < 0 ? {} : { 'server.port': Number(server.slice(colon + 1)) }),
      'troupe.actor': actor,
      'troupe.message': message,
    }
  }
}

/** The span that is active here, else the one that the sending message was made under. */
function parentOf(inherited: readonly HeaderEntry[]): Context {
  const active = context.active()
  if (inherited.length === 0 || trace.getSpan(active) !== undefined) return active
  return propagation.extract(active, inherited, FROM_ENTRIES)
}

function linksTo(sent: Context): Link[] {
  const producer = trace.getSpanContext(sent)
  return producer === undefined ? [] : [{ context: producer }]
}

function injected(own: Context): HeaderEntry[] {
  const entries: HeaderEntry[] = []
  propagation.inject(own, entries, TO_ENTRIES)
  return entries
}

const TO_ENTRIES: TextMapSetter<HeaderEntry[]> = {
  set: (entries, name, value) => void entries.push([name, value]),
}
const FROM_ENTRIES: TextMapGetter<readonly HeaderEntry[]> = {
  keys: (entries) => entries.map(([name]) => name),
  get: (entries, name) => entries.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1],
}
const FROM_BLOCK: TextMapGetter<HeaderBlock> = {
  keys: (block) => block.entries().map(([name]) => name),
  get: (block, name) => block.get(name),
}

function endSpan(span: Span, error: unknown): void {
  if (error !== undefined) fail(span, codeOf(toError(error)), toError(error).message)
  span.end()
}

/** How a run ended is told as what it is; what somebody may have to look at is an error. */
function endRun(span: Span, { kind, failure, stack }: RunEnd): void {
  span.setAttribute('troupe.outcome', kind)
  if (kind === 'lease-lost') fail(span, 'LEASE_LOST', 'the lease was lost while it ran')
  if (failure !== undefined) {
    const message = hideLogin(failure.message)
    span.recordException({ name: failure.name, message, ...(stack === undefined ? {} : { stack: hideLogin(stack) }) })
    fail(span, failure.code ?? failure.name, message)
  }
  span.end()
}

function fail(span: Span, type: string, message: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, message: hideLogin(message) })
}
