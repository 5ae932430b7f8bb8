/** What `nats micro ls`, `info`, `stats` and `ping` show of actors, by speaking the same API (ADR-32) on a bare connection. */
import { type } from 'arktype'
import { ActorError, defineActor, type Troupe } from 'troupe'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import type { MailboxStats } from '#runtime/observe/card.js'

import { eventually, gate, testBundle } from '../kit/system.ts'

interface Endpoint {
  readonly name: string
  readonly subject: string
  readonly queue_group: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly num_requests: number
  readonly num_errors: number
  readonly last_error?: string
  readonly processing_time: number
  readonly average_processing_time: number
  readonly data: MailboxStats
}

interface Answer {
  readonly type: string
  readonly version: string
  readonly metadata: Readonly<Record<string, string>>
  readonly endpoints: readonly Endpoint[]
}

async function ask(troupe: Troupe, verb: 'PING' | 'INFO' | 'STATS', service: string): Promise<Answer> {
  return (await troupe.connection.request(`$SRV.${verb}.${service}`)).json<Answer>()
}

async function statsOf(troupe: Troupe, service: string, message: string): Promise<Endpoint> {
  const { endpoints } = await ask(troupe, 'STATS', service)
  const found = endpoints.find(({ name }) => name === message)
  if (found === undefined) throw new Error(`no endpoint ${message}`)
  return found
}

describe('nats micro info', () => {
  it('tells who runs an actor, and in which version', async () => {
    const actor = defineActor('card', { description: 'Says hello', messages: { hello: () => 'hello' } })
    await using t = await testBundle({ actors: [actor], version: '3.1.4', system: 'sys' })
    const info = await ask(t.troupe, 'INFO', `${t.namespace}-card`)
    expect(info).toMatchObject({ version: '3.1.4', description: 'Says hello' })
    expect(info.metadata).toMatchObject({
      system: 'sys',
      actor: 'card',
      pid: String(process.pid),
      host: expect.stringMatching(/./) as string,
      troupe: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      messages: 'hello',
    })
    expect(info.endpoints[0]).toMatchObject({ subject: `${t.namespace}.call.card.hello`, queue_group: 'workers' })
  })

  it("has the project's own version where none is set", async () => {
    const actor = defineActor('card', { messages: { hello: () => 'hello' } })
    await using t = await testBundle({ actors: [actor] })
    const ping = await ask(t.troupe, 'PING', `${t.namespace}-card`)
    expect(ping.version).toBe(ping.metadata['troupe'])
  })

  it('has the JSON Schema of each payload, whichever library made it', async () => {
    const to = { type: 'string' }
    const actor = defineActor('typed', {
      messages: {
        zod: { payload: z.object({ to: z.string() }), handle: () => {} },
        arktype: { payload: type({ to: 'string' }), handle: () => {} },
        valibot: { payload: v.object({ to: v.string() }), handle: () => {} },
        none: () => {},
      },
    })
    await using t = await testBundle({ actors: [actor] })
    const { endpoints } = await ask(t.troupe, 'INFO', `${t.namespace}-typed`)
    for (const { name, metadata = {} } of endpoints) {
      const schema = JSON.parse(metadata['payload_schema'] ?? 'null') as unknown
      if (name === 'none') expect(metadata['payload_schema_missing']).toContain('declares no schema')
      else expect(schema, name).toMatchObject({ type: 'object', properties: { to }, required: ['to'] })
    }
    expect(endpoints).toHaveLength(4)
  })
})

describe('nats micro stats', () => {
  it('counts live calls: how many, how long, what failed', async () => {
    const actor = defineActor('live', {
      messages: {
        slow: async () => new Promise((resolve) => setTimeout(resolve, 40)),
        fails: () => {
          throw new Error('broken\nhere')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await Promise.all([t.troupe.call(actor.slow, undefined), t.troupe.call(actor.slow, undefined)])
    await t.troupe.broadcast(actor.slow, undefined)
    await expect(t.troupe.call(actor.fails, undefined)).rejects.toThrow('broken')
    const reply = await t.troupe.connection.request(`${t.namespace}.call.live.fails`)
    expect(reply.headers?.get('Nats-Service-Error-Code')).toBe('500')
    expect(reply.headers?.get('Nats-Service-Error')).toBe('broken here')

    const slow = await statsOf(t.troupe, `${t.namespace}-live`, 'slow')
    expect(slow).toMatchObject({ num_requests: 2, num_errors: 0 })
    // Integers, since the CLI reads them into Go's durations.
    expect(Number.isInteger(slow.processing_time) && Number.isInteger(slow.average_processing_time)).toBe(true)
    expect(slow.processing_time).toBeGreaterThan(2 * 38e6)
    expect(slow.average_processing_time).toBeGreaterThan(38e6)
    const fails = await statsOf(t.troupe, `${t.namespace}-live`, 'fails')
    expect(fails).toMatchObject({ num_requests: 2, num_errors: 2, last_error: '500:broken\nhere' })
  })

  it('counts what became of the messages in the mailbox', async () => {
    const open = gate()
    const actor = defineActor('box', {
      concurrency: 2,
      retry: { attempts: 2, backoff: { base: '1ms' } },
      messages: {
        fine: () => 'ok',
        fails: (): never => {
          throw new ActorError('NOPE', 'it never works')
        },
        waits: () => open.passed,
      },
    })
    await using t = await testBundle({ actors: [actor], system: 'sys' })
    await Promise.all([1, 2, 3].map((n) => t.troupe.ask(actor.fine, n as never)))
    await expect(t.troupe.ask(actor.fails, undefined as never)).rejects.toThrow('never works')
    await t.troupe.sendMany(actor.waits, [1, 2, 3, 4, 5] as never)
    await t.events.wait('started', { where: ({ message }) => message === 'waits', count: 2 })

    const service = `${t.namespace}-box`
    const { data: fine } = await statsOf(t.troupe, service, 'fine')
    expect(fine).toMatchObject({ done: 3, failed: 0, retried: 0, dead: 0, running: 0, waiting: 0, paused: {} })
    expect(fine.processing.count).toBe(3)
    expect(fine.processing.le['+Inf']).toBe(3)
    const { data: fails } = await statsOf(t.troupe, service, 'fails')
    expect(fails).toMatchObject({ done: 0, failed: 2, retried: 1, dead: 1 })
    expect(fails.last_error).toMatchObject({ name: 'ActorError', message: 'it never works' })
    // The numbers of the mailbox may be a second old.
    await eventually('the five are seen', async () => {
      const { data } = await statsOf(t.troupe, service, 'waits')
      return data.running === 2 && data.waiting === 3
    })
    open.open()
    await t.events.wait('done', { where: ({ message }) => message === 'waits', count: 5 })
  })
})
