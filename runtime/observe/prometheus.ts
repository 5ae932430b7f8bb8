/**
 * The metrics in Prometheus' text format, by prom-client: it writes the text and measures the process; the numbers are ours, read
 * when somebody scrapes. Names follow OpenTelemetry's rules for Prometheus: `messaging.process.duration` in `s` is
 * `messaging_process_duration_seconds`, a counter ends in `_total`.
 */
import { collectDefaultMetrics, Registry, type Metric } from 'prom-client'

import { instruments, type Attributes, type HistogramReading, type Instrument, type View } from './instruments.ts'

/** A registry of one system's own: an application's global one is left alone. */
export function prometheus(view: () => Promise<View>): Registry {
  const registry = new Registry()
  let reading: Promise<View> | undefined
  // All metrics of a scrape are asked for at once, and read from one view.
  const read = (): Promise<View> => {
    reading ??= view().finally(() => (reading = undefined))
    return reading
  }
  for (const instrument of instruments) registry.registerMetric(drawn(instrument, read))
  collectDefaultMetrics({ register: registry })
  return registry
}

const UNITS: Readonly<Record<string, string>> = { s: '_seconds', By: '_bytes' }

/** The name that Prometheus knows an instrument by. */
export function prometheusName({ name, unit, kind }: Pick<Instrument, 'name' | 'unit' | 'kind'>): string {
  return `${underscored(name)}${UNITS[unit] ?? ''}${kind === 'counter' ? '_total' : ''}`
}

interface Value {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly metricName?: string
}

/** prom-client asks a metric for its values by `get`: it need not be one of its own, which count for themselves. */
function drawn(instrument: Instrument, read: () => Promise<View>): Metric {
  const name = prometheusName(instrument)
  const { help, kind: type } = instrument
  const values = async (): Promise<Value[]> => {
    const view = await read()
    if (instrument.kind === 'histogram') return instrument.read(view).flatMap((one) => histogramValues(name, one))
    return instrument.read(view).map(({ attributes, value }) => ({ labels: labelsOf(attributes), value }))
  }
  const get = async (): Promise<object> => ({ name, help, type, values: await values(), aggregator: 'sum' })
  return { name, help, get } as unknown as Metric
}

function histogramValues(name: string, { attributes, histogram }: HistogramReading): Value[] {
  const labels = labelsOf(attributes)
  const buckets = histogram.cumulative().map(([bound, value]) => ({
    labels: { ...labels, le: bound === Infinity ? '+Inf' : String(bound) },
    value,
    metricName: `${name}_bucket`,
  }))
  return [
    ...buckets,
    { labels, value: histogram.sumMs / 1000, metricName: `${name}_sum` },
    { labels, value: histogram.count, metricName: `${name}_count` },
  ]
}

function labelsOf(attributes: Attributes): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [underscored(name), value]))
}

function underscored(name: string): string {
  return name.replaceAll('.', '_')
}
