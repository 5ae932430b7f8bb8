/** Runs a case of vectors/messages.json with a client: publishes it, and looks at all that has to come of it. vectors/README.md says what a case means. */
import { readFileSync } from 'node:fs'

import { expect } from 'vitest'

import { eventually } from '../../kit/system.ts'
import type { Client, Headers, Sending } from './client.ts'

/** A body as a case says it. */
interface Bodied {
  readonly json?: unknown
  readonly text?: string
  readonly base64?: string
}

interface Expected extends Bodied {
  readonly status?: string
  readonly headers?: Headers
}

export interface Case {
  readonly name: string
  readonly publish: {
    readonly subject: string
    readonly headers?: Headers
    readonly body?: string
    readonly base64?: string
  }
  readonly ack?: object
  readonly outcome?: Expected
  readonly kept?: Expected & { readonly sender: string; readonly id: string }
  readonly letter?: Expected & { readonly message: string; readonly id: string }
}

/** The cases of a file. */
export function vectors<T = Case>(file: string): T[] {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8')) as T[]
}

let ids = 0

export async function runCase(raw: Case, client: Client, namespace: string): Promise<void> {
  const now = Date.now()
  const id = `vector-${process.pid}-${++ids}`
  const filled = fill(raw, (text) =>
    text
      .replaceAll('{ns}', namespace)
      .replaceAll('{id}', id)
      .replaceAll(/\{now([+-]\d+)?\}/g, (_, more?: string) => String(now + Number(more ?? 0))),
  ) as Case
  const { publish, ack, outcome, kept, letter } = filled
  const sending = sendingOf(publish)
  if (outcome === undefined) expect(await client.send(sending)).toEqual(like(ack ?? {}))
  else check(await client.ask(sending), outcome)
  const { actor } = sending
  if (kept !== undefined) check(await client.result({ actor, sender: kept.sender, id: kept.id }, 10_000), kept)
  if (letter === undefined) return
  const place = { actor, message: letter.message, id: letter.id }
  await eventually('the letter is there', async () => (await client.letter(place)) !== null)
  check(await client.letter(place), letter)
}

function sendingOf({ subject, headers = {}, body = '', base64 }: Case['publish']): Sending {
  const [, kind = '', actor = '', ...message] = subject.split('.')
  const bytes = base64 === undefined ? Buffer.from(body) : Buffer.from(base64, 'base64')
  return { kind: kind as Sending['kind'], actor, message: message.join('.'), headers, body: bytes }
}

function check(found: { status?: string; headers: Headers; body: Uint8Array } | null, wanted: Expected): void {
  expect(found).not.toBeNull()
  const { status, headers = {}, body = Buffer.alloc(0) } = found ?? {}
  if (wanted.status !== undefined) expect(status).toBe(wanted.status)
  if (wanted.headers !== undefined) expect(headers).toEqual(like(wanted.headers))
  if (wanted.text !== undefined) expect(Buffer.from(body).toString()).toBe(wanted.text)
  if (wanted.base64 !== undefined) expect(Buffer.from(body).toString('base64')).toBe(wanted.base64)
  if ('json' in wanted) expect(JSON.parse(Buffer.from(body).toString())).toEqual(like(wanted.json))
}

/** Every text in a case with its places filled. */
function fill(value: unknown, text: (raw: string) => string): unknown {
  if (typeof value === 'string') return text(value)
  if (Array.isArray(value)) return value.map((one) => fill(one, text))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fill(one, text)]))
}

/** Other members may be there, and `*` stands for any characters. */
function like(value: unknown): unknown {
  if (typeof value === 'string' && value.includes('*')) return expect.stringMatching(patternOf(value)) as unknown
  if (Array.isArray(value)) return value.map((one) => like(one))
  if (typeof value !== 'object' || value === null) return value
  return expect.objectContaining(
    Object.fromEntries(Object.entries(value).map(([key, one]) => [key, like(one)])),
  ) as unknown
}

function patternOf(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('.*')}$`, 's')
}
