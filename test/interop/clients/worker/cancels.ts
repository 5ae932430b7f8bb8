/** The cancels of an actor: read to their end, then followed. PROTOCOL.md, "Cancels". */
import { newInbox, type Wire } from '../wire.ts'
import { api } from './assets.ts'
import { placeOf, replySubject, type Message } from './message.ts'

export interface Cancel {
  readonly id?: string
  readonly message?: string
  readonly root?: string
  readonly header?: { readonly name: string; readonly value: string }
  readonly reason?: string
  /** When it was stored: it holds for what was sent before. */
  readonly at: number
  readonly reply: string | undefined
}

/** Whether a cancel speaks of a message; an empty one speaks of nothing. */
export function speaksOf(
  cancel: Omit<Cancel, 'at' | 'reply'>,
  message: Pick<Message, 'id' | 'name' | 'root' | 'headers'>,
): boolean {
  const { id, message: name, root, header } = cancel
  if ([id, name, root, header].every((part) => part === undefined)) return false
  return (
    (id === undefined || id === message.id) &&
    (name === undefined || name === message.name) &&
    (root === undefined || root === message.root) &&
    (header === undefined || message.headers[header.name] === header.value)
  )
}

export async function followCancels(
  wire: Wire,
  { namespace, actor }: { namespace: string; actor: string },
  onCancel: (cancel: Cancel) => void,
): Promise<Cancel[]> {
  const stream = `${namespace}-cancels`
  const inbox = newInbox()
  const known: Cancel[] = []
  let seen = 0
  let whenSeen = (): void => {}
  wire.subscribe(inbox, ({ reply = '', headers, body, status }) => {
    if (status !== 0) return
    const cancel = {
      ...parse(body),
      at: placeOf(reply).storedAt,
      reply: replySubject(headers['Troupe-Reply'], namespace),
    }
    known.push(cancel)
    onCancel(cancel)
    seen++
    whenSeen()
  })
  const config = {
    deliver_subject: inbox,
    filter_subject: `${namespace}.cancel.${actor}`,
    deliver_policy: 'all',
    ack_policy: 'none',
    max_deliver: 1,
    inactive_threshold: 300_000_000_000,
  }
  const info = await api(wire, `CONSUMER.CREATE.${stream}`, { stream_name: stream, config })
  const pending = Number(info['num_pending']) + (info['delivered'] as { consumer_seq: number }).consumer_seq
  while (seen < pending) await new Promise<void>((resolve) => (whenSeen = resolve))
  return known
}

function parse(body: Uint8Array): Omit<Cancel, 'at' | 'reply'> {
  try {
    return JSON.parse(Buffer.from(body).toString()) as Omit<Cancel, 'at' | 'reply'>
  } catch {
    return {}
  }
}
