/** The metrics that a system shows to Prometheus, and the dashboard that is drawn from them. */
import { readFile } from 'node:fs/promises'

import { actorRef, ConfigError, defineActor, run, type MessageRef } from 'troupe'
import { describe, expect, it } from 'vitest'

import { instruments } from '#runtime/observe/instruments.js'
import { prometheusName } from '#runtime/observe/prometheus.js'

import { freePort } from '../kit/server.ts'
import { eventually, gate, testBundle, type Bundle } from '../kit/system.ts'

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Prometheus' text format, as its documentation describes it. */
function parse(text: string): { samples: Sample[]; types: Map<string, string> } {
  const types = new Map<string, string>()
  const samples: Sample[] = []
  for (const line of text.split('\n')) {
    const [, typed, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (typed !== undefined) types.set(typed, type ?? '')
    if (line === '' || line.startsWith('#')) continue
    const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`no sample: ${line}`)
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', of = '']) => [key, of] as const)
    samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) })
  }
  return { samples, types }
}

async function scrape({ system }: Bundle): Promise<ReturnType<typeof parse>> {
  const response = await fetch(`http://127.0.0.1:${system.observing.httpPort}/metrics`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return parse(await response.text())
}

type Wanted = Readonly<Record<string, string>>

function valueOf({ samples }: ReturnType<typeof parse>, name: string, wanted: Wanted = {}): number | undefined {
  const isWanted = ({ labels }: Sample): boolean => Object.entries(wanted).every(([key, of]) => labels[key] === of)
  return samples.find((sample) => sample.name === name && isWanted(sample))?.value
}

/** A system in which everything has happened that metrics tell of. */
async function busy(open: Promise<void>) {
  const actor = defineActor('box', {
    concurrency: 2,
    retry: { attempts: 2, backoff: { base: '1h' } },
    messages: {
      fine: () => new Promise((resolve) => setTimeout(resolve, 30)),
      fails: (): never => {
        throw new Error('no')
      },
      waits: () => open,
    },
  })
  const t = await testBundle({ actors: [actor], http: { port: 0 }, system: 'sys', version: '2.0.0' })
  const { troupe } = t.system
  await Promise.all([1, 2, 3].map(() => troupe.ask(actor.fine, undefined as never)))
  await troupe.send(actor.fails, undefined)
  await t.events.wait('retry')
  await troupe.send(actor.fine, undefined as never, { delay: '2h' })
  await troupe.call(actor.fine, undefined as never)
  await troupe.call(actor.fails, undefined).catch(() => {})
  await troupe.broadcast(actor.fine, undefined as never)
  // Nobody listens to errors of a live message that is not there: a message that nobody knows is dead at once.
  const odd = actorRef<{ odd: MessageRef<unknown, unknown> }>('box').odd
  await troupe.send(odd, undefined)
  await t.events.wait('dead')
  const nobody = actorRef<{ go: MessageRef<unknown, unknown> }>('nobody').go
  await troupe.send(nobody, undefined).catch(() => {})
  await troupe.sendMany(actor.waits, [1, 2, 3, 4, 5] as never)
  await t.events.wait('started', { where: ({ message }) => message === 'waits', count: 2 })
  await troupe.pause('box', { lane: 'low' })
  return t
}

describe('metrics', () => {
  it('tell what was sent, run and ended, and what is in the mailbox, under the names of OpenTelemetry', async () => {
    const open = gate()
    await using t = await busy(open.passed)
    const box = { troupe_actor: 'box' }
    // The mailbox's numbers may be a second old.
    await eventually(
      'the pause is seen',
      async () => valueOf(await scrape(t), 'troupe_mailbox_paused', { ...box, troupe_lane: 'low' }) === 1,
    )
    const seen = await scrape(t)
    const fine = {
      ...box,
      troupe_message: 'fine',
      messaging_system: 'nats',
      messaging_destination_name: `${t.namespace}.do.box.fine`,
    }
    expect(valueOf(seen, 'messaging_client_sent_messages_total', { ...fine, messaging_operation_name: 'send' })).toBe(4)
    expect(valueOf(seen, 'messaging_client_sent_messages_total', { error_type: 'UNKNOWN_ACTOR' })).toBe(1)
    expect(valueOf(seen, 'messaging_client_operation_duration_seconds_count', fine)).toBe(4)
    expect(valueOf(seen, 'messaging_client_consumed_messages_total', fine)).toBe(3)
    expect(
      valueOf(seen, 'messaging_process_duration_seconds_count', { ...fine, messaging_operation_name: 'process' }),
    ).toBe(3)
    expect(valueOf(seen, 'messaging_process_duration_seconds_sum', fine)).toBeGreaterThan(0.08)
    expect(valueOf(seen, 'messaging_process_duration_seconds_bucket', { ...fine, le: '0.025' })).toBe(0)
    expect(valueOf(seen, 'messaging_process_duration_seconds_bucket', { ...fine, le: '+Inf' })).toBe(3)
    const ended = (message: string, outcome: string): number | undefined =>
      valueOf(seen, 'troupe_messages_ended_total', { ...box, troupe_message: message, troupe_outcome: outcome })
    expect([ended('fine', 'done'), ended('fails', 'retry'), ended('(unknown)', 'dead')]).toEqual([3, 1, 1])
    const calls = (labels: Wanted): number | undefined => valueOf(seen, 'troupe_calls_total', { ...box, ...labels })
    expect(calls({ troupe_message: 'fine', troupe_kind: 'call', troupe_result: 'ok' })).toBe(1)
    expect(calls({ troupe_message: 'fails', troupe_kind: 'call', troupe_result: 'error' })).toBe(1)
    expect(calls({ troupe_message: 'fine', troupe_kind: 'broadcast', troupe_result: 'ok' })).toBe(1)
    expect(valueOf(seen, 'troupe_call_duration_seconds_count', { troupe_message: 'fine', troupe_kind: 'call' })).toBe(1)

    expect([valueOf(seen, 'troupe_running', box), valueOf(seen, 'troupe_slots', box)]).toEqual([2, 2])
    const normal = { ...box, troupe_lane: 'normal' }
    const [waiting = 0, unsettled = 0] = ['waiting', 'unsettled'].map((name) =>
      valueOf(seen, `troupe_mailbox_${name}`, normal),
    )
    expect(waiting + unsettled).toBe(5)
    expect(valueOf(seen, 'troupe_mailbox_lag_seconds', box)).toBeGreaterThan(0)
    expect(valueOf(seen, 'troupe_mailbox_size_bytes', box)).toBeGreaterThan(0)
    expect(valueOf(seen, 'troupe_parked', { ...box, troupe_why: 'delay' })).toBe(1)
    expect(valueOf(seen, 'troupe_parked', { ...box, troupe_why: 'retry' })).toBe(1)
    expect(valueOf(seen, 'troupe_dead', box)).toBe(1)
    expect(valueOf(seen, 'troupe_mailbox_paused', normal)).toBe(0)
    expect([valueOf(seen, 'troupe_connected'), valueOf(seen, 'troupe_ready')]).toEqual([1, 1])
    expect(valueOf(seen, 'troupe_info', { troupe_system: 'sys', troupe_application_version: '2.0.0' })).toBe(1)

    expect(valueOf(seen, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(valueOf(seen, 'nodejs_eventloop_lag_p99_seconds')).toBeGreaterThanOrEqual(0)
    for (const instrument of instruments) expect(seen.types.get(prometheusName(instrument))).toBe(instrument.kind)
    open.open()
    await t.events.wait('done', { where: ({ message }) => message === 'waits', count: 5 })
  })

  it('count on when an actor is started anew', async () => {
    const actor = defineActor('box', { messages: { go: () => 'ok' } })
    await using t = await testBundle({ actors: [actor], http: { port: 0 } })
    await t.troupe.ask(actor.go, undefined)
    await t.system.supervision.restart('box')
    await t.troupe.ask(actor.go, undefined)
    expect(valueOf(await scrape(t), 'troupe_messages_ended_total', { troupe_outcome: 'done' })).toBe(2)
  })

  it('are told without those of the mailbox while NATS is away', async () => {
    const actor = defineActor('box', { messages: { go: () => 'ok' } })
    await using t = await testBundle({ actors: [actor], http: { port: 0 } })
    await t.troupe.ask(actor.go, undefined)
    await t.server.kill9()
    await eventually('it is noticed', async () => valueOf(await scrape(t), 'troupe_connected') === 0)
    const seen = await scrape(t)
    expect(valueOf(seen, 'troupe_messages_ended_total', { troupe_outcome: 'done' })).toBe(1)
    expect(valueOf(seen, 'troupe_ready')).toBe(0)
    await t.server.restart()
    await eventually(
      'it is well again',
      async () => valueOf(await scrape(t), 'troupe_mailbox_size_bytes') !== undefined,
    )
  })
})

describe('the dashboard', () => {
  it('draws only metrics and labels that there are', async () => {
    const open = gate()
    await using t = await busy(open.passed)
    await eventually('the mailbox is seen', async () => valueOf(await scrape(t), 'troupe_dead') === 1)
    const { samples } = await scrape(t)
    const labels = new Map<string, Set<string>>()
    for (const { name, labels: of } of samples) {
      const known = labels.get(name) ?? new Set(['instance', 'job'])
      for (const label of Object.keys(of)) known.add(label)
      labels.set(name, known)
    }
    const expressions = await dashboardExpressions()
    expect(expressions.length).toBeGreaterThan(25)
    const problems = expressions.flatMap((expression) => {
      const [, name = '?'] = /(?:label_values\((?=\w+, )|\b(?=\w+\{))(\w+)/.exec(expression) ?? []
      const known = labels.get(name)
      if (known === undefined) return [`${name} is not in a scrape: ${expression}`]
      const used = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
      used.push(...[...expression.matchAll(/(\w+)=~?"/g)].map(([, label = '']) => label))
      return used.filter((label) => !known.has(label)).map((label) => `${name} has no ${label}: ${expression}`)
    })
    expect(problems).toEqual([])
    open.open()
  })

  it('shows every metric that is Troupe’s own', async () => {
    const drawn = (await dashboardExpressions()).join('\n')
    const missing = instruments.map(prometheusName).filter((name) => !drawn.includes(name))
    expect(missing).toEqual([])
  })
})

interface Dashboard {
  readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[]
  readonly templating: { readonly list: readonly { readonly definition?: string }[] }
}

/** Of panels and variables. */
async function dashboardExpressions(): Promise<string[]> {
  const { panels, templating } = JSON.parse(await readFile('config/grafana/troupe.json', 'utf8')) as Dashboard
  const drawn = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  return [...drawn, ...templating.list.flatMap(({ definition }) => definition ?? [])]
}

describe('the HTTP port', () => {
  const actor = defineActor('box', { messages: { go: () => 'ok' } })

  it('that is taken is a typed error, and nothing was started', async () => {
    await using t = await testBundle({ actors: [actor], http: { port: 0 } })
    const port = t.system.observing.httpPort ?? 0
    const started = run({
      actors: [actor],
      servers: t.server.url,
      namespace: 'other',
      http: { port },
      signals: false,
      logLevel: 'silent',
    })
    await expect(started).rejects.toBeInstanceOf(ConfigError)
    await expect(started).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining(`http.port ${port}`) as string,
    })
  })

  it('answers only what it has, and closes with its system', async () => {
    const port = await freePort()
    await using t = await testBundle({ actors: [actor], http: { port } })
    const url = `http://127.0.0.1:${port}`
    expect((await fetch(`${url}/`)).status).toBe(404)
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405)
    const head = await fetch(`${url}/readyz?verbose`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    await t.system.stop()
    await expect(fetch(`${url}/healthz`)).rejects.toThrow()
  })

  it('is not there unless it is asked for', async () => {
    await using t = await testBundle({ actors: [actor] })
    expect(t.system.observing.httpPort).toBeUndefined()
  })
})
