/** OpenTelemetry, with a real SDK in the process: spans that hang together across everything that a message goes through, and metrics. */
import { connect as connectNats } from '@nats-io/transport-node'
import { context, metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-node'
import { defineActor, snooze } from 'troupe'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'

import { eventually, testBundle } from '../kit/system.ts'
import { doubler } from './fixtures/doubler.ts'

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
provider.register()
const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 3_600_000 })
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))

beforeEach(() => exporter.reset())
afterAll(() => provider.shutdown())

const spans = (): ReadableSpan[] => exporter.getFinishedSpans()
const named = (start: string): ReadableSpan[] => spans().filter(({ name }) => name.startsWith(start))
const parentOf = (span: ReadableSpan | undefined): ReadableSpan | undefined =>
  spans().find((one) => one.spanContext().spanId === span?.parentSpanContext?.spanId)
const traces = (): Set<string> => new Set(spans().map((span) => span.spanContext().traceId))

/** Names from a span up to its root. */
function path(span: ReadableSpan | undefined): string[] {
  return span === undefined ? [] : [span.name.replace(/ \w+\./, ' '), ...path(parentOf(span))]
}

describe('spans', () => {
  it('of a send and its run are one trace, with the attributes of the messaging conventions', async () => {
    const actor = defineActor('box', { messages: { go: (_payload: unknown, ctx) => ctx.headers['traceparent'] } })
    await using t = await testBundle({ actors: [actor], system: 'sys' })
    await t.troupe.send(actor.go, 1, { id: 'm1', lane: 'high' })
    await t.events.wait('done')
    const [send] = named('send')
    const [run] = named('process')
    const subject = `${t.namespace}.high.box.go`
    expect(send).toMatchObject({
      name: `send ${subject}`,
      kind: SpanKind.PRODUCER,
      status: { code: SpanStatusCode.UNSET },
    })
    expect(send?.attributes).toMatchObject({
      'messaging.system': 'nats',
      'messaging.destination.name': subject,
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.message.id': 'm1',
      'messaging.message.conversation_id': 'm1',
      'server.address': '127.0.0.1',
      'server.port': t.server.port,
      'troupe.actor': 'box',
      'troupe.message': 'go',
    })
    expect(run).toMatchObject({ name: `process ${t.namespace}.do.box.go`, kind: SpanKind.CONSUMER })
    expect(run?.attributes).toMatchObject({
      'messaging.operation.type': 'process',
      'messaging.consumer.group.name': 'box',
      'messaging.message.id': 'm1',
      'messaging.client.id': 'sys',
      'troupe.attempt': 1,
      'troupe.lane': 'high',
      'troupe.outcome': 'done',
    })
    expect(parentOf(run)).toBe(send)
    expect(run?.links.map((link) => link.context.spanId)).toEqual([send?.spanContext().spanId])
    expect(run?.instrumentationScope).toMatchObject({ name: 'troupe', version: expect.stringMatching(/^\d/) as string })
  })

  it('of all attempts have the send as their parent: retried, snoozed and delayed ones', async () => {
    const actor = defineActor('box', {
      retry: { attempts: 3, backoff: { base: '1ms' } },
      messages: {
        go: (_payload: unknown, ctx) => {
          if (ctx.attempt === 1) throw Object.assign(new TypeError('not yet'), { code: 'E_EARLY' })
          return ctx.attempt === 2 && ctx.headers['Troupe-Error'] !== undefined ? snooze('700ms') : 'ok'
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, 1, { delay: '700ms' })
    await t.events.wait('done')
    const [send] = named('send')
    const runs = named('process')
    expect(runs.map((run) => run.attributes['troupe.outcome'])).toEqual(['retry', 'snooze', 'done'])
    expect(runs.map((run) => parentOf(run))).toEqual([send, send, send])
    expect(traces().size).toBe(1)
    expect(runs[0]).toMatchObject({
      status: { code: SpanStatusCode.ERROR, message: 'not yet' },
      attributes: { 'error.type': 'E_EARLY', 'troupe.attempt': 1 },
    })
    expect(runs[0]?.events[0]).toMatchObject({ name: 'exception', attributes: { 'exception.type': 'TypeError' } })
    expect(runs[1]?.status.code).toBe(SpanStatusCode.UNSET)
  })

  it('go on through what a handler sends and asks, also after it has waited', async () => {
    const leaf = defineActor('leaf', { messages: { end: () => 'end' } })
    const tree = defineActor('tree', {
      messages: {
        async begin(_payload: unknown, ctx) {
          await ctx.send(leaf.end, undefined)
          await Promise.resolve()
          return ctx.ask(leaf.end, undefined)
        },
      },
    })
    await using t = await testBundle({ actors: [leaf, tree] })
    const application = trace.getTracer('application').startSpan('request')
    await context.with(trace.setSpan(context.active(), application), () => t.troupe.ask(tree.begin, undefined))
    application.end()
    await t.events.wait('done', { count: 3 })
    await eventually('all have ended', () => named('process').length === 3)
    expect(traces().size).toBe(1)
    const leaves = named('process').filter((span) => span.attributes['troupe.actor'] === 'leaf')
    const up = ['process do.tree.begin', 'send do.tree.begin', 'ask do.tree.begin', 'request']
    expect(leaves.map(path).toSorted((a, b) => a.length - b.length)).toEqual([
      ['process do.leaf.end', 'send do.leaf.end', ...up],
      ['process do.leaf.end', 'send do.leaf.end', 'ask do.leaf.end', ...up],
    ])
    expect(named('ask').every(({ kind }) => kind === SpanKind.CLIENT)).toBe(true)
  })

  it('of a live call are those of a client and a server, and its error is one', async () => {
    const actor = defineActor('box', {
      messages: {
        fine: () => 'ok',
        fails: (): never => {
          throw new Error('no')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.call(actor.fine, undefined)
    await t.troupe.call(actor.fails, undefined).catch(() => {})
    await t.troupe.broadcast(actor.fine, undefined)
    await eventually('all have ended', () => named('process').length === 3)
    const [fine, fails] = named('call')
    const [first, second, heard] = named('process')
    expect([fine?.kind, first?.kind]).toEqual([SpanKind.CLIENT, SpanKind.SERVER])
    expect([parentOf(first), parentOf(second), parentOf(heard)]).toEqual([fine, fails, named('broadcast')[0]])
    expect(fails).toMatchObject({ status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': 'DEAD' } })
    expect(second).toMatchObject({ status: { code: SpanStatusCode.ERROR, message: 'no' } })
  })

  it('of a send that failed say so', async () => {
    await using t = await testBundle()
    const nobody = defineActor('nobody', { mailbox: { maxMessages: 1 }, messages: { go: () => 'ok' } })
    await t.troupe.send(nobody.go, undefined)
    await expect(t.troupe.send(nobody.go, undefined)).rejects.toMatchObject({ code: 'MAILBOX_FULL' })
    expect(named('send')[1]).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'MAILBOX_FULL' },
    })
  })

  it('end with runs that don’t end by themselves: given up at their time limit', async () => {
    const stuck = defineActor('stuck', {
      timeLimit: '50ms',
      retry: false,
      messages: { go: () => new Promise(() => {}) },
    })
    await using t = await testBundle({ actors: [stuck], grace: '50ms' })
    await t.troupe.send(stuck.go, undefined)
    await t.events.wait('dead')
    expect(named('process')[0]).toMatchObject({ attributes: { 'troupe.outcome': 'dead', 'error.type': 'TIME_LIMIT' } })
  })

  it('go on in a thread, and from a message that another service traced', async () => {
    await using t = await testBundle({ actors: [doubler] })
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const nc = await connectNats({ servers: t.server.url })
    const { headers } = await import('@nats-io/transport-node')
    const own = headers()
    own.set('traceparent', `00-${traceId}-b7ad6b7169203331-01`)
    nc.publish(`${t.namespace}.do.doubler.relay`, JSON.stringify(21), { headers: own })
    await t.events.wait('done', { count: 2 })
    await eventually('all have ended', () => named('process').length === 2)
    await nc.close()
    expect([...traces()]).toEqual([traceId])
    const double = named('process').find((span) => span.attributes['troupe.message'] === 'double')
    expect(path(double)).toEqual(['process do.doubler.double', 'send do.doubler.double', 'process do.doubler.relay'])
  })

  it('put their ids on the lines of a handler’s log', async () => {
    const lines: { fields: Record<string, unknown> }[] = []
    const loggerWith = (above: object) => ({
      debug: () => {},
      info: (_message: string, fields?: object) => void lines.push({ fields: { ...above, ...fields } }),
      warn: () => {},
      error: () => {},
      child: (fields: object) => loggerWith({ ...above, ...fields }),
    })
    const actor = defineActor('box', { messages: { go: (_payload: unknown, ctx) => ctx.log.info('here') } })
    await using t = await testBundle({ actors: [actor], logger: loggerWith({}) })
    await t.troupe.ask(actor.go, undefined)
    await eventually('it has ended', () => named('process').length === 1)
    const { traceId, spanId } = named('process')[0]?.spanContext() ?? {}
    expect(lines.at(-1)?.fields).toMatchObject({ actor: 'box', trace_id: traceId, span_id: spanId })
  })
})

describe('metrics', () => {
  it('have the names of the messaging conventions, and those of Troupe', async () => {
    const actor = defineActor('gauge', { messages: { go: () => 'ok' } })
    await using t = await testBundle({ actors: [actor] })
    for (let n = 0; n < 3; n++) await t.system.troupe.ask(actor.go, undefined)
    await t.troupe.call(actor.go, undefined)
    await reader.forceFlush()
    const seen =
      metricExporter
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.find(({ scope }) => scope.name === 'troupe')?.metrics ?? []
    const points = (name: string) => seen.find(({ descriptor }) => descriptor.name === name)
    const value = (name: string, operation?: string): unknown =>
      points(name)?.dataPoints.find(
        ({ attributes }) =>
          attributes['troupe.actor'] === 'gauge' &&
          (operation === undefined || attributes['messaging.operation.name'] === operation),
      )?.value
    expect(value('messaging.client.sent.messages', 'send')).toBe(3)
    expect(value('messaging.client.consumed.messages')).toBe(3)
    expect(points('messaging.process.duration')?.descriptor).toMatchObject({ unit: 's' })
    expect(value('messaging.process.duration', 'process')).toMatchObject({ count: 3 })
    expect(value('messaging.client.operation.duration', 'send')).toMatchObject({
      count: 3,
      buckets: { boundaries: expect.arrayContaining([0.005, 0.01, 10]) as number[] },
    })
    expect(value('troupe.call.duration')).toMatchObject({ count: 1 })
    expect(value('troupe.mailbox.waiting')).toBe(0)
    expect(points('troupe.ready')?.dataPoints.at(-1)?.value).toBe(1)
  })

  it('end with their system', async () => {
    const actor = defineActor('gone', { messages: { go: () => 'ok' } })
    const t = await testBundle({ actors: [actor] })
    await t[Symbol.asyncDispose]()
    metricExporter.reset()
    await reader.forceFlush()
    expect(JSON.stringify(metricExporter.getMetrics().at(-1)?.scopeMetrics ?? [])).not.toContain('"gone"')
  })
})
