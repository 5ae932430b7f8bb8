/** How a namespace is: its systems, and of each actor what waits, runs, is parked and dead, how fast it goes, and whether it is well. */
import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { actorsWithMailbox, readDepth, type ActorDepth } from '../broker/depth.ts'
import { pauseEnd } from '../client/pausing.ts'
import { systemClock } from '../time/clock.ts'
import { askSystemStatus, type SystemStatus } from './systems.ts'

/**
 * How an actor is, the gravest first:
 * - `paused`: a consumer of a lane is paused
 * - `no workers`: something waits, and no system runs the actor
 * - `stalled`: something waits, slots are free, and nothing ran for the last minute
 * - `behind`: the oldest message waits for longer than a minute
 * - `ok`
 */
export type ActorState = 'paused' | 'no workers' | 'stalled' | 'behind' | 'ok'

export interface ActorOverview {
  readonly actor: string
  readonly state: ActorState
  readonly lanes: ActorDepth['lanes']
  readonly waiting: number
  /** As the systems say. */
  readonly running: number
  /** Handed out by the server and not settled: running, buffered, given back, or with a worker that is gone. */
  readonly delivered: number
  /** Slots of all workers. */
  readonly slots: number
  /** Systems that run it. */
  readonly systems: readonly string[]
  readonly parked: number
  readonly parkedRetries: number
  /** Delayed or released, on its way into the mailbox. */
  readonly arriving: number
  readonly dead: number
  readonly bytes: number
  /** Runs that ended per second, over the last minute. */
  readonly perSecond: number
  /** Age of the oldest message in the mailbox: ms. It may be running. */
  readonly oldestMs: number | undefined
  readonly isPaused: boolean
  /** When a pause ends by itself; undefined: not before somebody resumes it. */
  readonly pausedUntil: Date | undefined
}

export interface Overview {
  readonly systems: readonly SystemStatus[]
  readonly actors: readonly ActorOverview[]
}

const BEHIND_MS = 60_000

/** The whole namespace, or some actors. Those without a mailbox are left out. */
export async function readOverview(broker: Broker, actors?: readonly string[]): Promise<Overview> {
  const [systems, names] = await Promise.all([askSystemStatus(broker), actors ?? actorsWithMailbox(broker)])
  const depths = await Promise.all(names.map((actor) => readDepth(broker, actor).catch(noMailbox)))
  const now = systemClock.now()
  return {
    systems,
    actors: depths.flatMap((depth) => (depth === undefined ? [] : [overviewOf(depth, systems, now)])),
  }
}

/** Pure. `now` is epoch ms. */
export function overviewOf(depth: ActorDepth, systems: readonly SystemStatus[], now: number): ActorOverview {
  const hosts = systems.flatMap(({ system, actors }) =>
    actors.filter(({ actor }) => actor === depth.actor).map((status) => ({ system, status })),
  )
  const total = (pick: (host: (typeof hosts)[number]) => number): number =>
    hosts.reduce((sum, host) => sum + pick(host), 0)
  const untouched = depth.lanes.reduce((sum, { waiting }) => sum + waiting, 0)
  const delivered = depth.lanes.reduce((sum, { unsettled }) => sum + unsettled, 0)
  const held = total(({ status }) => status.running + status.buffered)
  const paused = depth.lanes.flatMap(({ pausedUntil }) => (pausedUntil === undefined ? [] : [pausedUntil]))
  const overview = {
    actor: depth.actor,
    lanes: depth.lanes,
    // What was handed out and given back waits too, though JetStream counts it with what was handed out.
    waiting: Math.max(untouched, untouched + delivered - held),
    running: total(({ status }) => status.running),
    delivered,
    slots: total(({ status }) => status.concurrency),
    systems: hosts.map(({ system }) => system),
    parked: depth.parked,
    parkedRetries: depth.parkedRetries,
    arriving: depth.later + depth.due,
    dead: depth.dead,
    bytes: depth.bytes,
    perSecond: Math.round(total(({ status }) => status.perSecond) * 100) / 100,
    oldestMs: depth.oldestAt === undefined ? undefined : Math.max(0, now - depth.oldestAt),
    isPaused: paused.length > 0,
    pausedUntil: paused.length === 0 ? undefined : pauseEnd(Math.max(...paused)),
  }
  return { ...overview, state: stateOf(overview) }
}

type Judged = Pick<ActorOverview, 'waiting' | 'running' | 'slots' | 'systems' | 'perSecond' | 'oldestMs' | 'isPaused'>

/** Pure: the table of `ActorState`. */
export function stateOf({ waiting, running, slots, systems, perSecond, oldestMs, isPaused }: Judged): ActorState {
  if (isPaused) return 'paused'
  if (waiting === 0) return 'ok'
  if (systems.length === 0) return 'no workers'
  if (running < slots && perSecond === 0 && (oldestMs ?? 0) > BEHIND_MS) return 'stalled'
  return (oldestMs ?? 0) > BEHIND_MS ? 'behind' : 'ok'
}

function noMailbox(error: unknown): undefined {
  if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
  throw error
}
