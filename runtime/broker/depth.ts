/**
 * What waits where, read from JetStream: how deep an actor's mailbox is, what is parked, what is dead. These are the numbers
 * that `nats stream info` and `nats consumer info` show, under our words.
 *
 * Counts by subject are read with a direct get whose answer says how many more match (ADR-31): listing the subjects instead
 * would list every id. A follower may answer: these are numbers to look at, nothing is decided by them.
 */
import type { ConsumerInfo } from '@nats-io/jetstream'

import { JetStreamError } from './api.ts'
import type { Broker } from './broker.ts'
import { LANES, type Lane } from './subjects.ts'
import type { Queue } from './wanted.ts'

/** A lane that messages are run from; `all` for an actor with a cluster-wide limit. */
export type MailboxLane = Lane | 'all'

/** One queue of a mailbox, as its consumer sees it. */
export interface LaneDepth {
  readonly lane: MailboxLane
  /** Not delivered to anybody yet. */
  readonly waiting: number
  /** Delivered and not settled: it runs, is buffered by its worker, or was given back with a delay. */
  readonly unsettled: number
  /** Of those, how many were delivered more than once. */
  readonly redelivered: number
  /** Pull requests of workers that wait for a message. */
  readonly pulls: number
  /** Until when it is paused: epoch ms; undefined where it is not. */
  readonly pausedUntil: number | undefined
}

export interface ActorDepth {
  readonly actor: string
  /** The lanes that messages are run from, highest first. */
  readonly lanes: readonly LaneDepth[]
  /** Delayed messages that no timer has taken yet. */
  readonly later: number
  /** Held by the server until their time. */
  readonly parked: number
  /** Of those, retries and snoozes. */
  readonly parkedRetries: number
  /** Released by the server and not yet put into the mailbox. */
  readonly due: number
  readonly dead: number
  /** Bytes of the mailbox. */
  readonly bytes: number
  /** When the oldest message in the mailbox was stored, epoch ms by the server's clock; it may be running. None where nothing waits or runs. */
  readonly oldestAt: number | undefined
}

/**
 * All of one actor. `lanes`: those that its definition has, and nothing is asked that a worker of this actor alone may not ask
 * (roles.ts): dead letters of one id then count once. Absent: whatever consumers the mailbox has. Throws `JetStreamError` `gone`
 * without a mailbox.
 */
export async function readDepth(broker: Broker, actor: string, lanes?: readonly Queue['lane'][]): Promise<ActorDepth> {
  const { api, subjects } = broker
  const [mailbox, timer] = [subjects.mailboxStream(actor), subjects.timerStream(actor)]
  const [{ state }, consumers, at, retries, due, dead] = await Promise.all([
    api.streamInfo(mailbox),
    consumersOf(broker, mailbox, lanes),
    api.count(timer, subjects.timerOf('at', actor)).catch(unlessAway),
    api.count(timer, subjects.timerOf('retry', actor)).catch(unlessAway),
    api.count(timer, subjects.timerOf('due', actor)).catch(unlessAway),
    countDead(broker, actor, lanes !== undefined).catch(unlessAway),
  ])
  const later = consumers.find(({ name }) => name === 'later')
  return {
    actor,
    lanes: laneDepths(consumers),
    later: (later?.num_pending ?? 0) + (later?.num_ack_pending ?? 0),
    parked: at + retries,
    parkedRetries: retries,
    due,
    dead,
    bytes: state.bytes,
    // What was acked may be stored still (view/leftovers.ts).
    oldestAt: consumers.every(isIdle) ? undefined : Date.parse(state.first_ts),
  }
}

/** Direct gets name their subject in the body: who may count dead letters by them may read those of all actors. */
function countDead({ api, subjects }: Broker, actor: string, isWorker: boolean): Promise<number> {
  const [stream, filter] = [subjects.deadStream, subjects.deadOf(actor)]
  return isWorker ? api.countSubjects(stream, filter) : api.count(stream, filter)
}

/** An actor's lanes alone. */
export async function readLanes(broker: Broker, actor: string, lanes?: readonly Queue['lane'][]): Promise<LaneDepth[]> {
  return laneDepths(await consumersOf(broker, broker.subjects.mailboxStream(actor), lanes))
}

/** Messages of one name in the mailbox, in all lanes: waiting and running. */
export function countMessages({ api, subjects }: Broker, actor: string, message: string): Promise<number> {
  return api.count(subjects.mailboxStream(actor), subjects.messageOfAnyLane(actor, message))
}

/** Names of the actors that have a mailbox in this namespace. */
export async function actorsWithMailbox({ api, subjects }: Broker): Promise<string[]> {
  const prefix = subjects.mailboxStream('')
  const names: string[] = []
  for (;;) {
    const page = await api.call<{ streams: string[] | null; total: number }>('STREAM.NAMES', {
      subject: subjects.wildcard('later'),
      offset: names.length,
    })
    names.push(...(page.streams ?? []))
    if ((page.streams ?? []).length === 0 || names.length >= page.total) break
  }
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length))
    .toSorted()
}

function consumersOf(
  { api }: Broker,
  mailbox: string,
  lanes: readonly Queue['lane'][] | undefined,
): Promise<ConsumerInfo[]> {
  if (lanes === undefined) return api.consumers(mailbox)
  return Promise.all([...lanes, 'later'].map((lane) => api.consumerInfo(mailbox, lane)))
}

function isIdle({ num_pending, num_ack_pending }: ConsumerInfo): boolean {
  return num_pending + num_ack_pending === 0
}

function laneDepths(consumers: readonly ConsumerInfo[]): LaneDepth[] {
  return consumers.flatMap((info) => (isLane(info.name) ? [laneDepth(info, info.name)] : [])).toSorted(byLane)
}

function laneDepth(info: ConsumerInfo, lane: MailboxLane): LaneDepth {
  const until = info.config.pause_until
  return {
    lane,
    waiting: info.num_pending,
    unsettled: info.num_ack_pending,
    redelivered: info.num_redelivered,
    pulls: info.num_waiting,
    pausedUntil: info.paused === true && until !== undefined ? Date.parse(until) : undefined,
  }
}

const ORDER: readonly string[] = [...LANES, 'all'] satisfies MailboxLane[]

/** Whether a consumer of a mailbox is a lane: others may stand on it too. */
export function isLane(consumer: string): consumer is MailboxLane {
  return ORDER.includes(consumer)
}

function byLane(a: LaneDepth, b: LaneDepth): number {
  return ORDER.indexOf(a.lane) - ORDER.indexOf(b.lane)
}

/** A stream that is not there holds nothing: a sender alone makes no timer stream, and the first worker makes the dead letters'. */
function unlessAway(error: unknown): number {
  if (error instanceof JetStreamError && error.refusal !== 'refused') return 0
  throw error
}
