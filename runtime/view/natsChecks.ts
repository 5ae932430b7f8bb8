/**
 * What may be wrong with NATS, seen from here: the server, the account, this user's rights, and the streams as they are there.
 * Nothing is changed, and no stream is made to look at it.
 */
import type { StreamInfo } from '@nats-io/jetstream'

import { JetStreamError, type JetStreamApi } from '../broker/api.ts'
import { actorsWithMailbox } from '../broker/depth.ts'
import { MINIMUM_SERVER } from '../broker/dial.ts'
import { deployAssets } from '../deploy.ts'
import { toError, UnavailableError } from '../errors.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { orWell, type Finding, type Patient } from './finding.ts'
import { leftoversOf } from './leftovers.ts'

export async function checkServer({ link }: Patient): Promise<Finding[]> {
  const { connection } = link.broker
  const text = `nats-server ${connection.serverVersion} at ${connection.server}, largest message ${connection.maxPayload} bytes`
  const small = connection.maxPayload < 65_536
  return [
    small
      ? { level: 'warning', check: 'server', text, advice: 'Copies need up to 16 KB for headers: raise max_payload.' }
      : { level: 'ok', check: 'server', text: `${text} (${MINIMUM_SERVER} is needed)` },
  ]
}

interface Account {
  readonly memory: number
  readonly storage: number
  readonly streams: number
  readonly consumers: number
  readonly limits: Readonly<Record<string, number>>
}

/** Shares of a limit above which it is told. */
const FULL = 0.95
const NEAR = 0.8

export async function checkLimits({ link }: Patient): Promise<Finding[]> {
  const account = await link.broker.api.call<Account>('INFO')
  return limitFindings(account)
}

/** Pure. A limit of -1 or 0 is none. */
export function limitFindings({ limits, ...used }: Account): Finding[] {
  const pairs = [
    ['storage', used.storage, limits['max_storage']],
    ['memory', used.memory, limits['max_memory']],
    ['streams', used.streams, limits['max_streams']],
    ['consumers', used.consumers, limits['max_consumers']],
  ] as const
  const near = pairs.flatMap(([what, amount, limit]): Finding[] => {
    if (limit === undefined || limit <= 0 || amount < limit * NEAR) return []
    const text = `JetStream ${what}: ${amount} of ${limit} are used`
    const advice = `Raise the account's limit, or make room: "nats account info", "troupe dead purge", "troupe purge".`
    return [{ level: amount >= limit * FULL ? 'error' : 'warning', check: 'limits', text, advice }]
  })
  const text = `JetStream: ${used.streams} streams, ${used.consumers} consumers, ${used.storage} bytes stored, within the account's limits`
  return orWell(near, 'limits', text)
}

/** A machine whose clock is off by more sends `at` times that are not what people mean. */
const CLOCK_MS = 1_000

export async function checkClock({ link }: Patient): Promise<Finding[]> {
  const { clock } = link
  try {
    await clock.start()
  } catch (error) {
    if (!(error instanceof JetStreamError) || error.refusal !== 'gone') throw error
    // A look makes no streams. (The first worker or sender does, and so does "troupe deploy".)
    const text = "not compared: no stream of this namespace is there yet to tell the server's time"
    return [{ level: 'ok', check: 'clock', text }]
  }
  const offMs = Math.round(clock.now() - systemClock.now())
  const text = `this machine's clock is ${Math.abs(offMs)} ms ${offMs < 0 ? 'ahead of' : 'behind'} the server's`
  if (Math.abs(offMs) <= CLOCK_MS) return [{ level: 'ok', check: 'clock', text }]
  const advice = 'Delays are by the server\'s clock, moments ("at", log lines) by this one: synchronise both (NTP).'
  return [{ level: 'warning', check: 'clock', text, advice }]
}

export async function checkPermissions({ link }: Patient): Promise<Finding[]> {
  const { broker } = link
  const refused: string[] = []
  const unlisten = broker.connection.onProblem((problem) => {
    if (/permission/i.test(problem.message)) refused.push(problem.message)
  })
  try {
    await actorsWithMailbox(broker)
    const subscription = broker.connection.subscribe(broker.subjects.wildcard('event'), () => {})
    await broker.connection.flush()
    // What the server refuses comes beside its answer.
    await sleep(50)
    subscription.unsubscribe()
  } finally {
    unlisten()
  }
  if (refused.length === 0)
    return [{ level: 'ok', check: 'permissions', text: 'this user may list streams and hear events' }]
  const advice = 'The role "viewer" may see, "operator" may change: "troupe permissions --role operator".'
  return refused.map((text) => ({ level: 'warning', check: 'permissions', text, advice }))
}

export async function checkStreams({ link, specs }: Patient): Promise<Finding[]> {
  if (specs.length === 0) {
    const text = 'streams were not compared with definitions: no files with actors were named'
    return [{ level: 'ok', check: 'streams', text }]
  }
  const assets = await deployAssets(link.broker, specs, { dryRun: true })
  const findings = assets.flatMap((asset): Finding[] => {
    if (asset.state === 'same') return []
    const what = asset.differences.map(
      ({ key, want, have }) => `${key} is ${JSON.stringify(have)}, not ${JSON.stringify(want)}`,
    )
    const text = `${asset.kind} ${asset.name} ${asset.state === 'created' ? 'does not exist' : `differs: ${what.join('; ')}`}`
    const advice =
      asset.state === 'unsafe'
        ? 'The change could lose messages: drain the actor, then change or delete it by hand.'
        : '"troupe deploy" makes it so; so does the next worker that starts, with nats.manage on.'
    return [{ level: asset.state === 'unsafe' ? 'error' : 'warning', check: 'streams', text, advice }]
  })
  const text = `${assets.length} streams and consumers are as their definitions say`
  return orWell(findings, 'streams', text)
}

export async function checkReplicas({ link }: Patient): Promise<Finding[]> {
  const { api, assets, subjects } = link.broker
  const actors = await actorsWithMailbox(link.broker)
  const streams = [
    ...assets.wanted.shared().map(({ name }) => name),
    ...actors.flatMap((actor) => [subjects.mailboxStream(actor), subjects.timerStream(actor)]),
  ]
  // All at once: each that nobody leads takes its time to be given up.
  const found = await Promise.all(streams.map((stream) => copiesOf(api, stream)))
  const there = found.filter((copies) => copies !== undefined)
  return orWell(there.flatMap(replicaFindings), 'replicas', `${there.length} streams have their leader and replicas`)
}

/** A stream as the cluster shows it. */
export interface Copies {
  readonly stream: string
  /** What NATS said where nobody answered for it: its servers are away, or elect a leader. */
  readonly problem?: string
  /** Undefined with a single server. */
  readonly cluster?: StreamInfo['cluster'] | undefined
}

/** Undefined for a stream that nobody has made yet. */
async function copiesOf(api: JetStreamApi, stream: string): Promise<Copies | undefined> {
  try {
    const { cluster } = await api.streamInfo(stream)
    return { stream, cluster }
  } catch (error) {
    const refusal = error instanceof JetStreamError ? error.refusal : undefined
    if (refusal === 'gone') return undefined
    const isUnanswered = error instanceof UnavailableError && error.code === 'TIMEOUT'
    if (refusal !== 'away' && !isUnanswered) throw error
    return { stream, problem: toError(error).message }
  }
}

/** Pure. */
export function replicaFindings({ stream, problem, cluster }: Copies): Finding[] {
  const finding = (level: 'error' | 'warning', text: string): Finding => {
    const advice = 'Look at that nats-server and its routes: "nats server report jetstream".'
    return { level, check: 'replicas', text: `stream ${stream}${text}`, advice }
  }
  if (problem !== undefined) return [finding('error', ` is not to be reached: ${problem}`)]
  if (cluster === undefined) return []
  const lagging = (cluster.replicas ?? []).filter(({ current, offline }) => offline || !current)
  return [
    ...((cluster.leader ?? '') === '' ? [finding('error', ' has no leader')] : []),
    ...lagging.map(({ name }) => finding('warning', `: replica ${name} is behind or away`)),
  ]
}

export async function checkLeftovers({ link }: Patient): Promise<Finding[]> {
  const actors = await actorsWithMailbox(link.broker)
  const all = await Promise.all(actors.map((actor) => leftoversOf(link.broker, actor)))
  const findings = all.flat().map(({ stream, subject, first, floor }): Finding => {
    const text = `${stream} still stores messages of ${subject} that were acked, the first at ${first}: a nats-server that was killed leaves such. They do not run again`
    const advice = `They only take room: "nats stream purge ${stream} --subject '${subject}' --seq ${floor + 1}" removes them.`
    return { level: 'warning', check: 'leftovers', text, advice }
  })
  return orWell(findings, 'leftovers', 'no mailbox stores what was acked')
}
