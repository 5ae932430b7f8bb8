/**
 * Every metric of Troupe: one list, which Prometheus (prometheus.ts) and OpenTelemetry (meter.ts) both read.
 *
 * Names and attributes are those of OpenTelemetry's semantic conventions for messaging where they have one
 * (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/); ours begin with `troupe.`. What is of the mailbox
 * (waiting, parked, dead, …) is everybody's: each system that runs the actor tells the same, so take the maximum, not the sum.
 */
import type { Depth } from './depths.ts'
import type { Histogram } from './histogram.ts'
import type { SendTally } from './sendTally.ts'
import type { ActorTally, LiveTally, MessageTally } from './tally.ts'

/** What metrics of sending are read from. */
export interface SendView {
  /** The subject of a message in the normal lane. */
  subject(actor: string, message: string): string
  readonly sent: readonly SendTally[]
}

/** What metrics of a system are read from. */
export interface View extends SendView {
  readonly system: string
  readonly application: { readonly name: string; readonly version: string }
  readonly troupeVersion: string
  readonly isConnected: boolean
  readonly isReady: boolean
  readonly actors: readonly ActorView[]
  /** Epoch ms. */
  readonly now: number
}

export interface ActorView {
  readonly tally: ActorTally
  /** Messages that it may run at once, that run, and that were fetched and not begun. */
  readonly slots: number
  readonly running: number
  readonly buffered: number
  /** Undefined where NATS did not say in time. */
  readonly depth: Depth | undefined
}

export type Attributes = Readonly<Record<string, string>>

export interface Reading {
  readonly attributes: Attributes
  readonly value: number
}

export interface HistogramReading {
  readonly attributes: Attributes
  readonly histogram: Histogram
}

interface About {
  /** With dots, as in OpenTelemetry. */
  readonly name: string
  /** UCUM: `s`, `By`, `{message}`. */
  readonly unit: string
  readonly help: string
}

export type NumberInstrument<V = View> = About & {
  readonly kind: 'counter' | 'gauge'
  readonly read: (view: V) => Reading[]
}
export type HistogramInstrument<V = View> = About & {
  readonly kind: 'histogram'
  readonly read: (view: V) => HistogramReading[]
}
export type Instrument<V = View> = NumberInstrument<V> | HistogramInstrument<V>

/** Messages under names that an actor does not have. */
const UNKNOWN = '(unknown)'

/** What each metric of a message has. `operation` is a word of the conventions. */
export function messageAttributes(
  view: Pick<SendView, 'subject'>,
  actor: string,
  message: string,
  operation: string,
): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.operation.name': operation,
    'messaging.destination.name': view.subject(actor, message),
    'troupe.actor': actor,
    'troupe.message': message,
  }
}

type Read<V> = (view: V) => Reading[]

function counter<V = View>(name: string, unit: string, help: string, read: Read<V>): Instrument<V> {
  return { kind: 'counter', name, unit, help, read }
}
function gauge(name: string, unit: string, help: string, read: Read<View>): Instrument {
  return { kind: 'gauge', name, unit, help, read }
}
function histogram<V = View>(name: string, help: string, read: (view: V) => HistogramReading[]): Instrument<V> {
  return { kind: 'histogram', name, unit: 's', help, read }
}

export const sendInstruments: readonly Instrument<SendView>[] = [
  counter('messaging.client.sent.messages', '{message}', 'Messages that this process sent, or tried to.', (view) =>
    view.sent.flatMap((tally) => [
      { attributes: sendAttributes(view, tally), value: tally.durations.count },
      ...Array.from(tally.errors, ([error, value]) => ({
        attributes: { ...sendAttributes(view, tally), 'error.type': error },
        value,
      })),
    ]),
  ),
  histogram('messaging.client.operation.duration', 'From a send until JetStream has stored the message.', (view) =>
    view.sent.map((tally) => ({ attributes: sendAttributes(view, tally), histogram: tally.durations })),
  ),
]

export const systemInstruments: readonly Instrument[] = [
  counter('messaging.client.consumed.messages', '{message}', 'Messages whose attempt was begun.', (view) =>
    perMessage(view, 'receive', ({ started }) => started),
  ),
  histogram('messaging.process.duration', 'How long handlers took, whatever became of it.', (view) =>
    messagesOf(view).map(([actor, message, { processing }]) => ({
      attributes: messageAttributes(view, actor, message, 'process'),
      histogram: processing,
    })),
  ),
  counter('troupe.messages.ended', '{message}', 'Attempts by what ended them: done, retry, snooze, dead, …', (view) =>
    messagesOf(view).flatMap(([actor, message, { outcomes }]) =>
      Object.entries(outcomes).map(([outcome, value]) => ({
        attributes: { 'troupe.actor': actor, 'troupe.message': message, 'troupe.outcome': outcome },
        value,
      })),
    ),
  ),
  counter('troupe.calls', '{call}', 'Live calls and broadcasts that were answered, or that failed.', (view) =>
    liveOf(view).flatMap(([attributes, tally]) => [
      { attributes: { ...attributes, 'troupe.result': 'ok' }, value: tally.processing.count - tally.errors },
      { attributes: { ...attributes, 'troupe.result': 'error' }, value: tally.errors },
    ]),
  ),
  histogram('troupe.call.duration', 'How long live calls and broadcasts took.', (view) =>
    liveOf(view).map(([attributes, { processing }]) => ({ attributes, histogram: processing })),
  ),
  gauge('troupe.running', '{message}', 'Messages that run in this system.', (view) =>
    perActor(view, ({ running }) => running),
  ),
  gauge('troupe.buffered', '{message}', 'Messages that were fetched here and not begun.', (view) =>
    perActor(view, ({ buffered }) => buffered),
  ),
  gauge('troupe.slots', '{message}', 'Messages that this system may run at once.', (view) =>
    perActor(view, ({ slots }) => slots),
  ),
  gauge('troupe.mailbox.waiting', '{message}', 'Messages that no worker was given yet.', (view) =>
    perLane(view, ({ waiting }) => waiting),
  ),
  gauge('troupe.mailbox.unsettled', '{message}', 'Messages that were given to workers and are not settled.', (view) =>
    perLane(view, ({ unsettled }) => unsettled),
  ),
  gauge('troupe.mailbox.redelivered', '{message}', 'Of the unsettled ones, those given more than once.', (view) =>
    perLane(view, ({ redelivered }) => redelivered),
  ),
  gauge('troupe.mailbox.paused', '', '1 where the lane is paused.', (view) =>
    perLane(view, ({ pausedUntil }) => (pausedUntil === undefined ? 0 : 1)),
  ),
  gauge('troupe.mailbox.lag', 's', 'Age of the oldest message in the mailbox; it may be running.', (view) =>
    perDepth(view, ({ oldestAt }) => (oldestAt === undefined ? 0 : Math.max(0, (view.now - oldestAt) / 1000))),
  ),
  gauge('troupe.mailbox.size', 'By', 'Bytes of the mailbox.', (view) => perDepth(view, ({ bytes }) => bytes)),
  gauge('troupe.parked', '{message}', 'Messages that wait for their time: delayed ones and retries.', (view) =>
    view.actors.flatMap(({ tally: { actor }, depth }) =>
      depth === undefined
        ? []
        : [
            { attributes: { 'troupe.actor': actor, 'troupe.why': 'delay' }, value: depth.parked - depth.parkedRetries },
            { attributes: { 'troupe.actor': actor, 'troupe.why': 'retry' }, value: depth.parkedRetries },
          ],
    ),
  ),
  gauge('troupe.arriving', '{message}', 'Delayed or due, on their way into the mailbox.', (view) =>
    perDepth(view, ({ later, due }) => later + due),
  ),
  gauge('troupe.dead', '{message}', 'Dead letters that are kept.', (view) => perDepth(view, ({ dead }) => dead)),
  gauge('troupe.connected', '', '1 while there is a connection to NATS.', (view) => one(view.isConnected)),
  gauge('troupe.ready', '', '1 where the system is ready: connected, its actors run, it does not stop.', (view) =>
    one(view.isReady),
  ),
  gauge('troupe.info', '', 'Always 1: who this is.', (view) => [
    {
      attributes: {
        'troupe.system': view.system,
        'troupe.application': view.application.name,
        'troupe.application.version': view.application.version,
        'troupe.version': view.troupeVersion,
      },
      value: 1,
    },
  ]),
]

/** All of them. */
export const instruments: readonly Instrument[] = [...sendInstruments, ...systemInstruments]

type OneMessage = readonly [actor: string, message: string, tally: MessageTally]

function messagesOf(view: View): OneMessage[] {
  return view.actors.flatMap(({ tally }) => {
    const known = Array.from(tally.messages, ([message, of]): OneMessage => [tally.actor, message, of])
    return tally.unknown.started === 0 ? known : [...known, [tally.actor, UNKNOWN, tally.unknown]]
  })
}

function perMessage(view: View, operation: string, value: (tally: MessageTally) => number): Reading[] {
  return messagesOf(view).map(([actor, message, tally]) => ({
    attributes: messageAttributes(view, actor, message, operation),
    value: value(tally),
  }))
}

function sendAttributes(view: SendView, { actor, message }: SendTally): Attributes {
  return messageAttributes(view, actor, message, 'send')
}

function liveOf(view: View): (readonly [Attributes, LiveTally])[] {
  return messagesOf(view).flatMap(([actor, message, { calls, broadcasts }]) => [
    [liveAttributes(actor, message, 'call'), calls] as const,
    [liveAttributes(actor, message, 'broadcast'), broadcasts] as const,
  ])
}

export function liveAttributes(actor: string, message: string, kind: 'call' | 'broadcast'): Attributes {
  return { 'troupe.actor': actor, 'troupe.message': message, 'troupe.kind': kind }
}

function perActor(view: View, value: (actor: ActorView) => number): Reading[] {
  return view.actors.map((actor) => ({
    attributes: { 'troupe.actor': actor.tally.actor },
    value: value(actor),
  }))
}

function perDepth(view: View, value: (depth: Depth) => number): Reading[] {
  return view.actors.flatMap(({ depth }) =>
    depth === undefined ? [] : [{ attributes: { 'troupe.actor': depth.actor }, value: value(depth) }],
  )
}

function perLane(view: View, value: (lane: Depth['lanes'][number]) => number): Reading[] {
  return view.actors.flatMap(({ depth }) =>
    (depth?.lanes ?? []).map((lane) => ({
      attributes: { 'troupe.actor': depth?.actor ?? '', 'troupe.lane': lane.lane },
      value: value(lane),
    })),
  )
}

function one(is: boolean): Reading[] {
  return [{ attributes: {}, value: is ? 1 : 0 }]
}
