/**
 * A TCP proxy before nats-server: the network, with faults on demand. What a client publishes passes message by message, so
 * that single ones can be swallowed; what the server says passes as it is.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** One PUB or HPUB of a client. */
export interface Published {
  readonly subject: string
  /** Headers and body as text. */
  readonly text: string
}

export interface Proxy extends AsyncDisposable {
  readonly url: string
  /** Breaks all connections and takes no new ones, until `heal`. */
  cut(): void
  /**
   * The connections that are open stay so, and nothing passes on them any more: half-open. New ones are taken and pass, or not either
   * (`newToo`). Ended by `heal`: what was kept back then passes.
   */
  freeze(options?: { newToo?: boolean }): void
  heal(): void
  /** Connections that were taken, with those that ended. */
  readonly taken: number
  /** What matches never reaches the server. How many did: `swallowed`. */
  swallow(matches: (message: Published) => boolean): void
  readonly swallowed: number
}

export async function startProxy(port: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  let freezesNew = false
  let taken = 0
  let swallowed = 0
  let matches: (message: Published) => boolean = () => false
  const passes = (message: Published): boolean => {
    const isSwallowed = matches(message)
    if (isSwallowed) swallowed++
    return !isSwallowed
  }
  const server = createServer((client) => {
    if (isCut) {
      client.destroy()
      return
    }
    taken++
    const upstream = connect(port, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      // Broken on purpose: no news.
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    const read = filtered(passes, (bytes) => upstream.write(bytes))
    client.on('data', read)
    upstream.on('data', (bytes) => client.write(bytes))
    if (freezesNew) for (const socket of [client, upstream]) socket.pause()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    freeze: ({ newToo = false } = {}) => {
      freezesNew = newToo
      for (const socket of sockets) socket.pause()
    },
    heal: () => {
      isCut = false
      freezesNew = false
      for (const socket of sockets) socket.resume()
    },
    get taken() {
      return taken
    },
    swallow: (test) => void (matches = test),
    get swallowed() {
      return swallowed
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Splits what a client says into lines and messages (NATS protocol), and passes on what may pass. */
function filtered(passes: (message: Published) => boolean, write: (bytes: Buffer) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    const out: Buffer[] = []
    for (;;) {
      const end = rest.indexOf('\r\n')
      if (end < 0) break
      const line = rest.toString('latin1', 0, end)
      const isPublish = /^H?PUB /i.test(line)
      const words = line.split(' ')
      const size = isPublish ? end + 4 + Number(words.at(-1)) : end + 2
      if (rest.length < size) break
      const whole = rest.subarray(0, size)
      rest = rest.subarray(size)
      if (!isPublish || passes({ subject: words[1] ?? '', text: whole.toString('latin1', end + 2) })) out.push(whole)
    }
    if (out.length > 0) write(Buffer.concat(out))
  }
}
