/**
 * PROTOCOL.md says what is so: its exchanges are sent to a real server byte by byte, and the server has to answer as it stands there; its tables have every
 * header, message event and asset that the code has.
 *
 * An exchange is a block of kind `nats`: lines with `> ` are what the client says, with `< ` what it hears. Each line ends in CRLF on the wire; of what is
 * heard the order among messages is free, and `…` stands for anything.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'

import { jetstreamManager } from '@nats-io/jetstream'
import { declareActor, defineActor, run, type MessageEvents, type System } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

import { H } from '#runtime/broker/headers.js'

import { startServer, type TestServer } from '../kit/server.ts'
import { eventually } from '../kit/system.ts'

const text = await readFile('runtime/PROTOCOL.md', 'utf8')

interface Exchange {
  readonly name: string
  readonly said: readonly string[]
  readonly heard: readonly string[]
}

/** Every block with the heading that it stands below. */
function exchanges(): Exchange[] {
  let heading = ''
  return [...text.matchAll(/^#+ (.+)$|^```nats\n([\s\S]*?)^```$/gm)].flatMap(([, title, block]) => {
    if (title !== undefined) heading = title
    if (block === undefined) return []
    const lines = block.trimEnd().split('\n')
    const of = (mark: string): string[] => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(2))
    return [{ name: heading, said: of('>'), heard: of('<') }]
  })
}

const mailer = defineActor('mailer', {
  retry: { attempts: 2, backoff: { base: 1, jitter: 0 } },
  messages: {
    welcome: { payload: z.object({ to: z.string() }), handle: async ({ to }) => ({ sentTo: to }) },
    bounce: async (_payload: unknown) => {
      throw Object.assign(new Error('no such mailbox'), { code: 'ENOMAIL' })
    },
  },
})

const bounded = declareActor('bounded', { mailbox: { maxMessages: 1 }, messages: { hold: {} } })

let server: TestServer
let system: System
beforeAll(async () => {
  server = await startServer()
  system = await run({
    actors: [mailer, bounded],
    servers: server.url,
    signals: false,
    logLevel: 'silent',
    system: 'host-1',
  })
})
afterAll(async () => {
  await system?.stop({ within: 0 })
  await server?.stop()
})

/** All that comes over a socket, as text. */
class Listener {
  readonly socket: Socket
  text = ''
  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => (this.text += bytes.toString()))
  }
}

async function open(): Promise<Listener> {
  const socket = connect(server.port, '127.0.0.1')
  await once(socket, 'connect')
  const listener = new Listener(socket)
  await eventually('the server says INFO', () => listener.text.includes('INFO'))
  listener.text = ''
  return listener
}

describe('the exchanges of PROTOCOL.md', () => {
  const all = exchanges()
  it('are there', () => expect(all.length).toBeGreaterThan(8))

  it.each(all)('$name', async ({ said, heard }) => {
    const listener = await open()
    // What a client needs besides: the connection itself, where the exchange does not show it.
    if (!said.some((line) => line.startsWith('CONNECT')))
      listener.socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":1}\r\n')
    listener.socket.write(`${filled(said).join('\r\n')}\r\n`)
    const parts = partsOf(heard)
    await eventually(`all is heard: ${parts.map(String).join(' | ')}`, () =>
      parts.every((part) => part.test(listener.text)),
    ).catch((error: unknown) => {
      throw new Error(`heard instead: ${JSON.stringify(listener.text)}`, { cause: error })
    })
    expect(listener.text).not.toContain('-ERR')
    listener.socket.destroy()
  })

  it('have the right sizes', () => {
    const wrong = all.flatMap(({ said }) => sizesOf(said).filter(({ stated, real }) => stated !== real))
    expect(wrong).toEqual([])
  })
})

/** Times that would be past by now: `{now+1000}`. */
function filled(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line.replaceAll(/\{now([+-]\d+)\}/g, (_, more: string) => String(Date.now() + Number(more))),
  )
}

/** The messages that are heard, each as one pattern. */
function partsOf(heard: readonly string[]): RegExp[] {
  const parts: string[][] = []
  for (const line of heard) {
    if (/^(H?MSG|PONG|PING|INFO|\+OK|-ERR)\b/.test(line)) parts.push([])
    parts.at(-1)?.push(line)
  }
  return parts.map((lines) => {
    const literal = lines.map((line) =>
      line
        .split('…')
        .map((piece) => piece.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`))
        .join('[^\\r]*?'),
    )
    return new RegExp(literal.join('\\r\\n'))
  })
}

/** What PUB and HPUB lines state, and what follows them. */
function sizesOf(said: readonly string[]): { line: string; stated: string; real: string }[] {
  return said.flatMap((line, index) => {
    const words = line.split(' ')
    const name = words[0] ?? ''
    if (name !== 'PUB' && name !== 'HPUB') return []
    const rest = said.slice(index + 1)
    const blank = name === 'HPUB' ? rest.indexOf('') : -1
    const headers = name === 'HPUB' ? `${rest.slice(0, blank).join('\r\n')}\r\n\r\n` : ''
    const body = rest[blank + 1] ?? ''
    // The time now has thirteen digits.
    const size = (part: string): number => Buffer.byteLength(part.replaceAll(/\{now[+-]\d+\}/g, '1795592096000'))
    const real = name === 'HPUB' ? `${size(headers)} ${size(headers) + size(body)}` : String(size(body))
    return [{ line, stated: words.slice(name === 'HPUB' ? -2 : -1).join(' '), real }]
  })
}

describe('the tables of PROTOCOL.md', () => {
  it('have every header that the code has', () => {
    const ours = Object.values(H).filter((name) => name.startsWith('Troupe-') || name.startsWith('Nats-'))
    expect(ours.filter((name) => !text.includes(`\`${name}\``))).toEqual([])
  })

  it('have every event of a message', () => {
    const names: Record<keyof MessageEvents, true> = EVENTS
    expect(Object.keys(names).filter((name) => !text.includes(`\`${name}\``))).toEqual([])
  })

  it('have the streams and consumers as they are made', async () => {
    const stated = [...text.matchAll(/^```json asset\n([\s\S]*?)^```$/gm)].map(
      ([, block = '']) => JSON.parse(block) as Record<string, unknown>,
    )
    expect(stated.length).toBeGreaterThanOrEqual(8)
    const jsm = await jetstreamManager(system.troupe.connection as never)
    for (const { stream_name: stream, config, ...own } of stated) {
      const found =
        typeof stream === 'string'
          ? (await jsm.consumers.info(stream, (config as { name: string }).name)).config
          : (await jsm.streams.info(String(own['name']))).config
      expect(found).toMatchObject((config ?? own) as object)
    }
  })
})

/** The compiler sees to it that this list is whole. */
const EVENTS = {
  sent: true,
  started: true,
  done: true,
  progress: true,
  retry: true,
  snooze: true,
  dead: true,
  cancelled: true,
  expired: true,
  released: true,
  'lease-lost': true,
  leak: true,
  abandoned: true,
  crashed: true,
  killed: true,
  unsettled: true,
} as const
