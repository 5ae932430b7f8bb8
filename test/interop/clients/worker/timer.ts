/**
 * A timer: it brings back what was delayed or parked. PROTOCOL.md, "Being a timer". Any number may run for one actor, of any language: all use the
 * same keys, so what two of them do at once is stored once.
 */
import type { Headers } from '../../scenario/client.ts'
import { encodeToken } from '../verbs.ts'
import type { Wire } from '../wire.ts'
import { api, readStored, saltOf, type Place } from './assets.ts'
import type { Cancel } from './cancels.ts'
import { HOLD_MS, keptHeaders, parkedLater } from './copies.ts'
import { readMessage, type Delivery, type Message } from './message.ts'
import { pull } from './pull.ts'
import { headerOf } from './redelivery.ts'
import { giveBack, say, store } from './words.ts'

const WAIT_MS = 1_000
/** JetStream's word for a compare-and-set that lost. */
const WRONG_LAST_SEQUENCE = 10071

export class Timer {
  readonly #wire: Wire
  readonly #place: Place
  #salt = ''
  #stopping = false
  #loops: Promise<void>[] = []

  constructor(wire: Wire, place: Place) {
    this.#wire = wire
    this.#place = place
  }

  /** The assets exist. */
  async start(): Promise<void> {
    const { namespace, actor } = this.#place
    this.#salt = await saltOf(this.#wire, this.#place)
    this.#loops = [
      this.#take(`${namespace}-mailbox-${actor}`, 'later', (delivery) => this.#onLater(delivery)),
      this.#take(`${namespace}-timer-${actor}`, 'due', (delivery) => this.#onDue(delivery)),
    ]
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#loops)
  }

  /** Takes out what is parked under the id of a cancel: by its exact subject and its sequence, never by a wildcard. */
  async cancel(cancel: Cancel, names: readonly string[]): Promise<void> {
    const { id, message: only, at, reason = 'cancelled', reply } = cancel
    const { namespace, actor } = this.#place
    const stream = `${namespace}-timer-${actor}`
    if (id === undefined) return
    const delayed = (only === undefined ? names : [only]).map(
      (name) => `${namespace}.timer.at.${actor}.${encodeToken(name)}.${encodeToken(id)}`,
    )
    for (const subject of [...delayed, ...(await this.#retriesOf(id))]) {
      const found = await readStored(this.#wire, stream, { last_by_subj: subject })
      if (found === undefined || Number(headerOf(found, 'Troupe-Sent')) > at) continue
      if (only !== undefined && !headerOf(found, 'Troupe-Subject')?.endsWith(`.${only}`)) continue
      await this.#delete(stream, found.seq)
      const waiting = headerOf(found, 'Troupe-Reply')
      const told = {
        'Troupe-Status': 'cancelled',
        'Troupe-Id': id,
        'Troupe-Origin': headerOf(found, 'Troupe-Origin') ?? '',
        'Content-Type': 'application/json',
      }
      const failure = { name: 'CancelledError', message: reason }
      if (waiting !== undefined) this.#wire.publish(waiting, told, Buffer.from(JSON.stringify(failure)))
      if (reply !== undefined) this.#wire.publish(reply, {}, Buffer.from(JSON.stringify({ was: 'parked', id })))
    }
  }

  /** Where its retries are parked: their subjects end with the sequence of a delivery. */
  async #retriesOf(id: string): Promise<string[]> {
    const { namespace, actor } = this.#place
    const filter = { subjects_filter: `${namespace}.timer.retry.${actor}.${encodeToken(id)}.*` }
    const { state } = await api(this.#wire, `STREAM.INFO.${namespace}-timer-${actor}`, filter)
    return Object.keys((state as { subjects?: object }).subjects ?? {})
  }

  async #take(stream: string, consumer: string, on: (delivery: Delivery) => Promise<void>): Promise<void> {
    while (!this.#stopping) {
      await pull(this.#wire, { stream, consumer }, { batch: 100, waitMs: WAIT_MS }, (delivery) => {
        // What fails here is given back, and any timer takes it up again.
        on(delivery).catch(() => giveBack(this.#wire, delivery, 1_000))
      })
    }
  }

  /** A delayed message as its sender stored it. */
  async #onLater(delivery: Delivery): Promise<void> {
    const { namespace } = this.#place
    if (delivery.headers['Troupe-After'] !== undefined) throw new Error('a notice: for a timer that knows schedules')
    const message = readMessage(delivery, namespace)
    const due = message.due ?? 0
    if (due - Date.now() > HOLD_MS) {
      await this.#park(message, delivery)
    } else {
      await until(due)
      await this.#release(message, delivery, message.name, `at:${delivery.sequence}`, message.due)
    }
    await say(this.#wire, delivery, '+ACK')
  }

  /** One slot per message and id. Who replaces takes it from whoever was sent before; the others leave it to who has it. */
  async #park(message: Message, delivery: Delivery): Promise<void> {
    const { namespace, actor } = this.#place
    const stream = `${namespace}-timer-${actor}`
    const copy = parkedLater(message, delivery, namespace)
    for (let slot = 0; ;) {
      const headers = { ...copy.headers, 'Nats-Expected-Last-Subject-Sequence': String(slot) }
      try {
        return void (await store(this.#wire, stream, { ...copy, headers }, delivery.body))
      } catch (error) {
        if ((error as { code?: number }).code !== WRONG_LAST_SEQUENCE) throw error
      }
      const holder = await readStored(this.#wire, stream, { last_by_subj: copy.subject })
      const isReplacing = message.headers['Troupe-Replace'] === 'true'
      if (holder !== undefined && (!isReplacing || placeIn(headerOf(holder, 'Troupe-Origin')) >= delivery.sequence))
        return
      slot = holder?.seq ?? 0
    }
  }

  /** What the server released, half a second early. */
  async #onDue(delivery: Delivery): Promise<void> {
    const { namespace, actor } = this.#place
    const [, , , , kind] = delivery.subject.split('.')
    if (kind !== 'at' && kind !== 'retry') throw new Error('a tick: for a timer that knows schedules')
    const message = readMessage(delivery, namespace)
    const [stream, original] = [`${namespace}-mailbox-${actor}`, placeIn(message.headers['Troupe-Origin'])]
    const isRetry = delivery.subject === `${namespace}.timer.due.${actor}.retry.${original}`
    // The message that it was made from goes before it is to be seen again: so there is one to run at any moment.
    if (isRetry && message.headers['Troupe-Origin'] === `${stream}:${original}`) await this.#delete(stream, original)
    await until(message.due ?? 0)
    const sentTo = message.headers['Troupe-Subject'] ?? ''
    const name = sentTo.split('.').slice(3).join('.')
    const planned = isRetry ? message.headers['Troupe-Planned'] : message.headers['Troupe-Due']
    const key = `${isRetry ? 'retry' : 'at'}:${original}`
    await this.#release(message, delivery, name, key, planned === undefined ? undefined : Number(planned))
    await say(this.#wire, delivery, '+ACK')
  }

  async #delete(stream: string, seq: number): Promise<void> {
    await api(this.#wire, `STREAM.MSG.DELETE.${stream}`, { seq, no_erase: true }).catch((error: { code?: number }) => {
      if (error.code !== 10037 && error.code !== 10043 && error.code !== 10057) throw error
    })
  }

  /** Into its lane, under a key that no sender can know. */
  async #release(
    message: Message,
    delivery: Delivery,
    name: string,
    key: string,
    planned: number | undefined,
  ): Promise<void> {
    const { namespace, actor } = this.#place
    const { headers: own } = message
    const carried = ['Troupe-Attempt', 'Troupe-Error', 'Troupe-History'].flatMap((header) =>
      own[header] === undefined ? [] : [[header, own[header]] as const],
    )
    const headers: Headers = {
      ...keptHeaders(own),
      ...Object.fromEntries(carried),
      'Troupe-Id': message.id,
      'Nats-Msg-Id': `${key}:${this.#salt}`,
      'Troupe-Origin': own['Troupe-Origin'] ?? `${delivery.stream}:${delivery.sequence}`,
      'Troupe-Sent': String(message.sentAt),
      ...(planned === undefined ? {} : { 'Troupe-Due': String(planned) }),
    }
    const subject = `${namespace}.${laneToken(own)}.${actor}.${name}`
    await store(this.#wire, `${namespace}-mailbox-${actor}`, { subject, headers }, delivery.body)
  }
}

/** As its sender said for a delayed one; a retry goes back to where it came from. */
function laneToken(headers: Headers): string {
  const [, from = ''] = (headers['Troupe-Subject'] ?? '').split('.')
  const lane = headers['Troupe-Lane'] ?? (from === 'later' ? 'normal' : from)
  return lane === 'high' || lane === 'low' ? lane : 'do'
}

/** The sequence in `<stream>:<sequence>`. */
function placeIn(origin = ''): number {
  return Number(origin.slice(origin.lastIndexOf(':') + 1))
}

/** Never early by this machine's clock, which a test shares with the server; elsewhere compare with the server's (`ts` of STREAM.INFO). */
async function until(epochMs: number): Promise<void> {
  while (Date.now() < epochMs) await new Promise((resolve) => setTimeout(resolve, epochMs - Date.now()))
}
