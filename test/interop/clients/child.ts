/**
 * A client that is a program in another language: each verb is a line of JSON to its stdin, each answer a line from its stdout. Bodies cross as base64.
 * The program is one client with one connection; it ends when its stdin does.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import type { Answer, Client, Letter, Outcome, Sending } from '../scenario/client.ts'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

type Line =
  | { readonly n: number; readonly value?: unknown; readonly error?: string }
  | { readonly event: { readonly subject: string; readonly body: string } }

/** Starts it and resolves when it is connected. */
export async function openChild({ command, args, env }: Program, url: string, namespace: string): Promise<Client> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env, NATS_URL: url, NAMESPACE: namespace },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  let onEvent: (subject: string, body: Uint8Array) => void = () => {}
  let asked = 0
  let said = ''
  child.stderr.on('data', (text) => (said += String(text)))
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line
    if ('event' in line) return onEvent(line.event.subject, bytesOf(line.event.body))
    const one = waiting.get(line.n)
    waiting.delete(line.n)
    if (line.error === undefined) one?.resolve(line.value as never)
    else one?.reject(new Error(line.error))
  })
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`${command} ended: ${said}`))
  })

  const say = <T>(verb: string, given: object): Promise<T> => {
    const n = ++asked
    child.stdin.write(`${JSON.stringify({ n, verb, ...given })}\n`)
    return new Promise((resolve, reject) => waiting.set(n, { resolve, reject }))
  }
  const withBody = ({ body, ...rest }: Sending): object => ({ headers: {}, ...rest, body: textOf(body) })
  await say('ready', {})
  return {
    tell: (sending) => say('tell', withBody(sending)),
    send: (sending) => say('send', withBody(sending)),
    ask: async (sending) => read(await say<Packed<Outcome>>('ask', withBody(sending))),
    result: async (place, timeoutMs) => readIf(await say<Packed<Outcome> | null>('result', { ...place, timeoutMs })),
    call: async (actor, message, body, headers = {}) => {
      const answer = read(await say<Packed<Answer>>('call', { actor, message, body: textOf(body), headers }))
      return { error: undefined, ...answer }
    },
    cancel: (actor, request, timeoutMs) => say('cancel', { actor, request, timeoutMs }),
    letter: async (place) => readIf(await say<Packed<Letter> | null>('letter', place)),
    events: (actor, hear) => {
      onEvent = hear
      return say('events', { actor })
    },
    async close() {
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exited
      clearTimeout(timer)
    },
  }
}

/** As it crosses: the body as base64. */
type Packed<T> = Omit<T, 'body'> & { readonly body: string }

function read<T extends { body: Uint8Array }>(packed: Packed<T>): T {
  return { ...packed, body: bytesOf(packed.body) } as unknown as T
}

function readIf<T extends { body: Uint8Array }>(packed: Packed<T> | null): T | null {
  return packed === null ? null : read(packed)
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
/** Go says `null` for no bytes. */
const bytesOf = (text: string | null): Uint8Array => Buffer.from(text ?? '', 'base64')
