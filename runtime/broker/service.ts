/** An actor as a NATS micro service (ADR-32): an endpoint per message for live calls, and the subject of broadcasts. */
import { Svcm } from '@nats-io/services'
import type { Msg, Subscription } from '@nats-io/transport-node'

import type { ActorSpec } from '../actor.ts'
import type { Live } from '../flow/live.ts'
import type { Broker } from './broker.ts'
import { headersOf } from './delivery.ts'
import { encodeHeaders, H } from './headers.ts'

export interface LiveService {
  stop(withinMs: number): Promise<void>
  /** What runs gets no more time. */
  hurry(): void
}

/** Versions of micro services are semantic versions; the application's own is another issue's. */
const VERSION = '0.1.0'
const QUEUE = 'workers'

export async function serveActor(
  broker: Broker,
  spec: ActorSpec,
  live: Live,
  about: { system: string },
): Promise<LiveService> {
  const { connection, subjects } = broker
  // The services package is built against a copy of the core of its own: the same connection, other types.
  const service = await new Svcm(connection.raw as never).add({
    name: subjects.service(spec.name),
    version: VERSION,
    description: spec.description ?? `Troupe actor ${spec.name}`,
    metadata: { system: about.system, actor: spec.name },
    queue: QUEUE,
  })
  for (const [name, message] of spec.messages) {
    service.addEndpoint(name, {
      subject: subjects.call(spec.name, name),
      metadata: message.description === undefined ? {} : { description: message.description },
      handler: (error, msg) => {
        if (error === null) void answer(live, name, msg as unknown as Responder)
      },
    })
  }
  const broadcasts = connection.subscribe(subjects.wildcard('all', spec.name), (msg) => hear(broker, live, msg))
  // Who starts a system counts on it: what is broadcast after that is heard.
  await connection.flush()
  return { stop: (withinMs) => stop(service, broadcasts, live, withinMs), hurry: () => live.hurry() }
}

/** What we use of a service message: the library's type and its class differ in the header type only. */
interface Responder extends Msg {
  respondError(code: number, description: string, data?: Uint8Array, options?: object): boolean
}

async function answer(live: Live, name: string, msg: Responder): Promise<void> {
  // The library wraps the message, and would read its headers in its own strict way.
  const reply = await live.run(name, headersOf((msg as { msg?: Msg }).msg ?? msg), msg.data)
  if (!reply.ok) return void msg.respondError(reply.code, oneLine(reply.description), reply.body)
  const block = encodeHeaders([[H.contentType, reply.contentType]])
  msg.respond(reply.body, { headers: { encode: () => block } } as never)
}

function hear({ subjects }: Broker, live: Live, msg: Msg): void {
  const prefix = subjects.broadcast(live.actor, '')
  if (msg.subject.startsWith(prefix)) void live.run(msg.subject.slice(prefix.length), headersOf(msg), msg.data)
}

async function stop(
  service: { stop(): Promise<unknown> },
  broadcasts: Subscription,
  live: Live,
  withinMs: number,
): Promise<void> {
  if (!broadcasts.isClosed()) await broadcasts.drain().catch(() => {})
  // Endpoints are drained by the library; what runs still answers before the connection closes.
  const stopped = service.stop().catch(() => {})
  await live.stop(withinMs)
  await stopped
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ').slice(0, 512)
}
