/**
 * Chains: a schedule that runs after a message of another actor (or of its own) ended.
 *
 * The actor whose messages are waited for has to know; so a link stands in its own bucket, under `after.<target>.<schedule>`, next to
 * its schedules. Its workers read the links when they start and hear each change; where there is none, nothing is asked when a
 * message ends. Where there is one, a worker stores a notice in its own timer stream before it acks the message
 * (flow/settle.ts), under a key made from the place of the delivery. A timer takes the notice to the target: into its mailbox, the one
 * stream of another actor that a sender may write to, on the queue that only its timers read.
 *
 * Where it may die, and why that is safe
 * 1. The worker, after the notice and before the ack: the message runs again, ends again, and its notice has the same key.
 * 2. The timer, after the target's mailbox has it and before the ack: taken there again under the same key.
 * 3. The target's timer, anywhere: the place of the cause stands in the record (`taken`) and in the ledger (`key`), so that a notice
 *    that comes again, however late, is known.
 * 4. Who puts the schedule, between record and link: timers look whether the links of their schedules stand, and mend them.
 */
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import type { Bucket } from '../broker/bucket.ts'
import type { Status } from '../outcome.ts'
import { isCause, type Definition } from './definition.ts'
import type { AfterRule } from './rule.ts'
import { ifCurrent } from './store.ts'

/** A schedule of `target` runs after messages of the actor in whose bucket this stands. */
export interface Link {
  readonly target: string
  readonly schedule: string
  readonly after: Required<AfterRule>
  /** The message that the schedule sends: the notice travels under its name. */
  readonly message: string
}

/** What a definition has to have linked. */
export function linkOf({ rule, send }: Definition): Omit<Link, 'target' | 'schedule'> | undefined {
  const { after } = rule
  return after && { after, message: send.message }
}

/** Makes the link of a schedule, where it does not stand yet. */
export async function putLink(
  broker: Broker,
  target: string,
  schedule: string,
  { after, message }: Omit<Link, 'target' | 'schedule'>,
): Promise<void> {
  await broker.assets.schedules(after.actor)
  const bucket = broker.schedules(after.actor)
  const key = linkKey(target, schedule)
  const data = Buffer.from(JSON.stringify({ after, message }))
  await repeated(bucket, key, async (revision, standing) =>
    standing !== undefined && data.equals(standing) ? revision : bucket.write(key, data, revision),
  )
}

/** Removes the link of a definition; with `next`, only where that has another. */
export async function removeLink(
  broker: Broker,
  target: string,
  schedule: string,
  { rule: { after } }: Definition,
  next?: Definition,
): Promise<void> {
  if (after === undefined || after.actor === next?.rule.after?.actor) return
  const bucket = broker.schedules(after.actor)
  const key = linkKey(target, schedule)
  await repeated(bucket, key, async (revision, standing) =>
    standing === undefined ? revision : bucket.delete(key, revision),
  )
}

async function repeated(
  bucket: Bucket,
  key: string,
  write: (revision: number, standing: Uint8Array | undefined) => Promise<number>,
): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const entry = await bucket.read(key)
    if ((await ifCurrent(() => write(entry?.revision ?? 0, entry?.data))) !== undefined) return
  }
  throw new JetStreamError('conflict', 10071, 'the key changed each time that it was to be written', key)
}

const linkKey = (target: string, schedule: string): string => `after.${target}.${schedule}`

/** The links of one actor, as its workers know them. */
export class Chains {
  readonly #broker: Broker
  readonly #actor: string
  readonly #links = new Map<string, Link>()
  #stop: () => void = () => {}

  constructor(broker: Broker, actor: string) {
    this.#broker = broker
    this.#actor = actor
  }

  /** Whether any schedule runs after this actor's messages. */
  get isEmpty(): boolean {
    return this.#links.size === 0
  }

  /** Hears changes, then reads what stands: in this order none falls between. */
  async start(): Promise<void> {
    const { connection } = this.#broker
    const bucket = this.#broker.schedules(this.#actor)
    const subscription = connection.subscribe(bucket.subject('after.>'), ({ subject, data }) => {
      this.#take(subject.slice(bucket.subject('').length), data.length === 0 ? undefined : data)
    })
    const unlisten = connection.onConnected(() => void this.read().catch(() => {}))
    this.#stop = () => {
      unlisten()
      if (!connection.closed) subscription.unsubscribe()
    }
    await this.read()
  }

  stop(): void {
    this.#stop()
  }

  /** Reads all links: what was changed while nothing could be heard. */
  async read(): Promise<void> {
    const entries = await this.#broker.schedules(this.#actor).list('after.>')
    const standing = new Set(entries.map(({ key }) => key))
    for (const { key, data } of entries) this.#take(key, data)
    for (const key of this.#links.keys()) if (!standing.has(key)) this.#links.delete(key)
  }

  /** The schedules that run after this message, if it ended so. */
  matching(message: string, status: Status): Link[] {
    return [...this.#links.values()].filter(({ after }) => after.message === message && isCause(after, status))
  }

  #take(key: string, data: Uint8Array | undefined): void {
    const link = data && readLink(key, data)
    if (link === undefined) this.#links.delete(key)
    else this.#links.set(key, link)
  }
}

/** A link, or undefined for what somebody wrote by hand and is none. */
function readLink(key: string, data: Uint8Array): Link | undefined {
  const [, target, schedule] = key.split('.')
  try {
    const { after, message } = JSON.parse(Buffer.from(data).toString()) as Partial<Link>
    if (target === undefined || schedule === undefined || typeof message !== 'string') return undefined
    if (typeof after?.actor !== 'string' || typeof after.message !== 'string') return undefined
    return { target, schedule, after, message }
  } catch {
    return undefined
  }
}
