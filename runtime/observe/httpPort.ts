/**
 * The optional HTTP port of a system (settings `http.port`, `http.host`): `/healthz` and `/readyz` for probes, `/metrics` for
 * Prometheus. It answers from before the first actor starts until the last has stopped, has no login, and listens on loopback
 * unless told otherwise: whoever opens it to others puts a network's rules before it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { ConfigError, toError } from '../errors.ts'
import type { Health } from './health.ts'

export interface HttpPortHost {
  health(): Health
  /** Text in Prometheus' format, and its content type. */
  metrics(): Promise<{ readonly type: string; readonly text: string }>
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** A request that takes longer to arrive is no probe. */
const REQUEST_TIMEOUT_MS = 5_000

export class HttpPort {
  readonly #host: HttpPortHost
  readonly #server: Server

  constructor(host: HttpPortHost) {
    this.#host = host
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void this.#answer(request, response)
    })
  }

  /** Port 0 takes a free one. Throws `ConfigError` `PORT_TAKEN` where it can't have the port. */
  async start(port: number, host: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(portTaken(port, host, error)))
      this.#server.listen(port, host, resolve)
    })
    // What goes wrong with one connection is no reason to end anything.
    this.#server.on('error', () => {})
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, type, text } = await this.#route(request).catch((thrown: unknown) => ({
      status: 500,
      type: 'text/plain; charset=utf-8',
      text: `${toError(thrown).message}\n`,
    }))
    const body = Buffer.from(text)
    response.writeHead(status, { 'content-type': type, 'content-length': body.length, 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  async #route({ method, url = '' }: IncomingMessage): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') return plain(405, 'expected GET')
    const path = url.split('?', 1)[0]
    if (path === '/metrics') return { status: 200, ...(await this.#host.metrics()) }
    if (path !== '/healthz' && path !== '/readyz') return plain(404, 'expected /healthz, /readyz or /metrics')
    const health = this.#host.health()
    const isWell = path === '/healthz' ? health.live : health.ready
    return { status: isWell ? 200 : 503, type: 'application/json', text: `${JSON.stringify(health)}\n` }
  }
}

function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', text: `${text}\n` }
}

function portTaken(port: number, host: string, cause: Error): ConfigError {
  const text = `expected http.port ${port} on ${host} to be free, but it can't be opened (${cause.message}). Choose another, or 0 for any.`
  return new ConfigError('PORT_TAKEN', text, { cause, data: { port, host } })
}
