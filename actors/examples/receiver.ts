/**
 * The other side of the demo: a real HTTP server that checks signatures and has its moods. Each path is an endpoint; how it
 * answers depends on how often it has seen an event, never on chance, so that every run shows everything.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { systemClock } from '../../runtime/time/clock.ts'
import { verifyWebhook } from './signature.ts'

/** How an endpoint answers an event that it sees for the `visit`th time. `silence`: it takes it and says nothing for long. */
export type Mood = (visit: number) => number | 'silence' | { readonly status: number; readonly retryAfter: string }

export interface ReceiverOptions {
  /** By endpoint. */
  readonly moods: Readonly<Record<string, Mood>>
  /** The secrets that the endpoint knows. */
  readonly secrets: (endpoint: string) => readonly string[]
}

/** A running receiver and what it saw. */
export interface Receiver {
  readonly url: string
  /** Requests in all. */
  readonly requests: number
  /** Requests that were not signed as they should be. */
  readonly forged: number
  /** Events that it took, by `webhook-id`, and how often each came again after that. */
  readonly taken: ReadonlyMap<string, number>
  /** Ends it, with the answers that it owes. */
  stop(): Promise<void>
}

const LARGEST_BODY = 65_536

/** Listens on a free port of loopback. */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const state = { requests: 0, forged: 0, taken: new Map<string, number>(), visits: new Map<string, number>() }
  const server = createServer((request, response) => {
    state.requests++
    answer(request, response, options, state).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stop = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
    if (server.listening) await once(server, 'close')
  }
  return Object.assign(state, { url, stop })
}

interface State {
  forged: number
  readonly taken: Map<string, number>
  readonly visits: Map<string, number>
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { moods, secrets }: ReceiverOptions,
  state: State,
): Promise<void> {
  const endpoint = (request.url ?? '').slice(1)
  const mood = Object.hasOwn(moods, endpoint) ? moods[endpoint] : undefined
  const body = await read(request)
  if (mood === undefined || body === undefined) return end(response, mood === undefined ? 404 : 413)
  const id = genuineId(secrets(endpoint), request, body)
  if (id === undefined) state.forged++
  if (id === undefined) return end(response, 401, 'this signature is by none of my secrets')
  const visit = (state.visits.get(id) ?? 0) + 1
  state.visits.set(id, visit)
  const reply = mood(visit)
  if (reply === 'silence' || reply === 200) state.taken.set(id, (state.taken.get(id) ?? -1) + 1)
  if (reply === 'silence') return
  if (typeof reply === 'number') return end(response, reply)
  response.setHeader('retry-after', reply.retryAfter)
  end(response, reply.status)
}

function genuineId(secrets: readonly string[], request: IncomingMessage, body: Uint8Array): string | undefined {
  try {
    return verifyWebhook(secrets, request.headers, body, { now: systemClock.now() })
  } catch {
    return undefined
  }
}

async function read(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > LARGEST_BODY) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function end(response: ServerResponse, status: number, text = ''): void {
  response.writeHead(status, text === '' ? {} : { 'content-type': 'text/plain' }).end(text)
}
