/**
 * How a connection to NATS is made: from the settings to a server that answers and has what Troupe needs, or to the typed error
 * that says what to correct.
 *
 * Owns: the client library's options, TLS, the words for a server that is not there, refuses us, is too old or has no JetStream.
 * Does not own: keys (login.ts), which server is dialled after a loss (route.ts), a connection once it is made (connection.ts).
 */
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node'

import { BrokerError, ConfigError, UnavailableError, toError } from '../errors.ts'
import { authenticator, type Login } from './login.ts'
import { isLoginRefused } from './problems.ts'

/** How to reach NATS. The meaning of each is in config/schema.ts, under `nats`. */
export interface NatsSettings extends Login {
  readonly servers: readonly string[]
  readonly name?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly token?: string | undefined
  readonly tls?: TlsSettings | undefined
  readonly domain?: string | undefined
  readonly inboxPrefix?: string | undefined
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly pingIntervalMs: number
  /** A connection on which nothing comes for so long, though a PING is out, is dialled anew: ms. */
  readonly silentAfterMs: number
}

export interface TlsSettings {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly serverName?: string | undefined
  readonly handshakeFirst?: boolean | undefined
  readonly rejectUnauthorized?: boolean | undefined
}

/** The oldest server that has everything that Troupe uses (DESIGN section 4). */
export const MINIMUM_SERVER = '2.14.0'

/**
 * `next` chooses the server each time that the library dials again. Throws `UnavailableError` `DISCONNECTED`, `BrokerError` `FORBIDDEN`,
 * `NO_JETSTREAM` or `SERVER_TOO_OLD`, `ConfigError` for unreadable keys.
 */
export async function dial(
  settings: NatsSettings,
  next: NonNullable<ConnectionOptions['reconnectToServer']>,
): Promise<NatsConnection> {
  const options = { ...(await dialOptions(settings)), reconnectToServer: next }
  const nc = await connect(options).catch((error: unknown) => {
    throw dialError(toError(error), settings)
  })
  const unfit = unfitness(nc, settings)
  if (unfit === undefined) return nc
  await nc.close()
  throw unfit
}

async function dialOptions(settings: NatsSettings): Promise<ConnectionOptions> {
  const { tls } = settings
  const signs = await authenticator(settings)
  return {
    servers: [...settings.servers],
    name: settings.name ?? 'troupe',
    // An error's trace is built for every request otherwise: half of the client's time (LIMITS.md).
    noAsyncTraces: true,
    timeout: settings.connectTimeoutMs,
    maxReconnectAttempts: -1,
    // Named workers come back fast, but not all in one millisecond.
    reconnectTimeWait: 200,
    reconnectJitter: 300,
    pingInterval: settings.pingIntervalMs,
    maxPingOut: 2,
    ignoreAuthErrorAbort: true,
    ...(settings.inboxPrefix === undefined ? {} : { inboxPrefix: settings.inboxPrefix }),
    ...(settings.user === undefined ? {} : { user: settings.user, pass: settings.password ?? '' }),
    ...(settings.token === undefined ? {} : { token: settings.token }),
    ...(signs === undefined ? {} : { authenticator: signs }),
    ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
  }
}

function tlsOptions(tls: TlsSettings): NonNullable<ConnectionOptions['tls']> {
  return {
    ...(tls.ca === undefined ? {} : { caFile: tls.ca }),
    ...(tls.cert === undefined ? {} : { certFile: tls.cert }),
    ...(tls.key === undefined ? {} : { keyFile: tls.key }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    ...(tls.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: tls.rejectUnauthorized }),
    ...(tls.handshakeFirst === undefined ? {} : { handshakeFirst: tls.handshakeFirst }),
  }
}

function dialError(cause: Error, settings: NatsSettings): Error {
  if (cause instanceof ConfigError) return cause
  const where = settings.servers.map(withoutCredentials).join(', ')
  if (isLoginRefused(cause)) {
    const text = `expected NATS at ${where} to accept our credentials, but it refused them (${cause.message}). Check nats.credentials, nkey, jwt, user, password or token.`
    return new BrokerError('FORBIDDEN', text, { cause })
  }
  const text = `expected a NATS server at ${where}, but none could be reached (${cause.message}). Start it, correct nats.servers, or leave it out and Troupe starts its own.`
  return new UnavailableError('DISCONNECTED', text, {
    cause,
    data: { servers: settings.servers.map(withoutCredentials) },
  })
}

function withoutCredentials(server: string): string {
  return server.replace(/\/\/.*@/, '//')
}

/** What Troupe misses at this server. */
function unfitness(nc: NatsConnection, { domain }: NatsSettings): BrokerError | undefined {
  const { version, jetstream } = { jetstream: false, ...nc.info }
  if (compareVersions(version ?? 'unknown', MINIMUM_SERVER) < 0) return tooOld(version, nc.getServer())
  // Without a domain the server itself says whether it has JetStream; a leaf node of a domain reaches it elsewhere.
  if (jetstream || domain !== undefined) return undefined
  const text = `expected JetStream at ${nc.getServer()}, but it is off. Start nats-server with -js, or with a "jetstream" block in its configuration.`
  return new BrokerError('NO_JETSTREAM', text)
}

function tooOld(version: string | undefined, server: string): BrokerError {
  const text =
    `expected nats-server ${MINIMUM_SERVER} or later at ${server}, got: ${version}. Upgrade the server, or leave ` +
    `"servers" out and Troupe starts its own.`
  return new BrokerError('SERVER_TOO_OLD', text, { data: { version, minimum: MINIMUM_SERVER } })
}

/** Negative, zero or positive; only the numbers count, so that a pre-release of a version is that version. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [versionNumbers(a), versionNumbers(b)]
  for (let part = 0; part < 3; part++) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function versionNumbers(version: string): number[] {
  return (version.match(/\d+/g) ?? []).slice(0, 3).map(Number)
}
