/** `connect()`: what a service holds that sends messages and runs none. */
import type { NatsConnection } from '@nats-io/transport-node'

import { loadConfig, startEmbeddedServer, type Config, type ConfigInput, type EmbeddedServer } from '../config/index.ts'
import { openBroker, type Broker } from './broker/broker.ts'
import type { BrokerSettings } from './broker/broker.ts'
import { ServerClock } from './broker/serverClock.ts'
import { DeadLetters } from './client/dead.ts'
import { Pausing } from './client/pausing.ts'
import { Waiters } from './client/results.ts'
import { Sender, type SenderHost } from './client/sender.ts'
import { composeSending, type SendMiddleware } from './client/sending.ts'
import { SentEvents } from './client/sentEvents.ts'
import { EventLevels } from './observe/levels.ts'
import { meterSends } from './observe/meter.ts'
import { SendTallies } from './observe/sendTally.ts'
import { Tracing } from './observe/tracing.ts'
import { Schedules } from './schedules/schedules.ts'
import { Secrets } from './secrets.ts'
import { Mailboxes } from './view/mailboxes.ts'

/** The whole configuration, or just `servers`. What is not given comes from the environment, troupe.config, the defaults. */
export type ConnectOptions = ConfigInput & {
  /** The same as `nats.servers`. */
  servers?: string | readonly string[]
  /** Wrapped around every `send` and `ask`, the first outermost. */
  sending?: readonly SendMiddleware[]
}

/** What a process has of NATS, with the embedded server where no other is configured. */
export interface Link {
  readonly config: Config
  /** Folder of the project. */
  readonly root: string
  readonly broker: Broker
  readonly clock: ServerClock
  readonly senderHost: SenderHost
  /** Which events of each actor are published, changed live by operators. */
  readonly levels: EventLevels
  /** What is hidden wherever something is shown. */
  readonly secrets: Secrets
  readonly embedded: EmbeddedServer | undefined
  close(): Promise<void>
}

/** Connects to NATS, or to the project's own server where no address is configured. Throws `ConfigError`, `UnavailableError`, `BrokerError`. */
export async function connect(options: ConnectOptions = {}): Promise<Troupe> {
  return new Troupe(await openLink(options))
}

export async function openLink(options: ConnectOptions): Promise<Link> {
  const { config, root } = await loadConfig({ overrides: overridesOf(options) })
  return linkTo(config, root, options.sending)
}

/** The same from a configuration that was loaded already. */
export async function linkTo(config: Config, root: string, sending: readonly SendMiddleware[] = []): Promise<Link> {
  const embedded = config.nats.servers.length === 0 ? await startEmbeddedServer({ cwd: root, config }) : undefined
  try {
    const broker = await openBroker(
      brokerSettings(config, embedded === undefined ? config.nats.servers : [embedded.url]),
    )
    const clock = new ServerClock(broker.api, () => broker.subjects.cancelStream)
    const levels = new EventLevels(config.events)
    const senderHost = senderHostOf(config, broker, clock, levels, sending)
    const unmeter = meterSends(senderHost.tallies, (actor, message) => broker.subjects.message(actor, message))
    const close = async (): Promise<void> => {
      unmeter()
      clock.stop()
      senderHost.waiters.close()
      await broker.close()
      await embedded?.release()
    }
    return {
      config,
      root,
      broker,
      clock,
      embedded,
      secrets: new Secrets(config.secrets),
      levels,
      senderHost,
      close,
    }
  } catch (error) {
    await embedded?.release()
    throw error
  }
}

function senderHostOf(
  config: Config,
  broker: Broker,
  clock: ServerClock,
  levels: EventLevels,
  sending: readonly SendMiddleware[],
): SenderHost {
  const { sender: name, system } = config
  const { connection, subjects } = broker
  return {
    name,
    broker,
    clock,
    waiters: new Waiters(connection, subjects, name),
    sentEvents: new SentEvents(broker, levels, name),
    tallies: new SendTallies(),
    sending: composeSending(sending),
    tracing: new Tracing({ subjects, server: () => connection.server, client: name === 'any' ? system : name }),
  }
}

export class Troupe {
  readonly #link: Link
  readonly send: Sender['send']
  readonly sendBound: Sender['sendBound']
  readonly sendMany: Sender['sendMany']
  readonly ask: Sender['ask']
  readonly call: Sender['call']
  readonly broadcast: Sender['broadcast']
  readonly cancel: Sender['cancel']
  /** Dead letters: list, show, retry, purge. */
  readonly dead: DeadLetters
  /**
   * Workers take nothing more of an actor (or of one lane) until `resume`, or as long as `for` or `until` says. Throws `ActorError`
   * (`UNKNOWN_ACTOR`, `NO_LANES`), `ConfigError` `INVALID_OPTION`, `BrokerError` `FORBIDDEN`.
   */
  readonly pause: Pausing['pause']
  /** Ends a pause, also one that was made with `nats consumer pause`. Throws what `pause` throws. */
  readonly resume: Pausing['resume']
  /** Recurring messages: put, list, pause, trigger, … */
  readonly schedules: Schedules
  /** What waits in the mailboxes: peek, purge, move. */
  readonly mailboxes: Mailboxes
  #closed: Promise<void> | undefined

  constructor(link: Link) {
    const sender = new Sender(link.senderHost)
    this.#link = link
    this.send = sender.send.bind(sender)
    this.sendBound = sender.sendBound.bind(sender)
    this.sendMany = sender.sendMany.bind(sender)
    this.ask = sender.ask.bind(sender)
    this.call = sender.call.bind(sender)
    this.broadcast = sender.broadcast.bind(sender)
    this.cancel = sender.cancel.bind(sender)
    this.dead = new DeadLetters(link.broker)
    const pausing = new Pausing(link.broker)
    this.pause = pausing.pause.bind(pausing)
    this.resume = pausing.resume.bind(pausing)
    const { broker, clock, config } = link
    this.schedules = new Schedules({ broker, clock, lostAfterMs: config.timer.lostAfterMs })
    this.mailboxes = new Mailboxes(link.broker)
  }

  /** The NATS connection, for what Troupe does not cover. */
  get connection(): NatsConnection {
    return this.#link.broker.connection.raw
  }
  /** Where it is connected, without credentials. */
  get server(): string {
    return this.#link.broker.connection.server
  }
  /** The configuration as resolved. */
  get config(): Config {
    return this.#link.config
  }

  /** Ends the connection, and the embedded server if nobody else uses it. Safe to call again. */
  close(): Promise<void> {
    return (this.#closed ??= this.#link.close())
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** `servers` is short for `nats.servers`. */
export function overridesOf({ servers, sending: _sending, ...input }: ConnectOptions): ConfigInput {
  if (servers === undefined) return input
  return {
    ...input,
    nats: { ...input.nats, servers: typeof servers === 'string' ? [servers] : servers },
  }
}

function brokerSettings(config: Config, servers: readonly string[]): BrokerSettings {
  const { nats, mailbox, retention } = config
  const { ca, cert, key, serverName, handshakeFirst, rejectUnauthorized } = nats.tls
  const hasTls =
    ca !== undefined || cert !== undefined || serverName !== undefined || handshakeFirst || !rejectUnauthorized
  return {
    nats: {
      ...nats,
      servers,
      name: nats.name ?? config.system,
      tls: hasTls ? { ca, cert, key, serverName, handshakeFirst, rejectUnauthorized } : undefined,
    },
    namespace: config.namespace,
    replicas: nats.replicas,
    manage: nats.manage,
    leaseMs: mailbox.leaseMs,
    dedupeWindowMs: mailbox.dedupeWindowMs,
    maxMessages: mailbox.maxMessages,
    maxBytes: mailbox.maxBytes,
    keepDeadMs: retention.deadMs,
    keepCancelsMs: retention.cancelsMs,
    keepEventsMs: retention.eventsMs,
    eventBytes: retention.eventBytes,
    keepLedgerMs: retention.ledgerMs,
  }
}
