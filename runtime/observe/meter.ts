/**
 * The metrics by OpenTelemetry's API: the same list as Prometheus' (instruments.ts). Counters and gauges are observed when the
 * application's SDK collects; histograms have no such form, so each duration is recorded as it is counted. Without an SDK there
 * is nothing: it has to be registered before Troupe connects, as OpenTelemetry's metrics ask of every library.
 */
import {
  createNoopMeter,
  metrics,
  type BatchObservableCallback,
  type Histogram as OtelHistogram,
  type Meter,
  type Observable,
} from '@opentelemetry/api'

import { troupeVersion } from '../application.ts'
import { BOUNDS } from './histogram.ts'
import {
  liveAttributes,
  messageAttributes,
  sendInstruments,
  systemInstruments,
  type Attributes,
  type Instrument,
  type NumberInstrument,
  type SendView,
  type View,
} from './instruments.ts'
import type { SendTallies } from './sendTally.ts'
import type { ActorTally } from './tally.ts'

/** What a process sends. Returns what ends it. */
export function meterSends(tallies: SendTallies, subject: SendView['subject']): () => void {
  const meter = registered()
  if (meter === undefined) return () => {}
  const duration = histogramOf(meter, sendInstruments, 'messaging.client.operation.duration')
  tallies.onMade = (tally) => {
    const attributes = messageAttributes({ subject }, tally.actor, tally.message, 'send')
    tally.onEnded = (ms, error) => {
      duration.record(ms / 1000, error === undefined ? attributes : { ...attributes, 'error.type': error })
    }
  }
  return observe(meter, sendInstruments, async () => ({ subject, sent: tallies.all() }))
}

/** What a system runs. Returns what ends it. */
export function meterSystem(
  actors: Iterable<ActorTally>,
  subject: SendView['subject'],
  view: () => Promise<View>,
): () => void {
  const meter = registered()
  if (meter === undefined) return () => {}
  const processing = histogramOf(meter, systemInstruments, 'messaging.process.duration')
  const calls = histogramOf(meter, systemInstruments, 'troupe.call.duration')
  for (const { actor, messages } of actors) {
    for (const [name, tally] of messages) {
      tally.processing.onAdded = recorder(processing, messageAttributes({ subject }, actor, name, 'process'))
      tally.calls.processing.onAdded = recorder(calls, liveAttributes(actor, name, 'call'))
      tally.broadcasts.processing.onAdded = recorder(calls, liveAttributes(actor, name, 'broadcast'))
    }
  }
  return observe(meter, systemInstruments, view)
}

/** Where no SDK is there, the API gives a meter that does nothing. */
function registered(): Meter | undefined {
  const meter = metrics.getMeter('troupe', troupeVersion())
  return meter === createNoopMeter() ? undefined : meter
}

function histogramOf(meter: Meter, among: readonly Instrument<never>[], name: string): OtelHistogram {
  const { unit = '', help: description = '' } = among.find((one) => one.name === name) ?? {}
  return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...BOUNDS] } })
}

function recorder(histogram: OtelHistogram, attributes: Attributes): (ms: number) => void {
  return (ms) => histogram.record(ms / 1000, attributes)
}

function observe<V>(meter: Meter, instruments: readonly Instrument<V>[], view: () => Promise<V>): () => void {
  const numbers = instruments.filter((one): one is NumberInstrument<V> => one.kind !== 'histogram')
  const observed = numbers.map((one) => [one, observableOf(meter, one)] as const)
  const callback: BatchObservableCallback = async (result) => {
    const now = await view()
    for (const [instrument, observable] of observed) {
      for (const { attributes, value } of instrument.read(now)) result.observe(observable, value, attributes)
    }
  }
  const all = observed.map(([, observable]) => observable)
  meter.addBatchObservableCallback(callback, all)
  return () => meter.removeBatchObservableCallback(callback, all)
}

function observableOf(meter: Meter, { kind, name, unit, help: description }: NumberInstrument<never>): Observable {
  const options = { unit, description }
  return kind === 'counter' ? meter.createObservableCounter(name, options) : meter.createObservableGauge(name, options)
}
