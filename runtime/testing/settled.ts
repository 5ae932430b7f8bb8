/**
 * When a test system has come to rest: by JetStream's own counts, since only it knows what all have sent.
 *
 * A message counts from its store to its ack, and a handler's children are stored before it is acked: so while anything goes
 * on, some stream of the namespace is not empty. Streams are counted one after the other, so one empty round proves nothing;
 * two empty rounds, between which no stream has stored anything, prove that all were empty at once in between.
 */
import type { StreamInfo } from '@nats-io/jetstream'

import type { Broker } from '../broker/broker.ts'
import { H } from '../broker/headers.ts'
import { UnavailableError } from '../errors.ts'
import type { System } from '../system.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { formatDuration, parseDuration, type Duration } from '../time/duration.ts'
import type { Recorder } from './recorder.ts'

export interface SettledOptions {
  /** Longest wait, in real time. Default 4 s. */
  timeout?: Duration
  /** Reject with the handler's own error as soon as a message dies. Default true; each death rejects once. */
  failFast?: boolean
  /**
   * Wait for messages that are parked for later too: delayed ones, retries and snoozes. Default true. False: settled as soon as
   * nothing goes on until time moves.
   */
  parked?: boolean
}

/** What a test system is made of, for those who watch it. */
export interface Watched {
  readonly system: System
  readonly broker: Broker
  readonly recorder: Recorder
  /** Epoch ms by the moved clock. */
  readonly now: () => number
  /** Whether somebody moves the clock at this moment. */
  readonly isMoving: boolean
}

export const PATIENCE_MS = 4_000
const PAUSE_MS = 3

/** Resolves at rest. Rejects with the error of a message that died, or with `UnavailableError` `TIMEOUT` that says what is left. */
export async function settled(
  watched: Watched,
  { timeout = PATIENCE_MS, failFast = true, parked = true }: SettledOptions,
): Promise<void> {
  const timeoutMs = parseDuration(timeout, 'timeout')
  const fail = (): void => void (failFast && watched.recorder.throwDeath())
  const isAtRest = await atRest(watched, timeoutMs, { parked, check: fail, moving: true })
  fail()
  if (!isAtRest) throw await unsettled(watched, timeoutMs)
}

/** Waits until nothing goes on before time moves; false when the time was over first. For who moves the clock. */
export function idle(watched: Watched, withinMs: number): Promise<boolean> {
  return atRest(watched, withinMs, { parked: false, check: () => {}, moving: false })
}

interface Rest {
  readonly parked: boolean
  readonly check: () => void
  /** Whether a clock that is being moved counts as work. */
  readonly moving: boolean
}

async function atRest(watched: Watched, withinMs: number, { parked, check, moving }: Rest): Promise<boolean> {
  const until = systemClock.monotonic() + withinMs
  for (let before: string | undefined; ;) {
    check()
    const isBusy = isBusyHere(watched) || (moving && watched.isMoving)
    const place = isBusy ? undefined : await emptyAt(watched, parked)
    if (place !== undefined && place === before) return true
    before = place
    if (systemClock.monotonic() >= until) return false
    await sleep(PAUSE_MS)
  }
}

/** What this process knows without asking. */
function isBusyHere({ system, recorder, now }: Watched): boolean {
  const workers = [...system.workers.values()]
  const timers = [...system.timers.values()]
  return (
    recorder.running > 0 ||
    workers.some(({ running, buffered, unsettled }) => running.length + buffered + unsettled > 0) ||
    timers.some(({ holding, held }) => holding > held.count || held.nextAt <= now())
  )
}

/** Where the streams stand, if nothing is in them that may go on now. */
async function emptyAt({ broker, system }: Watched, parked: boolean): Promise<string | undefined> {
  const { mailboxes, timers } = await read(broker)
  const stored = sum(mailboxes) + (parked ? await parkedIn(broker, timers) : await released(broker, system))
  const held = parked ? 0 : [...system.timers.values()].reduce((count, timer) => count + timer.held.count, 0)
  if (stored !== held) return undefined
  return [...mailboxes, ...timers].map(({ config, state }) => `${config.name}:${state.last_seq}`).join(' ')
}

const sum = (streams: readonly StreamInfo[]): number => streams.reduce((count, { state }) => count + state.messages, 0)

/** Mailboxes and timer streams of the namespace, also those of actors that run nowhere. */
async function read(broker: Broker): Promise<{ mailboxes: StreamInfo[]; timers: StreamInfo[] }> {
  const streams = await listStreams(broker, `${broker.subjects.namespace}.>`)
  const named = (prefix: string): StreamInfo[] => streams.filter(({ config }) => config.name.startsWith(prefix))
  return { mailboxes: named(broker.subjects.mailboxStream('')), timers: named(broker.subjects.timerStream('')) }
}

/** All streams, or those that take messages on these subjects. */
export async function listStreams({ api }: Pick<Broker, 'api'>, subject?: string): Promise<StreamInfo[]> {
  const streams: StreamInfo[] = []
  for (;;) {
    const page = await api.call<{ streams?: StreamInfo[] | null; total: number }>('STREAM.LIST', {
      offset: streams.length,
      ...(subject === undefined ? {} : { subject }),
    })
    streams.push(...(page.streams ?? []))
    if (streams.length >= page.total || !page.streams?.length) return streams
  }
}

/** What timers have to send yet. The tick of a schedule is always parked for its next time: it is nothing that goes on. */
async function parkedIn(broker: Broker, timers: readonly StreamInfo[]): Promise<number> {
  const ticks = await Promise.all(
    timers.filter(({ state }) => state.messages > 0).map((timer) => ticksIn(broker, timer)),
  )
  return sum(timers) - ticks.reduce((total, count) => total + count, 0)
}

async function ticksIn({ api, subjects }: Broker, { config }: StreamInfo): Promise<number> {
  const { parked } = subjects.ticks(config.name.slice(subjects.timerStream('').length))
  const { state } = await api.streamInfo(config.name, { subjects_filter: parked })
  return Object.keys(state.subjects ?? {}).length
}

/** Messages that the server has released to the timers. */
async function released({ api, subjects }: Broker, system: System): Promise<number> {
  const counts = [...system.timers.keys()].map(async (actor) => {
    const { state } = await api.streamInfo(subjects.timerStream(actor), {
      subjects_filter: subjects.wildcard('timer.due', actor),
    })
    return Object.values(state.subjects ?? {}).reduce((total, count) => total + count, 0)
  })
  return (await Promise.all(counts)).reduce((total, count) => total + count, 0)
}

async function unsettled(watched: Watched, timeoutMs: number): Promise<UnavailableError> {
  const left = await whatIsLeft(watched)
  const text = `expected the test system to settle within ${formatDuration(timeoutMs)}, but ${left.length === 0 ? 'it did only now' : left.join('; ')}`
  return new UnavailableError('TIMEOUT', text, { data: { left } })
}

/** One line for each thing that is not at rest: what runs, what waits, what is parked and until when. */
async function whatIsLeft({ system, broker, recorder, now }: Watched): Promise<string[]> {
  const runs = [...system.workers.values()]
    .flatMap(({ running }) => running)
    .map(({ message }) => `${message.actor}.${message.name} (${message.id}) runs`)
  const live = recorder.running - runs.length
  const { mailboxes, timers } = await read(broker)
  const waiting = await Promise.all(
    mailboxes.filter(({ state }) => state.messages > 0).map((mailbox) => inMailbox(broker, system, mailbox)),
  )
  const parked = await Promise.all(
    timers.filter(({ state }) => state.messages > 0).map((timer) => inTimer(broker, timer, now())),
  )
  return [
    ...runs,
    ...(live > 0 ? [`${live} handlers of calls, broadcasts or given up messages run`] : []),
    ...waiting.flat(),
    ...parked.flat(),
  ]
}

async function inMailbox({ api, subjects }: Broker, system: System, { config }: StreamInfo): Promise<string[]> {
  const { state } = await api.streamInfo(config.name, { subjects_filter: '>' })
  return Object.entries(state.subjects ?? {}).map(([subject, count]) => {
    const { actor = '', message = subject, queue = 'normal' } = subjects.parseMailbox(subject) ?? {}
    const where =
      queue === 'later'
        ? 'for the timer'
        : system.workers.has(actor)
          ? 'in the mailbox, unacked ones too'
          : 'in the mailbox, but this system does not run that actor'
    return `${count} × ${actor}.${message} ${where}`
  })
}

async function inTimer(broker: Broker, timer: StreamInfo, now: number): Promise<string[]> {
  const { api, subjects } = broker
  const { config, state } = timer
  const count = state.messages - (await ticksIn(broker, timer))
  if (count === 0) return []
  const first = await api.readMessage(config.name, { next_by_subj: subjects.wildcard('timer'), seq: 1 })
  const due = first?.headers.number(H.due)
  const id = first?.headers.get(H.id) ?? ''
  const until =
    due === undefined
      ? ''
      : `, ${id} until ${new Date(due).toISOString()}: t.clock.advance(${JSON.stringify(formatDuration(Math.max(0, Math.ceil(due - now))))}) sends it`
  return [`${count} parked in ${config.name}${until}`]
}
