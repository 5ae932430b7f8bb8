/** What a message that was delivered before must look up before it runs: PROTOCOL.md, "A delivery that comes again". */
import { readBlock } from '../socket.ts'
import { encodeToken } from '../verbs.ts'
import type { Wire } from '../wire.ts'
import { api, readStored, type StoredMessage } from './assets.ts'
import { originOf, type Delivery, type Message } from './message.ts'
import { store } from './words.ts'

/** Crashes after which a message is not run again. */
const MOST_CRASHES = 3

export type Known = 'settled' | 'poison' | 'run'

/** What a mark says. Other members are kept as they are: a system of Troupe adds what it saw of a crash. */
interface Crashes {
  readonly count: number
  readonly seen?: number
  readonly reports?: readonly unknown[]
}

/** How an earlier delivery of it ended; `run`: it did not, and this run is marked as begun. */
export async function lookUp(wire: Wire, namespace: string, message: Message, delivery: Delivery): Promise<Known> {
  const { actor } = message
  const { sequence } = delivery
  const isOfThis = (found: StoredMessage | undefined): boolean =>
    headerOf(found, 'Troupe-Origin') === originOf(delivery)
  const last = (stream: string, subject: string): Promise<StoredMessage | undefined> =>
    readStored(wire, stream, { last_by_subj: subject })

  // In this order: while it is released it is never in neither place.
  for (const place of [`retry.${actor}.${encodeToken(message.id)}.${sequence}`, `due.${actor}.retry.${sequence}`]) {
    if (isOfThis(await last(`${namespace}-timer-${actor}`, `${namespace}.timer.${place}`))) return 'settled'
  }
  // Whoever put the retry into the mailbox has deleted this message first.
  if ((await readStored(wire, delivery.stream, { seq: sequence })) === undefined) return 'settled'
  if (message.keepMs !== undefined) {
    const subject = `${namespace}.result.${actor}.${encodeToken(message.sender)}.${encodeToken(message.id)}`
    if (isOfThis(await last(`${namespace}-results`, subject))) return 'settled'
  }
  const mark = await last(`${namespace}-marks`, `${namespace}.mark.${actor}.${sequence}`)
  const crashes = isOfThis(mark) ? crashesOf(mark) : { count: 0, seen: 0, reports: [] }
  if (crashes.count >= MOST_CRASHES) return 'poison'
  const begun = JSON.stringify({ ...crashes, count: crashes.count + 1 })
  await store(wire, `${namespace}-marks`, markOf(namespace, message, delivery), Buffer.from(begun))
  return 'run'
}

function crashesOf(mark: StoredMessage | undefined): Crashes {
  try {
    return JSON.parse(Buffer.from(mark?.data ?? '', 'base64').toString()) as Crashes
  } catch {
    return { count: 0 }
  }
}

function markOf(
  namespace: string,
  { actor }: Message,
  delivery: Delivery,
): { subject: string; headers: Record<string, string> } {
  const { sequence, count } = delivery
  return {
    subject: `${namespace}.mark.${actor}.${sequence}`,
    headers: { 'Nats-Msg-Id': `mark:${actor}:${sequence}:${count}:begun`, 'Troupe-Origin': originOf(delivery) },
  }
}

/** The run has ended, whatever came of it. */
export async function unmark(wire: Wire, namespace: string, { actor }: Message, { sequence }: Delivery): Promise<void> {
  await api(wire, `STREAM.PURGE.${namespace}-marks`, { filter: `${namespace}.mark.${actor}.${sequence}` })
}

export function headerOf(stored: StoredMessage | undefined, name: string): string | undefined {
  if (stored?.hdrs === undefined) return undefined
  return readBlock(Buffer.from(stored.hdrs, 'base64').toString()).headers[name]
}
