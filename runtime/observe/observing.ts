/**
 * What a system counts and tells of itself, in one place: everything that shows a system to people or machines reads here.
 *
 * Owns: the tallies of its actors, the depths of their mailboxes, which lanes are paused, JetStream's advisories. Does not
 * own: what is counted when (worker.ts, live.ts).
 */
import type { ActorSpec } from '../actor.ts'
import { troupeVersion, type Application } from '../application.ts'
import { followAdvisories, type Advisory } from '../broker/advisories.ts'
import type { Control } from '../broker/control.ts'
import { readLanes } from '../broker/depth.ts'
import type { ServiceCard } from '../broker/service.ts'
import type { SystemEvent, SystemEvents } from '../events.ts'
import type { ActorWorker } from '../flow/worker.ts'
import type { Logger } from '../log.ts'
import type { Roster } from '../roster.ts'
import type { TreeNode } from '../supervision/tree.ts'
import { systemClock } from '../time/clock.ts'
import type { Link } from '../troupe.ts'
import { serviceCard } from './card.ts'
import { Depths } from './depths.ts'
import { healthOf, type Health, type HealthParts } from './health.ts'
import { HttpPort } from './httpPort.ts'
import type { ActorView, View } from './instruments.ts'
import { readLevelRequest, type LevelAnswer } from './levels.ts'
import { meterSystem } from './meter.ts'
import { Pauses } from './pauses.ts'
import { prometheus } from './prometheus.ts'
import { ActorTally } from './tally.ts'

export interface ObservingParts {
  readonly link: Link
  readonly control: Control
  readonly system: string
  readonly application: Application
  readonly specs: readonly ActorSpec[]
  readonly log: Logger
  tell<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void
  readonly roster: Roster
  phase(): HealthParts['phase']
  tree(): readonly TreeNode[]
}

export class Observing {
  readonly #parts: ObservingParts
  /** What became of the messages of each actor; it outlives workers. */
  readonly tallies: ReadonlyMap<string, ActorTally>
  /** What waits in the mailboxes of the actors that run here. */
  readonly depths: Depths
  readonly pauses: Pauses
  #unfollow: (() => void)[] = []
  #http: HttpPort | undefined

  constructor(parts: ObservingParts) {
    this.#parts = parts
    this.tallies = new Map(parts.specs.map((spec) => [spec.name, new ActorTally(spec.name, spec.messages.keys())]))
    this.depths = new Depths(parts.link.broker)
    parts.control.on('events', (body) => this.#events(body))
    parts.control.on('health', () => this.health())
    this.pauses = new Pauses({
      paused: (actor, lane, until) => {
        parts.log.warn('paused: nothing is taken from this lane', { actor, lane, until: until?.toISOString() })
        parts.tell('paused', { actor, lane, ...(until === undefined ? {} : { until: until.toISOString() }) })
      },
      resumed: (actor, lane) => {
        parts.roster.of(actor)?.worker.resumed()
        parts.log.info('resumed', { actor, lane })
        parts.tell('resumed', { actor, lane })
      },
    })
  }

  /** The verb `events`: which events of an actor are published from now on here, and whether it runs here. */
  #events(body: unknown): LevelAnswer {
    const { actor, level } = readLevelRequest(body)
    const { link, specs, roster } = this.#parts
    if (level !== undefined) link.levels.set(actor, level === 'default' ? undefined : level)
    const spec = specs.find(({ name }) => name === actor)
    const holds = link.levels.of(actor, spec)
    for (const { worker } of roster.living(actor)) worker.telling.level = holds
    return { runs: spec !== undefined, level: holds }
  }

  health(): Health {
    const { system, link } = this.#parts
    const { connected: isConnected, server } = link.broker.connection
    return healthOf({ system, isConnected, server, phase: this.#parts.phase(), tree: this.#parts.tree() })
  }

  /** What the metrics of this moment are read from. */
  async view(): Promise<View> {
    const { system, application, link, specs } = this.#parts
    const { broker, senderHost } = link
    return {
      system,
      application,
      troupeVersion: troupeVersion(),
      isConnected: broker.connection.connected,
      isReady: this.health().ready,
      subject: (actor, message) => broker.subjects.message(actor, message),
      sent: senderHost.tallies.all(),
      actors: await Promise.all(specs.map((spec) => this.#actorView(spec))),
      now: systemClock.now(),
    }
  }

  async #actorView(spec: ActorSpec): Promise<ActorView> {
    const workers = this.#parts.roster.living(spec.name).map(({ worker }) => worker)
    const sum = (pick: (worker: ActorWorker) => number): number => workers.reduce((all, one) => all + pick(one), 0)
    return {
      tally: this.tally(spec),
      slots: sum(({ concurrency }) => concurrency),
      running: sum(({ running }) => running.length),
      buffered: sum(({ buffered }) => buffered),
      depth: await this.depths.of(spec),
    }
  }

  /** Opens the HTTP port, where there is to be one: before anything else starts, so that probes see it start. */
  async open(): Promise<void> {
    const { link, log } = this.#parts
    const { port, host } = link.config.http
    if (port === undefined) return
    const registry = prometheus(() => this.view())
    const metrics = async (): Promise<{ type: string; text: string }> => ({
      type: registry.contentType,
      text: await registry.metrics(),
    })
    const http = new HttpPort({ health: () => this.health(), metrics })
    await http.start(port, host)
    this.#http = http
    log.info('health and metrics', { url: `http://${host.includes(':') ? `[${host}]` : host}:${http.port}` })
  }

  /** The port of health and metrics, where there is one. */
  get httpPort(): number | undefined {
    return this.#http?.port
  }

  async close(): Promise<void> {
    await this.#http?.stop()
  }

  /** The actors run, so their assets exist. What was paused before is told now. */
  async start(): Promise<void> {
    const { link, specs, log } = this.#parts
    const { connection, subjects } = link.broker
    const unfollow = followAdvisories(connection, subjects, new Set(specs.map(({ name }) => name)), {
      onAdvisory: (advisory) => this.#onAdvisory(advisory),
      onPause: (actor, lane, until) => this.pauses.heard(actor, lane, until),
      onRefused: () => log.debug('JetStream tells this user no advisories (it may not hear $JS.EVENT.ADVISORY.>)'),
    })
    // What was said while the connection was away is not said again.
    this.#unfollow = [unfollow, connection.onConnected(() => void this.#readAllPauses())]
    const subject = (actor: string, message: string): string => subjects.message(actor, message)
    this.#unfollow.push(meterSystem(this.tallies.values(), subject, () => this.view()))
    await this.#readAllPauses()
  }

  stop(): void {
    for (const unfollow of this.#unfollow) unfollow()
  }

  tally(spec: ActorSpec): ActorTally {
    return this.tallies.get(spec.name) ?? new ActorTally(spec.name, spec.messages.keys())
  }

  /** Messages of one name that run in this system now. */
  running(actor: string, message: string): number {
    const runs = this.#parts.roster.living(actor).flatMap(({ worker }) => worker.running)
    return runs.filter((run) => run.message.name === message).length
  }

  /** What the actor's micro service says of it. */
  card(spec: ActorSpec): ServiceCard {
    const { system, application, link } = this.#parts
    return serviceCard({
      spec,
      tally: this.tally(spec),
      system,
      application,
      root: link.root,
      running: (message) => this.running(spec.name, message),
      depth: () => this.depths.of(spec),
    })
  }

  async #readAllPauses(): Promise<void> {
    const { broker } = this.#parts.link
    const read = async (spec: ActorSpec): Promise<void> => {
      const lanes = await readLanes(broker, spec.name, broker.assets.lanesOf(spec))
      for (const { lane, pausedUntil } of lanes) this.pauses.heard(spec.name, lane, pausedUntil)
    }
    await Promise.allSettled(this.#parts.specs.map(read))
  }

  #onAdvisory(advisory: Advisory): void {
    const { text, ...fields } = advisory
    this.#parts.log[SERIOUSNESS[advisory.kind]](`JetStream: ${text}`, fields)
    this.#parts.tell('advisory', advisory)
  }
}

/** A new leader is everyday life in a cluster; the rest somebody should see. */
const SERIOUSNESS = {
  leader: 'info',
  'quorum-lost': 'error',
  deleted: 'warn',
  'max-deliveries': 'warn',
} as const satisfies Record<Advisory['kind'], 'info' | 'warn' | 'error'>
