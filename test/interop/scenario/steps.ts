/** The scenario: what every client has to be able to do, once for all of them. A step knows the client's verbs and looks at what the actors saw. */
import { jetstreamManager } from '@nats-io/jetstream'
import { expect } from 'vitest'

import { eventually } from '../../kit/system.ts'
import type { Client, Headers, Sending } from './client.ts'
import type { Handled, Probe } from './probe.ts'

export interface Act {
  readonly client: Client
  readonly probe: Probe
}

export interface Step {
  readonly does: string
  run(act: Act): Promise<void>
}

let ids = 0
const newId = (): string => `step-${process.pid}-${++ids}`

function sending(message: string, payload: unknown, headers: Headers = {}, kind: Sending['kind'] = 'do'): Sending {
  return { kind, actor: 'probe', message, headers, body: bytesOf(payload) }
}

const bytesOf = (payload: unknown): Uint8Array => Buffer.from(JSON.stringify(payload))
const parsed = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString())

function seen({ handled }: Probe, id: string): Handled[] {
  return handled.filter((one) => one.id === id)
}

function handledOf(probe: Probe, id: string, count = 1): Promise<void> {
  return eventually(`${id} is handled ${count} times`, () => seen(probe, id).length >= count)
}

/** Messages in one of the namespace's streams. */
async function stored({ system, namespace }: Probe, stream: string): Promise<number> {
  const manager = await jetstreamManager(system.troupe.connection as never)
  return (await manager.streams.info(`${namespace}-${stream}`)).state.messages
}

/** Whether a delayed message has come to its parking place. */
async function isParked({ system, namespace }: Probe, message: string, id: string): Promise<boolean> {
  const manager = await jetstreamManager(system.troupe.connection as never)
  const place = { last_by_subj: `${namespace}.timer.at.probe.${message}.${id}` }
  return (await manager.streams.getMessage(`${namespace}-timer-probe`, place)) !== null
}

export const STEPS: readonly Step[] = [
  {
    does: 'sends a plain message by a publish alone',
    async run({ client, probe }) {
      const tag = newId()
      await client.tell(sending('echo', { tag }))
      await eventually('it is handled', () =>
        probe.handled.some(({ payload }) => (payload as { tag?: string })?.tag === tag),
      )
      const [first] = probe.handled.filter(({ payload }) => (payload as { tag?: string })?.tag === tag)
      expect(first?.id).toMatch(new RegExp(`^${probe.namespace}-mailbox-probe:\\d+$`))
    },
  },
  {
    does: 'sends one with an ack, and its own headers reach the handler',
    async run({ client, probe }) {
      const id = newId()
      const ack = await client.send(sending('echo', { a: 1 }, { 'Nats-Msg-Id': id, 'X-Tenant': 'blue' }))
      expect(ack).toMatchObject({ stream: `${probe.namespace}-mailbox-probe`, seq: expect.any(Number) as number })
      await handledOf(probe, id)
      expect(seen(probe, id)).toMatchObject([{ payload: { a: 1 }, headers: { 'X-Tenant': 'blue' } }])
    },
  },
  {
    does: 'awaits what the handler returns',
    async run({ client }) {
      const id = newId()
      const { status, headers, body } = await client.ask(sending('echo', { n: 7 }, { 'Nats-Msg-Id': id }))
      expect({ status, body: parsed(body) }).toEqual({ status: 'done', body: { n: 7 } })
      expect(headers).toMatchObject({ 'Troupe-Id': id, 'Content-Type': 'application/json' })
    },
  },
  {
    does: 'delays one, which is never early',
    async run({ client, probe }) {
      const id = newId()
      const due = Date.now() + 900
      const { status } = await client.ask(
        sending('echo', 'late', { 'Nats-Msg-Id': id, 'Troupe-Due': String(due) }, 'later'),
      )
      expect(status).toBe('done')
      expect(seen(probe, id)[0]?.at).toBeGreaterThanOrEqual(due)
    },
  },
  {
    does: 'replaces one that is delayed, so that the later one is run alone',
    async run({ client, probe }) {
      const id = newId()
      const headers = (due: number): Headers => ({
        'Troupe-Id': id,
        'Troupe-Due': String(due),
        'Troupe-Replace': 'true',
      })
      await client.send(sending('echo', 'first', headers(Date.now() + 1_500), 'later'))
      await eventually('the first is parked', () => isParked(probe, 'echo', id))
      const { body } = await client.ask(sending('echo', 'second', headers(Date.now() + 700), 'later'))
      expect(parsed(body)).toBe('second')
      await eventually('nothing is parked any more', async () => (await stored(probe, 'timer-probe')) === 0)
      expect(seen(probe, id).map(({ payload }) => payload)).toEqual(['second'])
    },
  },
  {
    does: 'sends to lanes: high before the others',
    async run({ client, probe }) {
      const at = (kind: Sending['kind'], message: string, id: string): Promise<unknown> =>
        client.send({
          kind,
          actor: 'single',
          message,
          headers: { 'Nats-Msg-Id': id, 'X-Kind': kind },
          body: bytesOf(id),
        })
      const blocker = newId()
      await at('do', 'wait', blocker)
      await handledOf(probe, blocker)
      const kinds = ['low', 'do', 'high'] as const
      const sent = kinds.flatMap((kind) => Array.from({ length: 6 }, () => ({ kind, id: newId() })))
      for (const { kind, id } of sent) await at(kind, 'work', id)
      probe.release()
      for (const { id } of sent) await handledOf(probe, id)
      const order = probe.handled
        .filter(({ id }) => sent.some((one) => one.id === id))
        .map(({ headers }) => headers['X-Kind'])
      // The lower lanes have their turns now and then, by count: so it is the sum of places that tells.
      const place = (kind: string): number => order.reduce((sum, one, index) => sum + (one === kind ? index : 0), 0)
      expect(place('high')).toBeLessThan(place('do'))
      expect(place('high')).toBeLessThan(place('low'))
    },
  },
  {
    does: 'sends one that expires, and is told so',
    async run({ client, probe }) {
      const id = newId()
      const { status, body } = await client.ask(
        sending('echo', 1, { 'Nats-Msg-Id': id, 'Troupe-Expires': String(Date.now() - 1_000) }),
      )
      expect({ status, body: parsed(body) }).toMatchObject({ status: 'expired', body: { name: 'ExpiredError' } })
      expect(seen(probe, id)).toEqual([])
    },
  },
  {
    does: 'sends the same id twice and has it run once',
    async run({ client, probe }) {
      const id = newId()
      const first = await client.send(sending('echo', 'once', { 'Nats-Msg-Id': id }))
      const second = await client.send(sending('echo', 'twice', { 'Nats-Msg-Id': id }))
      expect([first.duplicate ?? false, second.duplicate, second.seq]).toEqual([false, true, first.seq])
      // What is sent after both is handled after both.
      await client.ask(sending('echo', 'after', { 'Nats-Msg-Id': newId() }))
      expect(seen(probe, id).map(({ payload }) => payload)).toEqual(['once'])
    },
  },
  {
    does: 'is told why a message died, after its attempts',
    async run({ client, probe }) {
      const id = newId()
      const { status, body } = await client.ask(sending('fail', {}, { 'Nats-Msg-Id': id }))
      expect(status).toBe('dead')
      expect(parsed(body)).toEqual({ name: 'Error', message: 'no such mailbox', code: 'ENOMAIL', attempts: 2 })
      expect(seen(probe, id).map(({ attempt }) => attempt)).toEqual([1, 2])
    },
  },
  {
    does: 'reads a dead letter: its body as sent, its headers, its reason',
    async run({ client }) {
      const id = `${newId()} of *.>`
      await client.ask(sending('fail', { n: 1 }, { 'Troupe-Id': id, 'X-Tenant': 'blue' }))
      const letter = await client.letter({ actor: 'probe', message: 'fail', id })
      expect(parsed(letter?.body ?? Buffer.alloc(0))).toEqual({ n: 1 })
      expect(letter?.headers).toMatchObject({
        'Troupe-Id': id,
        'Troupe-Reason': 'failed',
        'Troupe-Error': 'Error: no such mailbox',
        'Troupe-Attempt': '2',
        'X-Tenant': 'blue',
      })
      const detail = JSON.parse(letter?.headers['Troupe-Detail'] ?? '{}') as { history?: unknown[] }
      expect(detail).toMatchObject({ failure: { code: 'ENOMAIL' }, history: [{ attempt: 1 }] })
    },
  },
  {
    does: 'reads a dead letter that is in two parts',
    async run({ client, probe }) {
      const id = newId()
      // As large as the server takes: beside it there is no room for a letter's own headers.
      const most = probe.system.troupe.connection.info?.max_payload ?? 0
      const body = Buffer.alloc(most - 200, 'x')
      body.write('the end', body.length - 7)
      await client.send({ kind: 'do', actor: 'probe', message: 'echo', headers: { 'Nats-Msg-Id': id }, body })
      await eventually(
        'it is dead',
        async () => (await client.letter({ actor: 'probe', message: 'echo', id })) !== null,
      )
      const letter = await client.letter({ actor: 'probe', message: 'echo', id })
      expect(letter?.headers).toMatchObject({ 'Troupe-Reason': 'invalid', 'Troupe-Tail': expect.any(String) as string })
      expect(Buffer.from(letter?.body ?? []).equals(body)).toBe(true)
    },
  },
  {
    does: 'reads a result that is kept, and waits for one that is not there yet',
    async run({ client, probe }) {
      const id = `${newId()}.of a shop`
      const keep = { 'Troupe-Id': id, 'Troupe-Keep': '1h', 'Troupe-Sender': 'the.shop' }
      expect(await client.result({ actor: 'probe', sender: 'the.shop', id }, 50)).toBeNull()
      await client.send(sending('wait', {}, keep))
      await handledOf(probe, id)
      const waiting = client.result({ actor: 'probe', sender: 'the.shop', id }, 10_000)
      probe.release()
      const first = await waiting
      const again = await client.result({ actor: 'probe', sender: 'the.shop', id }, 1_000)
      for (const kept of [first, again]) {
        expect(kept?.status).toBe('done')
        expect(parsed(kept?.body ?? Buffer.alloc(0))).toBe('waited')
      }
    },
  },
  {
    does: 'calls a live worker',
    async run({ client }) {
      const answer = await client.call('probe', 'echo', bytesOf({ live: true }))
      expect({ ...answer, body: parsed(answer.body) }).toEqual({ body: { live: true }, error: undefined })
    },
  },
  {
    does: 'reads the error of a live call: from its handler, its schema, and where nobody is',
    async run({ client }) {
      const failed = await client.call('probe', 'fail', bytesOf({}))
      expect(failed.error).toEqual({ code: 500, description: 'no such mailbox' })
      expect(parsed(failed.body)).toMatchObject({ name: 'Error', code: 'ENOMAIL' })
      expect((await client.call('probe', 'greet', bytesOf({ to: 7 }))).error?.code).toBe(400)
      expect((await client.call('probe', 'refuse', bytesOf({}))).error).toEqual({
        code: 422,
        description: 'unsubscribed',
      })
      expect((await client.call('probe', 'nobody', bytesOf({}))).error?.code).toBe(503)
    },
  },
  {
    does: 'cancels one that is parked',
    async run({ client, probe }) {
      const id = newId()
      const parked = { 'Nats-Msg-Id': id, 'Troupe-Due': String(Date.now() + 60_000) }
      const outcome = client.ask(sending('echo', {}, parked, 'later'))
      await eventually('it is parked', () => isParked(probe, 'echo', id))
      expect(await client.cancel('probe', { id, reason: 'changed my mind' }, 10_000)).toEqual({ was: 'parked', id })
      const { status, body } = await outcome
      expect({ status, body: parsed(body) }).toEqual({
        status: 'cancelled',
        body: { name: 'CancelledError', message: 'changed my mind' },
      })
      expect(await isParked(probe, 'echo', id)).toBe(false)
    },
  },
  {
    does: 'cancels one that runs, by a filter on a header',
    async run({ client, probe }) {
      const id = newId()
      const outcome = client.ask(sending('wait', {}, { 'Nats-Msg-Id': id, 'X-Order': id }))
      await handledOf(probe, id)
      const answer = await client.cancel('probe', { header: { name: 'X-Order', value: id } }, 10_000)
      expect(answer).toEqual({ was: 'running', id })
      expect((await outcome).status).toBe('cancelled')
    },
  },
  {
    does: 'cancels one that waits, and is told when a worker meets it',
    async run({ client, probe }) {
      const [blocker, id] = [newId(), newId()]
      const at = (message: string, own: string): Sending => ({
        kind: 'do',
        actor: 'single',
        message,
        headers: { 'Nats-Msg-Id': own },
        body: bytesOf(own),
      })
      await client.send(at('wait', blocker))
      await handledOf(probe, blocker)
      const outcome = client.ask(at('echo', id))
      await eventually('both are stored', async () => (await stored(probe, 'mailbox-single')) === 2)
      const before = await stored(probe, 'cancels')
      const answer = client.cancel('single', { id }, 10_000)
      await eventually('the cancel is stored', async () => (await stored(probe, 'cancels')) === before + 1)
      // What follows cancels has read it when a second, later cancel was answered.
      expect(await client.cancel('single', { id: blocker }, 10_000)).toMatchObject({ was: 'running' })
      probe.release()
      expect(await answer).toEqual({ was: 'waiting', id })
      expect((await outcome).status).toBe('cancelled')
      expect(seen(probe, id)).toEqual([])
    },
  },
  {
    does: 'is told nothing where there is nothing to cancel',
    async run({ client }) {
      expect(await client.cancel('probe', { id: 'nobody has this' }, 300)).toBeNull()
    },
  },
  {
    does: 'hears the events of failures',
    async run({ client, probe }) {
      const id = newId()
      const heard: { subject: string; body: Record<string, unknown> }[] = []
      await client.events('probe', (subject, body) =>
        heard.push({ subject, body: parsed(body) as Record<string, unknown> }),
      )
      await client.ask(sending('fail', {}, { 'Nats-Msg-Id': id }))
      await eventually('both are heard', () => heard.filter(({ body }) => body['id'] === id).length === 2)
      const prefix = `${probe.namespace}.event.probe.fail.`
      expect(heard.filter(({ body }) => body['id'] === id)).toMatchObject([
        { subject: `${prefix}retry`, body: { id, attempt: 1, afterMs: 1, failure: { code: 'ENOMAIL' } } },
        {
          subject: `${prefix}dead`,
          body: { id, attempt: 2, reason: 'failed', failure: { message: 'no such mailbox' } },
        },
      ])
    },
  },
]
