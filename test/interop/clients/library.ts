/** NATS's own JavaScript packages as a wire: the older `nats`, version 2, and today's, in Node or a browser. They have the same form. */
import type { Headers } from '../scenario/client.ts'
import type { Received, Wire } from './wire.ts'

/** What we use of a connection of either package. */
interface Library<Block extends LibraryHeaders> {
  publish(subject: string, body: Uint8Array, options: { headers: Block; reply?: string }): void
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, msg: LibraryMessage) => void; queue?: string },
  ): { unsubscribe(): void }
  flush(): Promise<void>
  close(): Promise<void>
}

interface LibraryHeaders {
  set(name: string, value: string): void
  get(name: string): string
  keys(): string[]
  readonly code: number
  readonly description: string
}

interface LibraryMessage {
  readonly subject: string
  readonly reply?: string
  readonly headers?: LibraryHeaders
  readonly data: Uint8Array
}

export function wireOver<Block extends LibraryHeaders>(nc: Library<Block>, newHeaders: () => Block): Wire {
  const blockOf = (own: Headers): Block => {
    const block = newHeaders()
    for (const [name, value] of Object.entries(own)) block.set(name, value)
    return block
  }
  return {
    publish(subject, own, body, reply) {
      nc.publish(subject, body, { headers: blockOf(own), ...(reply === undefined ? {} : { reply }) })
    },
    subscribe(subject, onMessage, queue) {
      const callback = (error: Error | null, msg: LibraryMessage): void => {
        if (error === null) onMessage(received(msg))
      }
      const subscription = nc.subscribe(subject, queue === undefined ? { callback } : { callback, queue })
      return () => subscription.unsubscribe()
    },
    flush: () => nc.flush(),
    close: () => nc.close(),
  }
}

function received({ subject, reply, headers, data }: LibraryMessage): Received {
  const own = Object.fromEntries((headers?.keys() ?? []).map((name) => [name, headers?.get(name) ?? '']))
  const { code = 0, description = '' } = headers ?? {}
  return { subject, reply, status: code, description, headers: own, body: data }
}
