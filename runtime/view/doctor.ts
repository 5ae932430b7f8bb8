/**
 * What may be wrong with a namespace: questions to NATS and to the systems, each answered by findings that say what to do.
 *
 * The checks are a list. Each reads what it needs and returns what it found; one that cannot read (no permission, NATS away) is
 * a finding itself and holds up no other. Judging is pure where it can be.
 */
import type { ActorSpec } from '../actor.ts'
import { JetStreamError } from '../broker/api.ts'
import { actorsWithMailbox } from '../broker/depth.ts'
import { MINIMUM_SERVER } from '../broker/dial.ts'
import { deployAssets } from '../deploy.ts'
import { toError } from '../errors.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { formatDuration } from '../time/duration.ts'
import type { Link } from '../troupe.ts'
import { leftoversOf } from './leftovers.ts'
import { askRunning } from './running.ts'
import { readOverview, type ActorOverview, type Overview } from './status.ts'

export interface Finding {
  /** `error`: something does not work. `warning`: it may not for long. `ok`: looked at, and well. */
  readonly level: 'error' | 'warning' | 'ok'
  /** What was looked at: `server`, `streams`, … */
  readonly check: string
  readonly text: string
  /** What to do; absent where all is well. */
  readonly advice?: string
}

export interface Patient {
  readonly link: Link
  /** Definitions to compare the streams with; none: their settings are not checked. */
  readonly specs: readonly ActorSpec[]
}

type Check = (patient: Patient) => Promise<Finding[]>

/** In the order in which they are told. */
const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ['server', checkServer],
  ['limits', checkLimits],
  ['clock', checkClock],
  ['permissions', checkPermissions],
  ['streams', checkStreams],
  ['replicas', checkReplicas],
  ['actors', checkActors],
  ['growth', checkGrowth],
  ['stuck', checkStuck],
  ['leftovers', checkLeftovers],
]

/** All findings, check by check; `onCheck` is told before each. */
export async function examine(patient: Patient, onCheck: (name: string) => void = () => {}): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [name, check] of CHECKS) {
    onCheck(name)
    findings.push(...(await check(patient).catch((error: unknown) => [unread(name, toError(error))])))
  }
  return findings
}

function unread(check: string, error: Error): Finding {
  const advice = 'Is NATS reachable, and may this user ask? The role "operator" may.'
  return { level: 'warning', check, text: `could not be looked at: ${error.message}`, advice }
}

async function checkServer({ link }: Patient): Promise<Finding[]> {
  const { connection } = link.broker
  const text = `nats-server ${connection.serverVersion} at ${connection.server}, largest message ${connection.maxPayload} bytes`
  const small = connection.maxPayload < 65_536
  return [
    small
      ? { level: 'warning', check: 'server', text, advice: 'Copies need up to 16 KB for headers: raise max_payload.' }
      : { level: 'ok', check: 'server', text: `${text} (${MINIMUM_SERVER} is needed)` },
  ]
}

/** What a check found, or that all is well. */
function orWell(findings: Finding[], check: string, text: string): Finding[] {
  return findings.length > 0 ? findings : [{ level: 'ok', check, text }]
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

async function checkLimits({ link }: Patient): Promise<Finding[]> {
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

async function checkClock({ link }: Patient): Promise<Finding[]> {
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

async function checkPermissions({ link }: Patient): Promise<Finding[]> {
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

async function checkStreams({ link, specs }: Patient): Promise<Finding[]> {
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

async function checkReplicas({ link }: Patient): Promise<Finding[]> {
  const { api, subjects } = link.broker
  const actors = await actorsWithMailbox(link.broker)
  const streams = actors.flatMap((actor) => [subjects.mailboxStream(actor), subjects.timerStream(actor)])
  const findings: Finding[] = []
  for (const stream of streams) {
    const info = await api.streamInfo(stream).catch(() => undefined)
    const cluster = info?.cluster
    if (cluster === undefined || cluster.replicas === undefined) continue
    const lagging = cluster.replicas.filter(({ current, offline }) => offline || !current)
    if (cluster.leader === undefined || cluster.leader === '')
      findings.push({
        level: 'error',
        check: 'replicas',
        text: `stream ${stream} has no leader`,
        advice: ADVICE_LEADER,
      })
    for (const { name } of lagging)
      findings.push({
        level: 'warning',
        check: 'replicas',
        text: `stream ${stream}: replica ${name} is behind or away`,
        advice: ADVICE_LEADER,
      })
  }
  return orWell(findings, 'replicas', `${streams.length} streams have their leader and replicas`)
}

const ADVICE_LEADER = 'Look at that nats-server and its routes: "nats server report jetstream".'

async function checkActors({ link }: Patient): Promise<Finding[]> {
  return actorFindings(await readOverview(link.broker))
}

/** Pure. */
export function actorFindings({ actors, systems }: Overview): Finding[] {
  const findings = actors.flatMap((one) => actorFinding(one))
  const text = `${actors.length} actors, ${systems.length} systems: nothing waits without being worked on`
  return orWell(findings, 'actors', text)
}

function actorFinding(one: ActorOverview): Finding[] {
  const waits = `${one.actor}: ${one.waiting} messages wait, the oldest in the mailbox for ${formatDuration(Math.round((one.oldestMs ?? 0) / 1000) * 1000)}`
  switch (one.state) {
    case 'ok':
      return []
    case 'paused':
      return [
        {
          level: 'warning',
          check: 'actors',
          text: `${one.actor} is paused${one.pausedUntil === undefined ? '' : ` until ${one.pausedUntil.toISOString()}`}`,
          advice: `"troupe resume ${one.actor}" goes on.`,
        },
      ]
    case 'no workers':
      return [
        {
          level: 'error',
          check: 'actors',
          text: `${waits}, and no system runs it`,
          advice: 'Start one: "troupe start FILE".',
        },
      ]
    case 'stalled':
      return [
        {
          level: 'error',
          check: 'actors',
          text: `${waits}, ${one.slots - one.running} slots are free, and nothing ran for a minute`,
          advice: `Restart its worker ("troupe control restart ${one.actor}"), and look at its log.`,
        },
      ]
    case 'behind':
      return [
        {
          level: 'warning',
          check: 'actors',
          text: `${waits}; ${one.perSecond} end per second`,
          advice: `Run more: "troupe scale ${one.actor} N", or another system.`,
        },
      ]
    default:
      return one.state satisfies never
  }
}

/** More than that is worth a look. */
const MANY_DEAD = 1_000
const MANY_ARRIVING = 10_000

async function checkGrowth({ link }: Patient): Promise<Finding[]> {
  const { actors } = await readOverview(link.broker)
  return growthFindings(actors)
}

/** Pure. */
export function growthFindings(actors: readonly Pick<ActorOverview, 'actor' | 'dead' | 'arriving'>[]): Finding[] {
  const findings = actors.flatMap(({ actor, dead, arriving }): Finding[] => [
    ...(dead < MANY_DEAD
      ? []
      : [
          {
            level: 'warning' as const,
            check: 'growth',
            text: `${actor} has ${dead} dead letters`,
            advice: `"troupe dead ls --actor ${actor}" says why; retry or purge them.`,
          },
        ]),
    ...(arriving < MANY_ARRIVING
      ? []
      : [
          {
            level: 'warning' as const,
            check: 'growth',
            text: `${arriving} delayed messages of ${actor} are due or wait to be parked`,
            advice: 'No timer takes them fast enough: does a system run this actor?',
          },
        ]),
  ])
  return orWell(findings, 'growth', 'no heap of dead or delayed messages')
}

/** A message that was handed out and that nobody says to run. */
async function checkStuck({ link }: Patient): Promise<Finding[]> {
  const [{ actors }, running] = await Promise.all([readOverview(link.broker), askRunning(link.broker)])
  const findings = actors.flatMap((one): Finding[] => {
    const runs = running.filter(({ actor }) => actor === one.actor)
    const isOrphaned = one.delivered > 0 && one.systems.length === 0
    const text = `${one.actor}: ${one.delivered} messages were handed out and no system runs the actor`
    const advice = 'Their worker is gone: they come back after its lease (30 s by default), once a worker runs.'
    const long = runs.filter(({ stopping, remainingMs }) => stopping !== undefined && remainingMs === 0)
    return [
      ...(isOrphaned ? [{ level: 'warning' as const, check: 'stuck', text, advice }] : []),
      ...long.map(({ id, system, worker, forMs }) => ({
        level: 'warning' as const,
        check: 'stuck',
        text: `${id} runs in ${system} (${worker}) for ${formatDuration(forMs)}, beyond its limit: its handler ignores its signal`,
        advice: 'Let the handler heed ctx.signal, or isolate the actor so that it can be killed.',
      })),
    ]
  })
  return orWell(findings, 'stuck', 'nothing was handed out that nobody runs')
}

async function checkLeftovers({ link }: Patient): Promise<Finding[]> {
  const actors = await actorsWithMailbox(link.broker)
  const all = await Promise.all(actors.map((actor) => leftoversOf(link.broker, actor)))
  const findings = all.flat().map(({ stream, subject, first, floor }): Finding => {
    const text = `${stream} still stores messages of ${subject} that were acked, the first at ${first}: a nats-server that was killed leaves such. They do not run again`
    const advice = `They only take room: "nats stream purge ${stream} --subject '${subject}' --seq ${floor + 1}" removes them.`
    return { level: 'warning', check: 'leftovers', text, advice }
  })
  return orWell(findings, 'leftovers', 'no mailbox stores what was acked')
}
