/**
 * JetStream's advisories about our streams and consumers: paused, resumed, a new leader, no quorum, deleted, delivered too often.
 * The server publishes them only where somebody listens, so only those kinds are subscribed that say something: not those of
 * every nak and term.
 *
 * A user who may not subscribe to them does without: `refused` is called once, and nothing else happens.
 */
import type { Msg } from '@nats-io/transport-node'

import type { Connection } from './connection.ts'
import { isLane, type MailboxLane } from './depth.ts'
import type { Subjects } from './subjects.ts'

export type AdvisoryKind = 'leader' | 'quorum-lost' | 'deleted' | 'max-deliveries'

/** What a stream of ours is for. */
export interface Asset {
  readonly stream: string
  /** Absent where the advisory is about the stream itself. */
  readonly consumer?: string
  /** Of whose mailbox or timer; absent for streams that all actors share. */
  readonly actor?: string
}

export interface Advisory extends Asset {
  readonly kind: AdvisoryKind
  /** For people. */
  readonly text: string
}

export interface AdvisoryHooks {
  onAdvisory(advisory: Advisory): void
  /** A lane was paused until then (epoch ms), or resumed (undefined). */
  onPause(actor: string, lane: MailboxLane, until: number | undefined): void
  /** This user may not hear of advisories. Called once. */
  onRefused(): void
}

/** Kinds by the server's names (`server/jetstream_api.go`, `JSAdvisory…`). */
const KINDS: readonly (readonly [name: string, tail: string, read: Reader])[] = [
  ['CONSUMER.PAUSE', '*.*', 'pause'],
  ['CONSUMER.LEADER_ELECTED', '*.*', 'leader'],
  ['CONSUMER.QUORUM_LOST', '*.*', 'quorum-lost'],
  ['CONSUMER.MAX_DELIVERIES', '*.*', 'max-deliveries'],
  ['CONSUMER.DELETED', '*.*', 'deleted'],
  ['STREAM.LEADER_ELECTED', '*', 'leader'],
  ['STREAM.QUORUM_LOST', '*', 'quorum-lost'],
  ['STREAM.DELETED', '*', 'deleted'],
]

type Reader = AdvisoryKind | 'pause'

/** Where they are heard. */
export const ADVISORY_SUBJECTS: readonly string[] = KINDS.map(([name, tail]) => `$JS.EVENT.ADVISORY.${name}.${tail}`)

/** What we read of an advisory's body. */
interface Wire {
  readonly stream?: unknown
  readonly consumer?: unknown
  readonly leader?: unknown
  readonly deliveries?: unknown
  readonly stream_seq?: unknown
  readonly paused?: unknown
  readonly pause_until?: unknown
}

/** Follows the advisories about the streams of these actors and those that all share; returns what ends it. */
export function followAdvisories(
  connection: Connection,
  subjects: Subjects,
  actors: ReadonlySet<string>,
  hooks: AdvisoryHooks,
): () => void {
  let isRefused = false
  const refused = (): void => {
    if (!isRefused) hooks.onRefused()
    isRefused = true
  }
  const subscriptions = KINDS.map(([name, tail, kind]) =>
    connection.subscribeIfAllowed(
      `$JS.EVENT.ADVISORY.${name}.${tail}`,
      (msg) => tell(readWire(msg), kind, subjects, actors, hooks),
      refused,
    ),
  )
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe()
  }
}

function tell(wire: Wire, kind: Reader, subjects: Subjects, actors: ReadonlySet<string>, hooks: AdvisoryHooks): void {
  const asset = assetOf(wire, subjects, actors)
  if (asset === undefined) return
  if (kind !== 'pause') return hooks.onAdvisory({ ...asset, kind, text: textOf(kind, asset, wire) })
  const { actor, consumer, stream } = asset
  if (actor === undefined || consumer === undefined || !isLane(consumer) || stream !== subjects.mailboxStream(actor))
    return
  const until = wire.paused === true ? Date.parse(String(wire.pause_until)) : undefined
  hooks.onPause(actor, consumer, until)
}

/** Undefined for streams of others, and of actors that do not run here. */
function assetOf(wire: Wire, subjects: Subjects, actors: ReadonlySet<string>): Asset | undefined {
  if (typeof wire.stream !== 'string') return undefined
  const about = subjects.parseStream(wire.stream)
  if (about === undefined || (about.actor !== undefined && !actors.has(about.actor))) return undefined
  return {
    stream: wire.stream,
    ...(typeof wire.consumer === 'string' ? { consumer: wire.consumer } : {}),
    ...(about.actor === undefined ? {} : { actor: about.actor }),
  }
}

function textOf(kind: AdvisoryKind, { stream, consumer }: Asset, wire: Wire): string {
  const what = consumer === undefined ? `stream ${stream}` : `consumer ${consumer} of stream ${stream}`
  switch (kind) {
    case 'leader':
      return `${what} is led by ${String(wire.leader)} now`
    case 'quorum-lost':
      return `${what} has no majority of its servers: it stands still until they are back`
    case 'deleted':
      return `${what} was deleted`
    case 'max-deliveries':
      return `${what} gave up on message ${String(wire.stream_seq)} after ${String(wire.deliveries)} deliveries: somebody set max_deliver`
    default:
      return kind satisfies never
  }
}

function readWire(msg: Msg): Wire {
  try {
    return (JSON.parse(Buffer.from(msg.data).toString()) as Wire | null) ?? {}
  } catch {
    return {}
  }
}
