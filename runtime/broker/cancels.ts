/**
 * Cancels: a stored list of ids and filters, followed by every worker and timer of an actor.
 *
 * A cancel holds for messages that were stored before it; a message that is sent later, even under the same id, is
 * another one. It is kept as long as the stream keeps it (7 days by default), so a worker that starts later honours it.
 */
import { jetstream, type Consumer, type ConsumerMessages, type JetStreamClient, type JsMsg } from '@nats-io/jetstream'

import { BrokerError, UnavailableError, toError } from '../errors.ts'
import type { Message } from '../message.ts'
import { sleep } from '../time/clock.ts'
import type { Broker } from './broker.ts'
import { H } from './headers.ts'

/** What a cancel's body says, as JSON. All fields that are given must match. */
export interface CancelRequest {
  readonly id?: string
  readonly message?: string
  readonly root?: string
  readonly header?: { readonly name: string; readonly value: string }
  readonly reason?: string
}

export interface Cancel extends CancelRequest {
  /** `cancelled` where none was given. */
  readonly reason: string
  /** Epoch ms at which it was stored. */
  readonly at: number
  /** Where to tell what it met; always below `<namespace>.reply.`. */
  readonly reply: string | undefined
}

/** What a cancel met: told to who asked. */
export type CancelAnswer = { readonly was: 'parked' | 'waiting' | 'running'; readonly id: string }

export class Cancels {
  readonly #byId = new Map<string, Cancel>()
  #filters: Cancel[] = []
  readonly #keepMs: number

  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  add(cancel: Cancel): void {
    if (isByIdOnly(cancel) && cancel.id !== undefined) this.#byId.set(cancel.id, cancel)
    else this.#filters.push(cancel)
  }

  /** The cancel that a message falls under, if any. `storedAt` is when this copy of it was stored. */
  find(message: Message): Cancel | undefined {
    if (this.#byId.size === 0 && this.#filters.length === 0) return undefined
    const byId = this.#byId.get(message.id)
    if (byId !== undefined && message.sentAt <= byId.at) return byId
    // The time is part of the question: an older cancel, from before the message, must not hide a newer one.
    return this.#filters.find((cancel) => message.sentAt <= cancel.at && matches(cancel, message))
  }

  /** Forgets what the stream has forgotten too. */
  prune(now: number): void {
    for (const [id, cancel] of this.#byId) if (now - cancel.at > this.#keepMs) this.#byId.delete(id)
    this.#filters = this.#filters.filter((cancel) => now - cancel.at <= this.#keepMs)
  }
}

function isByIdOnly({ message, root, header }: CancelRequest): boolean {
  return message === undefined && root === undefined && header === undefined
}

/** Whether a cancel speaks of this message: pure. An empty one speaks of nothing. */
export function matches(cancel: CancelRequest, message: Pick<Message, 'id' | 'name' | 'root' | 'headers'>): boolean {
  const { id, root, header } = cancel
  if (id === undefined && cancel.message === undefined && root === undefined && header === undefined) return false
  if (id !== undefined && id !== message.id) return false
  if (cancel.message !== undefined && cancel.message !== message.name) return false
  if (root !== undefined && root !== message.root) return false
  return header === undefined || message.headers.get(header.name) === header.value
}

/**
 * Reads all cancels of the actors to their end, then follows. Bodies that are none are left out. One consumer for each actor:
 * permissions see the filter of a consumer that has one, and none of several.
 */
export async function followCancels(
  broker: Broker,
  actors: readonly string[],
  onCancel: (actor: string, cancel: Cancel) => void,
): Promise<{ stop(): Promise<void> }> {
  const { connection } = broker
  const js = jetstream(
    connection.raw,
    connection.settings.domain === undefined ? {} : { domain: connection.settings.domain },
  )
  const all = await Promise.all(
    actors.map((actor) => followOne(broker, js, actor, (cancel) => onCancel(actor, cancel))),
  )
  return {
    stop: async () => {
      await Promise.all(all.map((following) => following.stop()))
    },
  }
}

/** Between two tries to follow anew: ms. */
const AGAIN_MS = 1_000
/** While it reads to the end, it looks so often whether there is more to come: ms. */
const LOOK_MS = 500

/**
 * Follows one actor's cancels, whatever becomes of the stream. The library's reader goes on where it was: in a stream that was made again
 * (NATS came back without its data) it hears nothing, and after many failures it ends for good. So both are looked for here.
 */
async function followOne(
  broker: Broker,
  js: JetStreamClient,
  actor: string,
  onCancel: (cancel: Cancel) => void,
): Promise<{ stop(): Promise<void> }> {
  const over = new AbortController()
  let created = await createdAt(broker)
  let turn: Promise<void> = Promise.resolve()
  let reader: Reader | undefined
  const open = (): Promise<Reader> => readOne(broker, js, actor, onCancel, () => look())
  const look = (): void => void (turn = turn.then(again))
  const again = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        const now = await createdAt(broker)
        if (now === created && reader?.isOpen === true) return
        await reader?.stop()
        reader = await open()
        created = now
      } catch {
        await sleep(AGAIN_MS, over.signal).catch(() => {})
      }
    }
  }
  reader = await open()
  const unlisten = broker.connection.onConnected(look)
  return {
    stop: async () => {
      unlisten()
      over.abort()
      await reader?.stop()
    },
  }
}

/** Another time is another stream under the same name. */
async function createdAt({ api, subjects }: Broker): Promise<string> {
  return (await api.streamInfo(subjects.cancelStream)).created
}

interface Reader {
  readonly isOpen: boolean
  stop(): Promise<void>
}

/** Reads to the end, then on. `onClosed`: it has ended, whoever ended it. */
async function readOne(
  { connection, subjects }: Broker,
  js: JetStreamClient,
  actor: string,
  onCancel: (cancel: Cancel) => void,
  onClosed: () => void,
): Promise<Reader> {
  const subject = subjects.cancel(actor)
  // In a JetStream domain the server refuses another subject than the library asked on, which then waits in vain.
  let refusal: Error | undefined
  const unclaim = connection.claim((problem) => {
    const { subject: refused } = problem as { subject?: unknown }
    const isOurs = String(refused).includes(`.CONSUMER.CREATE.${subjects.cancelStream}.`)
    if (isOurs) refusal = problem
    return isOurs
  })
  const consumer = await js.consumers
    .get(subjects.cancelStream, { filter_subjects: subject })
    .catch((error: unknown) => {
      const cause = refusal ?? toError(error)
      throw /permission/i.test(String(cause)) ? mayNotFollow(subject, cause) : error
    })
    .finally(unclaim)
  let { num_pending: left } = await consumer.info()
  let messages: ConsumerMessages | undefined
  let last: JsMsg | undefined
  let isOpen = true
  let timer: NodeJS.Timeout | undefined
  let looks: NodeJS.Timeout | undefined
  await new Promise<void>((resolve, reject) => {
    timer = setTimeout(() => reject(notRead(subjects.cancelStream)), connection.settings.requestTimeoutMs * 4)
    const look = async (): Promise<void> => void ((await isRead(consumer, last)) && resolve())
    looks = setInterval(() => void look().catch(() => {}), LOOK_MS)
    if (left === 0) resolve()
    consumer
      .consume({
        callback: (msg) => {
          const cancel = readCancel(
            msg.data,
            msg.time.getTime(),
            () => msg.headers?.get(H.reply),
            (reply) => subjects.isReply(reply),
          )
          if (cancel !== undefined) onCancel(cancel)
          last = msg
          if (--left === 0) resolve()
        },
      })
      .then((found) => {
        messages = found
        void found.closed().then(() => {
          isOpen = false
          onClosed()
        })
      })
      .catch(reject)
  }).finally(() => {
    clearTimeout(timer)
    clearInterval(looks)
  })
  return {
    get isOpen() {
      return isOpen
    },
    stop: async () => {
      await messages?.close()
    },
  }
}

/** Whether all has come that there is. One that expired meanwhile was pending when it was counted, and never comes. */
async function isRead(consumer: Consumer, last: JsMsg | undefined): Promise<boolean> {
  const { name, num_pending: pending, delivered } = await consumer.info()
  const hasCome = last?.info.consumer === name && last.info.deliverySequence >= delivered.consumer_seq
  return pending === 0 && (delivered.consumer_seq === 0 || hasCome)
}

function mayNotFollow(subject: string, cause: Error): BrokerError {
  const text = `expected NATS to let us follow ${subject}, which a worker of that actor must, but this user may not. Ask the operator: "troupe permissions --role worker" prints what it takes.`
  return new BrokerError('FORBIDDEN', text, { cause, data: { subject } })
}

function notRead(stream: string): UnavailableError {
  return new UnavailableError(
    'TIMEOUT',
    `expected to read stream ${stream} to its end before starting, but it took too long`,
  )
}

/** `replyOf` reads the headers, which throws for names that no client writes. */
function readCancel(
  data: Uint8Array,
  at: number,
  replyOf: () => string | undefined,
  isReply: (subject: string) => boolean,
): Cancel | undefined {
  try {
    const request: unknown = JSON.parse(Buffer.from(data).toString())
    if (typeof request !== 'object' || request === null) return undefined
    const { id, message, root, header, reason } = request as Record<string, unknown>
    const reply = replyOf()
    const pair = header as { name?: unknown; value?: unknown } | undefined
    return {
      ...(typeof id === 'string' ? { id } : {}),
      ...(typeof message === 'string' ? { message } : {}),
      ...(typeof root === 'string' ? { root } : {}),
      ...(typeof pair?.name === 'string' && typeof pair.value === 'string'
        ? { header: { name: pair.name, value: pair.value } }
        : {}),
      reason: typeof reason === 'string' ? reason.slice(0, 512) : 'cancelled',
      at,
      reply: reply !== undefined && isReply(reply) ? reply : undefined,
    }
  } catch {
    return undefined
  }
}
