/** The verbs over a bare wire, written from PROTOCOL.md alone: nothing of Troupe is imported here. */
import type { Ack, Client, Headers, Letter, Outcome, Sending } from '../scenario/client.ts'
import { firstOf, request, type Received, type Wire } from './wire.ts'

const ASK_TIMEOUT_MS = 15_000
const LOOK_AGAIN_MS = 1_000

export function clientOver(wire: Wire, namespace: string, name = 'shop'): Client {
  const instance = Math.random().toString(36).slice(2)
  let asked = 0
  const replySubject = (): string => `${namespace}.reply.${encodeToken(name)}.${instance}.${++asked}`
  const subjectOf = ({ kind, actor, message }: Sending): string => `${namespace}.${kind}.${actor}.${message}`
  const store = async (subject: string, headers: Headers, body: Uint8Array): Promise<Ack> =>
    JSON.parse(textOf((await request(wire, subject, body, headers)).body)) as Ack

  const client: Client = {
    async tell(sending) {
      wire.publish(subjectOf(sending), sending.headers ?? {}, sending.body)
      await wire.flush()
    },
    send: (sending) => store(subjectOf(sending), sending.headers ?? {}, sending.body),
    async ask(sending) {
      const reply = replySubject()
      const outcome = await firstOf(wire, reply, ASK_TIMEOUT_MS, async () => {
        const ack = await store(subjectOf(sending), { 'Troupe-Reply': reply, ...sending.headers }, sending.body)
        if (ack.error !== undefined) throw new Error(ack.error.description)
      })
      if (outcome === undefined) throw new Error('expected an outcome, got none')
      return outcomeOf(outcome)
    },
    async result({ actor, sender, id }, timeoutMs) {
      const subject = `${namespace}.result.${actor}.${encodeToken(sender)}.${encodeToken(id)}`
      let heard: Received | undefined
      let wake = (): void => {}
      const unsubscribe = wire.subscribe(subject, (message) => {
        heard = message
        wake()
      })
      const until = performance.now() + timeoutMs
      try {
        for (;;) {
          // Listen, look, and look again: what is heard may not be stored yet, what was told before we listened is not heard.
          const kept = heard ?? (await readLast(wire, `${namespace}-results`, subject)) ?? heard
          if (kept !== undefined) return outcomeOf(kept)
          const left = until - performance.now()
          if (left <= 0) return null
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, Math.min(left, LOOK_AGAIN_MS))
            wake = () => {
              clearTimeout(timer)
              resolve()
            }
          })
        }
      } finally {
        unsubscribe()
      }
    },
    async call(actor, message, body, headers = {}) {
      const reply = await request(wire, `${namespace}.call.${actor}.${message}`, body, headers, ASK_TIMEOUT_MS)
      const code = reply.status || Number(reply.headers['Nats-Service-Error-Code'] ?? 0)
      const description = reply.headers['Nats-Service-Error'] ?? reply.description
      return { body: reply.body, error: code === 0 ? undefined : { code, description } }
    },
    async cancel(actor, wanted, timeoutMs) {
      const reply = replySubject()
      const body = Buffer.from(JSON.stringify(wanted))
      const answer = await firstOf(wire, reply, timeoutMs, () =>
        store(`${namespace}.cancel.${actor}`, { 'Troupe-Reply': reply }, body),
      )
      return answer === undefined ? null : (JSON.parse(textOf(answer.body)) as { was: string; id: string })
    },
    async letter({ actor, message, id }) {
      const stream = `${namespace}-dead`
      const head = await readLast(wire, stream, `${namespace}.dead.${actor}.${encodeToken(message)}.${encodeToken(id)}`)
      return head === undefined ? null : wholeLetter(wire, stream, head)
    },
    async events(actor, onEvent) {
      wire.subscribe(`${namespace}.event.${actor}.>`, ({ subject, body }) => onEvent(subject, body))
      await wire.flush()
    },
    close: () => wire.close(),
  }
  return client
}

/** A letter may be in two parts: `Troupe-Tail` is where the end of its body is. */
async function wholeLetter(wire: Wire, stream: string, head: Received): Promise<Letter> {
  const tail = head.headers['Troupe-Tail']
  if (tail === undefined) return { headers: head.headers, body: head.body }
  const end = await request(wire, `$JS.API.DIRECT.GET.${stream}`, JSON.stringify({ seq: Number(tail) }))
  return { headers: head.headers, body: Buffer.concat([head.body, end.body]) }
}

/** The last message of a subject in a stream, by direct get. */
async function readLast(wire: Wire, stream: string, subject: string): Promise<Received | undefined> {
  const found = await request(wire, `$JS.API.DIRECT.GET.${stream}.${subject}`)
  return found.status === 0 ? found : undefined
}

function outcomeOf({ headers, body }: Received): Outcome {
  return { status: headers['Troupe-Status'] ?? '', headers, body }
}

/** A text as one token of a subject: each byte of UTF-8 that is not in the list as `%XX`. */
export function encodeToken(text: string): string {
  const token = Array.from(Buffer.from(text), (byte) =>
    /[a-zA-Z0-9_:@/+=,;~-]/.test(String.fromCodePoint(byte))
      ? String.fromCodePoint(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('')
  if (token.length > 600) return `${token.slice(0, 600)}~cut`
  return token === '' ? '%' : token
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
