/**
 * A system on a real server, and a client beside it that knows nothing of Troupe: what a stranger can do to a mailbox.
 * Each stage has its own namespace, so many share one server.
 */
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'

import { connect, headers as newHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { defineActor, run, type AnyActor, type ConfigInput, type DeadLetter, type System } from 'troupe'
import { expect } from 'vitest'
import { z } from 'zod'

import { startServer, type TestServer } from '../kit/server.ts'

/** What handlers were given, in order. */
export interface Handled {
  readonly message: string
  readonly id: string
  readonly attempt: number
  readonly payload: unknown
  readonly headers: Readonly<Record<string, string>>
}

export type HeaderInput = Readonly<Record<string, string>>

/** JetStream's answer to a publish: an ack, or its refusal. */
export interface Answer {
  readonly stream?: string
  readonly seq?: number
  readonly duplicate?: boolean
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string }
}

export interface StageOptions {
  readonly actors?: (handled: Handled[]) => AnyActor[]
  readonly config?: Omit<ConfigInput, 'actors'>
}

let stages = 0

/** One actor with a message for each way to end; two slots, so that one that is held is missed. */
export function victim(handled: Handled[]): AnyActor {
  const note = (
    payload: unknown,
    ctx: { message: string; id: string; attempt: number; headers: Readonly<Record<string, string>> },
  ): void => {
    handled.push({ message: ctx.message, id: ctx.id, attempt: ctx.attempt, payload, headers: ctx.headers })
  }
  return defineActor('mailer', {
    concurrency: 2,
    timeLimit: '5s',
    retry: { attempts: 2, backoff: { base: 5, factor: 1, jitter: 0 } },
    messages: {
      any: async (payload: unknown, ctx) => {
        note(payload, ctx)
        return { got: payload === undefined ? 'nothing' : typeof payload }
      },
      welcome: {
        payload: z.object({ to: z.object({ mail: z.string() }) }),
        handle: async (payload, ctx) => note(payload, ctx),
      },
      fail: async (payload: unknown, ctx) => {
        note(payload, ctx)
        throw new Error('it fails')
      },
      slow: {
        retry: { attempts: 2, backoff: { base: '700ms', factor: 1, jitter: 0 } },
        handle: async (payload: unknown, ctx) => {
          note(payload, ctx)
          throw new Error('it fails')
        },
      },
    },
  })
}

export class Stage implements AsyncDisposable {
  readonly server: TestServer
  readonly ns: string
  readonly system: System
  /** The stranger's connection. */
  readonly nc: NatsConnection
  readonly handled: Handled[]
  readonly events: string[]

  constructor(
    server: TestServer,
    ns: string,
    system: System,
    nc: NatsConnection,
    handled: Handled[],
    events: string[],
  ) {
    this.server = server
    this.ns = ns
    this.system = system
    this.nc = nc
    this.handled = handled
    this.events = events
  }

  /** Publishes and returns JetStream's answer. */
  async put(subject: string, body: string | Uint8Array = '{}', own: HeaderInput = {}): Promise<Answer> {
    const reply = await this.nc.request(`${this.ns}.${subject}`, body, { timeout: 5_000, headers: blockOf(own) })
    return reply.json<Answer>()
  }

  /** The same, where the server has to take it. */
  async stored(subject: string, body: string | Uint8Array = '{}', own: HeaderInput = {}): Promise<number> {
    const answer = await this.put(subject, body, own)
    expect(answer.error).toBeUndefined()
    return answer.seq ?? 0
  }

  /** Waits for the outcome of a message that is published with `Troupe-Reply`. */
  async outcomeOf(subject: string, body: string | Uint8Array = '{}', own: HeaderInput = {}): Promise<Msg> {
    const reply = `${this.ns}.reply.stranger.${++stages}`
    const heard = new Promise<Msg>((resolve) => {
      this.nc.subscribe(reply, { max: 1, callback: (_error, msg) => resolve(msg) })
    })
    await this.stored(subject, body, { ...own, 'Troupe-Reply': reply })
    return heard
  }

  /** The letters, once there are so many. */
  async dead(count = 1): Promise<DeadLetter[]> {
    let letters: DeadLetter[] = []
    await expect
      .poll(async () => (letters = await collect(this.system.troupe.dead.list())).length, {
        timeout: 15_000,
        interval: 20,
      })
      .toBeGreaterThanOrEqual(count)
    expect(letters).toHaveLength(count)
    return letters
  }

  /** A good message is run, and nothing is held or left over: neither slots, nor messages, nor timers. */
  async isWell(): Promise<void> {
    for (let slot = 0; slot < 3; slot++) {
      const done = await this.outcomeOf('do.mailer.any', JSON.stringify({ slot }))
      expect(done.headers?.get('Troupe-Status')).toBe('done')
    }
    await expect
      .poll(() => this.leftOver(), { timeout: 10_000, interval: 20 })
      .toEqual({ mailbox: 0, timer: 0, running: 0, unsettled: 0, held: 0 })
    expect(this.events.filter((event) => event === 'unsettled' || event === 'lease-lost')).toEqual([])
  }

  async leftOver(): Promise<Record<string, number>> {
    const worker = this.system.workers.get('mailer')
    return {
      mailbox: await this.count('mailbox-mailer'),
      timer: await this.count('timer-mailer'),
      running: worker?.running.length ?? -1,
      unsettled: worker?.unsettled ?? -1,
      held: this.system.timers.get('mailer')?.holding ?? -1,
    }
  }

  /** Messages in a stream. */
  async count(stream: string): Promise<number> {
    const info = await this.api<{ state: { messages: number } }>(`STREAM.INFO.${this.ns}-${stream}`)
    return info.state.messages
  }

  async api<T>(call: string, body: unknown = ''): Promise<T> {
    return (await this.nc.request(`$JS.API.${call}`, typeof body === 'string' ? body : JSON.stringify(body))).json<T>()
  }

  /** Writes to the server's port by hand: bytes that no client library would send. Resolves with the server's words. */
  async raw(subject: string, block: string, body: string | Uint8Array = '{}'): Promise<string> {
    const socket = connectSocket(this.server.port, '127.0.0.1')
    await once(socket, 'data')
    const said: string[] = []
    socket.on('data', (bytes) => said.push(bytes.toString()))
    const head = Buffer.from(block, 'latin1')
    const payload = Buffer.from(body)
    socket.write('CONNECT {"headers":true,"verbose":false,"protocol":1}\r\n')
    socket.write(`HPUB ${this.ns}.${subject} ${head.length} ${head.length + payload.length}\r\n`)
    socket.write(Buffer.concat([head, payload, Buffer.from('\r\nPING\r\n')]))
    await expect.poll(() => said.join(''), { timeout: 5_000, interval: 10 }).toMatch(/PONG|-ERR/)
    socket.destroy()
    return said.join('')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nc.close()
    await this.system.stop({ within: 0 })
  }
}

export function blockOf(own: HeaderInput): ReturnType<typeof newHeaders> {
  const block = newHeaders()
  for (const [name, value] of Object.entries(own)) block.append(name, value)
  return block
}

export async function openStage(server: TestServer, options: StageOptions = {}): Promise<Stage> {
  const ns = `stage${++stages}`
  const handled: Handled[] = []
  const events: string[] = []
  const actors = options.actors?.(handled) ?? [victim(handled)]
  const onEvent = (event: string): void => void events.push(event)
  const settings = { servers: server.url, namespace: ns, logLevel: 'silent', ...options.config } as const
  const system = await run({ actors, ...settings, signals: false, grace: 200, onEvent })
  const nc = await connect({ servers: server.url })
  return new Stage(server, ns, system, nc, handled, events)
}

/** A server for the tests of one file. */
export function hostileServer(conf = ''): Promise<TestServer> {
  return startServer({ conf })
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
