/**
 * NATS by hand: a TCP socket and the text protocol of a NATS client, nothing else. What a language without a NATS library has to do.
 *
 * Lines end in CRLF. The server says INFO, PING, +OK, -ERR, MSG and HMSG; we say CONNECT, PONG, PING, PUB, HPUB, SUB and UNSUB.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import type { Headers } from '../scenario/client.ts'
import type { Received, Wire } from './wire.ts'

interface Subscriber {
  readonly onMessage: (message: Received) => void
}

export interface SocketWire extends Wire {
  /** From the server's INFO: bytes of headers and body together. */
  readonly maxPayload: number
  /** Cuts the connection, as a process that dies does. */
  kill(): void
}

/** Connects to `nats://host:port`. */
export async function openSocket(url: string): Promise<SocketWire> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  // Else each small write waits for the ack of the one before.
  socket.setNoDelay(true)
  const conversation = new Conversation(socket)
  await conversation.flush()
  return conversation
}

class Conversation implements SocketWire {
  readonly #socket: Socket
  readonly #subscribers = new Map<string, Subscriber>()
  readonly #pongs: (() => void)[] = []
  #buffer: Buffer = Buffer.alloc(0)
  #lastId = 0
  maxPayload = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes) => this.#read(bytes))
    socket.on('error', () => {})
    const options = { verbose: false, pedantic: false, headers: true, no_responders: true, protocol: 1, lang: 'none' }
    socket.write(`CONNECT ${JSON.stringify(options)}\r\n`)
  }

  publish(subject: string, headers: Headers, body: Uint8Array, reply = ''): void {
    const block = blockOf(headers)
    const to = reply === '' ? subject : `${subject} ${reply}`
    const sizes =
      block.length === 0 ? `PUB ${to} ${body.length}` : `HPUB ${to} ${block.length} ${block.length + body.length}`
    this.#socket.write(Buffer.concat([Buffer.from(`${sizes}\r\n`), block, body, Buffer.from('\r\n')]))
  }

  subscribe(subject: string, onMessage: (message: Received) => void, queue = ''): () => void {
    const id = String(++this.#lastId)
    this.#subscribers.set(id, { onMessage })
    this.#socket.write(queue === '' ? `SUB ${subject} ${id}\r\n` : `SUB ${subject} ${queue} ${id}\r\n`)
    return () => {
      this.#subscribers.delete(id)
      this.#socket.write(`UNSUB ${id}\r\n`)
    }
  }

  flush(): Promise<void> {
    this.#socket.write('PING\r\n')
    return new Promise((resolve) => this.#pongs.push(resolve))
  }

  async close(): Promise<void> {
    if (this.#socket.destroyed) return
    this.#socket.end()
    await once(this.#socket, 'close')
  }

  kill(): void {
    this.#socket.resetAndDestroy()
  }

  #read(bytes: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, bytes])
    while (this.#step()) continue
  }

  /** Takes one line, with the payload that it announces; false where more has to arrive first. */
  #step(): boolean {
    const end = this.#buffer.indexOf('\r\n')
    if (end < 0) return false
    const words = this.#buffer.toString('utf8', 0, end).split(/[ \t]+/)
    const name = words[0]?.toUpperCase()
    if (name === 'MSG' || name === 'HMSG') return this.#message(name, words, end + 2)
    this.#buffer = this.#buffer.subarray(end + 2)
    if (name === 'INFO') this.maxPayload = (JSON.parse(words.slice(1).join(' ')) as { max_payload: number }).max_payload
    if (name === 'PING') this.#socket.write('PONG\r\n')
    if (name === 'PONG') this.#pongs.shift()?.()
    if (name === '-ERR') this.#socket.destroy(new Error(words.join(' ')))
    return true
  }

  /** `MSG subject sid [reply] size`, `HMSG subject sid [reply] headers total`. */
  #message(name: string, words: readonly string[], from: number): boolean {
    const counts = name === 'MSG' ? 1 : 2
    const total = Number(words.at(-1))
    if (this.#buffer.length < from + total + 2) return false
    const headerSize = counts === 2 ? Number(words.at(-2)) : 0
    const reply = words.length === 3 + counts + 1 ? words[3] : undefined
    const block = this.#buffer.toString('utf8', from, from + headerSize)
    const body = Buffer.from(this.#buffer.subarray(from + headerSize, from + total))
    this.#buffer = this.#buffer.subarray(from + total + 2)
    this.#subscribers.get(words[2] ?? '')?.onMessage({ subject: words[1] ?? '', reply, body, ...readBlock(block) })
    return true
  }
}

function blockOf(headers: Headers): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return lines.length === 0 ? Buffer.alloc(0) : Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`)
}

/** `NATS/1.0`, perhaps with a status, then a line for each header. */
export function readBlock(block: string): { status: number; description: string; headers: Headers } {
  const [first = '', ...lines] = block.split('\r\n')
  const [, status = '0', ...description] = first.split(' ')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon > 0) headers[line.slice(0, colon)] = line.slice(colon + 1).trim()
  }
  return { status: Number(status), description: description.join(' '), headers }
}
