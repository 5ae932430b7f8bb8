/**
 * An actor as a NATS micro service (ADR-32): an endpoint per message for live calls, and the subject of broadcasts.
 *
 * The library counts a callback's time until it returns, and no error that is answered: ours are asynchronous and answer
 * their errors. So before it tells an endpoint's stats, its counters are set from our own (tally.ts).
 */
import { Svcm, type Endpoint } from '@nats-io/services'
import type { Msg, Subscription } from '@nats-io/transport-node'

import type { ActorSpec } from '../actor.ts'
import type { Live } from '../flow/live.ts'
import type { LiveTally } from '../observe/tally.ts'
import type { Broker } from './broker.ts'
import { headersOf } from './delivery.ts'
import { encodeHeaders, H } from './headers.ts'

export interface LiveService {
  stop(withinMs: number): Promise<void>
  /** What runs gets no more time. */
  hurry(): void
}

/** What the service says of itself beside its name and endpoints. */
export interface ServiceCard {
  /** The application's, a semantic version. */
  readonly version: string
  readonly metadata: Readonly<Record<string, string>>
  /** Metadata of each endpoint. */
  readonly endpoint: (message: string) => Promise<Readonly<Record<string, string>>>
  /** Live calls of a message, counted. */
  readonly live: (message: string) => LiveTally
  /** `data` in the endpoint's stats: of the mailbox. */
  readonly stats: (message: string) => Promise<unknown>
}

const QUEUE = 'workers'

export async function serveActor(broker: Broker, spec: ActorSpec, live: Live, card: ServiceCard): Promise<LiveService> {
  const { connection, subjects } = broker
  // The services package is built against a copy of the core of its own: the same connection, other types.
  const service = await new Svcm(connection.raw as never).add({
    name: subjects.service(spec.name),
    version: card.version,
    description: spec.description ?? `Troupe actor ${spec.name}`,
    metadata: card.metadata,
    queue: QUEUE,
    statsHandler: (endpoint) => statsOf(endpoint as CountedEndpoint, card),
  })
  for (const name of spec.messages.keys()) {
    service.addEndpoint(name, {
      subject: subjects.call(spec.name, name),
      metadata: await card.endpoint(name),
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

/** An endpoint as the library hands it to a stats handler: with the counters that it is about to tell. */
interface CountedEndpoint extends Endpoint {
  readonly name: string
  readonly stats?: {
    num_requests: number
    num_errors: number
    last_error?: string
    processing_time: number
    average_processing_time: number
  }
}

async function statsOf({ name, stats }: CountedEndpoint, card: ServiceCard): Promise<unknown> {
  const { processing, errors, lastError } = card.live(name)
  const nanos = Math.round(processing.sumMs * 1e6)
  const own = {
    num_requests: processing.count,
    num_errors: errors,
    processing_time: nanos,
    average_processing_time: processing.count === 0 ? 0 : Math.round(nanos / processing.count),
    ...(lastError === undefined ? {} : { last_error: lastError }),
  }
  if (stats !== undefined) Object.assign(stats, own)
  return card.stats(name)
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
  if (!msg.subject.startsWith(prefix)) return
  void live.run(msg.subject.slice(prefix.length), headersOf(msg), msg.data, 'broadcasts')
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
