/**
 * One connection to NATS, and what everybody above needs to know of its state.
 *
 * Owns: dialling, the typed errors of a connection that can't be made, the words "connected" and "disconnected".
 * Does not own: repeating what was lost with a connection (replies.ts, mailbox.ts do, told by `onConnected`).
 *
 * The client library throws away what was published while it had no connection (it clears its buffer at each dial), so
 * nothing may be published then: `connected` says so, and whoever publishes keeps its own list and repeats it.
 */
import { readFile } from 'node:fs/promises'

import {
  connect as dial,
  credsAuthenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  type Authenticator,
  type ConnectionOptions,
  type MsgHdrs,
  type NatsConnection,
  type PublishOptions,
  type Subscription,
  type Msg,
} from '@nats-io/transport-node'

import { BrokerError, ConfigError, UnavailableError, toError } from '../errors.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { forbidden, isRefusal, tooLarge } from './problems.ts'
import { Reach } from './reach.ts'
import { Route, toldBy } from './route.ts'
import { watchSilence } from './silence.ts'

/** How to reach NATS. The meaning of each is in config/schema.ts, under `nats`. */
export interface NatsSettings {
  readonly servers: readonly string[]
  readonly name?: string | undefined
  readonly credentials?: string | undefined
  readonly nkey?: string | undefined
  readonly jwt?: string | undefined
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

/** A problem that the server reported outside any request: a refused subject, a slow consumer. `isClaimed`: somebody waited for it and is told. */
export type ProblemListener = (problem: Error, isClaimed: boolean) => void

/** The oldest server that has everything that Troupe uses (DESIGN section 4). */
export const MINIMUM_SERVER = '2.14.0'
const NO_BYTES = new Uint8Array(0)

/** A connection that is not there. */
export interface Away {
  /** Monotonic ms. */
  readonly since: number
  /** NATS answered, and did not take our credentials. */
  readonly isRefused: boolean
}

export class Connection {
  readonly #nc: NatsConnection
  readonly settings: NatsSettings
  /** Whether JetStream can be reached from here: told by whoever asks it for something. */
  readonly reach = new Reach()
  readonly #route: Route
  #connected = true
  #closing = false
  readonly #connectedListeners = new Set<() => void>()
  readonly #disconnectedListeners = new Set<() => void>()
  readonly #problemListeners = new Set<ProblemListener>()
  readonly #claims = new Set<(problem: Error) => boolean>()
  /** Subjects whose refusal is expected, with who is told of it. */
  readonly #refusable = new Map<string, () => void>()
  readonly #unwatch: () => void
  #away: Away | undefined

  private constructor(nc: NatsConnection, settings: NatsSettings, route: Route) {
    this.#nc = nc
    this.settings = settings
    this.#route = route
    this.#learn()
    void this.#follow()
    this.#unwatch = watchSilence(this, settings.silentAfterMs, (forMs) => this.#onSilent(forMs))
  }

  /** Throws `UnavailableError` `DISCONNECTED`, `BrokerError` `FORBIDDEN`, `NO_JETSTREAM` or `SERVER_TOO_OLD`, `ConfigError` for unreadable keys. */
  static async open(settings: NatsSettings): Promise<Connection> {
    const route = new Route(settings.servers)
    const options = { ...(await dialOptions(settings)), reconnectToServer: route.next }
    const nc = await dial(options).catch((error: unknown) => {
      throw dialError(toError(error), settings)
    })
    const connection = new Connection(nc, settings, route)
    try {
      connection.#checkServer()
    } catch (error) {
      await connection.close()
      throw error
    }
    return connection
  }

  get connected(): boolean {
    return this.#connected
  }
  get closed(): boolean {
    return this.#closing
  }
  /** Since when it has no connection, and whether NATS was there and refused us; undefined while it has one. */
  get away(): Away | undefined {
    return this.#away
  }
  /** Largest message, headers included, that the server takes: bytes. */
  get maxPayload(): number {
    return this.#nc.info?.max_payload ?? 1_048_576
  }
  /** Whether the server is one of several, where a stream may be without a leader for a while. */
  get isClustered(): boolean {
    return this.#nc.info?.cluster !== undefined
  }
  get serverVersion(): string {
    return this.#nc.info?.version ?? 'unknown'
  }
  /** Where it is connected, without credentials. */
  get server(): string {
    return this.#nc.getServer()
  }
  /** The client library's own connection, for handlers and services that need it. */
  get raw(): NatsConnection {
    return this.#nc
  }

  /** Publishes bytes with an encoded block of headers (headers.ts). The caller has seen to `connected` and to the size. */
  publish(subject: string, payload: Uint8Array | undefined, headers?: Uint8Array, reply?: string): void {
    // The library calls nothing but encode() on headers when it publishes: bytes made once spare its map of lists.
    const block = headers && ({ encode: () => headers } as unknown as MsgHdrs)
    this.#nc.publish(subject, payload ?? NO_BYTES, { reply: reply ?? '', headers: block } as PublishOptions)
  }

  /** Publishes and waits until the server has read it. Throws `BrokerError` `FORBIDDEN`, `PayloadError` `TOO_LARGE`. */
  async publishHeard(subject: string, payload: Uint8Array, headers: Uint8Array): Promise<void> {
    const size = payload.length + headers.length
    if (size > this.maxPayload) throw tooLarge(subject, size, this.maxPayload)
    let refused: Error | undefined
    const unclaim = this.claim((problem) => {
      const isOurs = isRefusal(problem, 'publish', subject)
      if (isOurs) refused = problem
      return isOurs
    })
    try {
      this.publish(subject, payload, headers)
      await this.refusalsHeard()
    } finally {
      unclaim()
    }
    if (refused !== undefined) throw forbidden(subject, refused)
  }

  /** Resolves when the server has read all that was published and subscribed, and what it refused of that was told. */
  async refusalsHeard(): Promise<void> {
    // The server's refusal comes before its answer to this.
    await this.#nc.flush()
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Subscribes with a callback; an error of the subscription itself (no permission) is reported as a problem. */
  subscribe(subject: string, callback: (msg: Msg) => void, queue?: string): Subscription {
    return this.#nc.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, msg) => (error ? this.#problem(error) : this.#guard(callback, msg)),
    })
  }

  /** The same for a subject that this user may be refused: then `onRefused` is called, and nobody else hears of it. */
  subscribeIfAllowed(subject: string, callback: (msg: Msg) => void, onRefused: () => void): Subscription {
    this.#refusable.set(subject, onRefused)
    return this.subscribe(subject, callback)
  }

  /** The library reads from its socket through our callbacks: what one of them throws would end the connection. */
  #guard(callback: (msg: Msg) => void, msg: Msg): void {
    try {
      callback(msg)
    } catch (error) {
      this.#problem(toError(error))
    }
  }

  flush(): Promise<void> {
    return this.#nc.flush()
  }

  /** Resolves at once while it is connected, else after the next reconnect. Rejects with the signal's reason. */
  async whenConnected(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#connected) return
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        unlisten()
        reject(toError(signal.reason))
      }
      const unlisten = this.onConnected(() => {
        signal.removeEventListener('abort', abort)
        unlisten()
        resolve()
      })
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  /** Called after each reconnect; returns what takes the listener away. */
  onConnected(listener: () => void): () => void {
    return listen(this.#connectedListeners, listener)
  }
  onDisconnected(listener: () => void): () => void {
    return listen(this.#disconnectedListeners, listener)
  }
  onProblem(listener: ProblemListener): () => void {
    return listen(this.#problemListeners, listener)
  }
  /** For who has asked for something and is told that it is refused: true says that the problem was theirs. */
  claim(claimer: (problem: Error) => boolean): () => void {
    return listen(this.#claims, claimer)
  }

  /** Breaks the TCP connection; the library dials again. For a connection that is up but silent. */
  async reconnect(): Promise<void> {
    const socket = socketOf(this.#nc)
    await this.#nc.reconnect()
    // The library writes before it hangs up, which never ends on a line that takes nothing more: then its socket is cut.
    await sleep(HANG_UP_MS)
    if (!this.#closing) socket?.destroy()
  }

  #onSilent(forMs: number): void {
    const text = `expected an answer to a ping from ${this.server} within ${forMs} ms, but nothing came: the connection is dialled anew`
    this.#problem(new UnavailableError('SILENT', text))
    void this.reconnect().catch((error: unknown) => this.#problem(toError(error)))
  }

  /** Leaves a server that serves nothing, where there is another one to go to. Called now and then. */
  leaveIfLost(): void {
    if (!this.#connected || this.#closing || this.#nc.getServers().length < 2) return
    const now = systemClock.monotonic()
    if (!this.reach.isLost(now, toldBy(this.#nc).length < 2)) return
    const text = `expected JetStream to answer at ${this.server}, but nothing there serves us any more: is it cut off from its cluster? Going to another server.`
    this.#problem(new UnavailableError('CUT_OFF', text, { data: { server: this.server } }))
    this.reach.left(now)
    this.#leave()
  }

  #leave(): void {
    this.#route.leave({ id: this.#nc.info?.server_id ?? '', address: this.server })
    void this.reconnect().catch((error: unknown) => this.#problem(toError(error)))
  }

  /** What the cluster tells of its servers, kept where the library would forget it. */
  #learn(): void {
    this.#route.told(toldBy(this.#nc))
    const pool = this.#nc.getServers()
    const addresses = this.#route.addresses(pool)
    if (addresses.length > pool.length) this.#nc.setServers(addresses)
  }

  #arrive(): void {
    if (this.#route.isBack(this.#nc.info?.server_id ?? '', this.#nc.getServers())) return this.#leave()
    this.#route.arrived()
    this.#change(true, this.#connectedListeners)
  }

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#unwatch()
    // A connection that is up but silent must not hold up the end of its process.
    const flushed = new AbortController()
    const waited = sleep(this.settings.requestTimeoutMs, flushed.signal).catch(() => {})
    if (this.#connected) await Promise.race([this.#nc.flush().catch(() => {}), waited])
    flushed.abort()
    await this.#nc.close()
  }

  async #follow(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (status.type === 'disconnect') this.#change(false, this.#disconnectedListeners)
      else if (status.type === 'reconnect') this.#arrive()
      else if (status.type === 'update') this.#learn()
      else if (status.type === 'error') this.#problem(status.error)
    }
    this.#change(false, this.#disconnectedListeners)
  }

  #change(connected: boolean, listeners: Set<() => void>): void {
    if (this.#connected === connected) return
    this.#connected = connected
    this.#away = connected ? undefined : { since: systemClock.monotonic(), isRefused: false }
    for (const listener of listeners) listener()
  }

  #problem(error: Error): void {
    if (this.#away !== undefined && isLoginRefused(error)) this.#away = { ...this.#away, isRefused: true }
    const { operation, subject } = error as { operation?: unknown; subject?: unknown }
    const onRefused = operation === 'subscription' ? this.#refusable.get(String(subject)) : undefined
    if (onRefused !== undefined) return onRefused()
    const isClaimed = [...this.#claims].filter((claim) => claim(error)).length > 0
    for (const listener of this.#problemListeners) listener(error, isClaimed)
  }

  #checkServer(): void {
    const { version, jetstream } = { jetstream: false, ...this.#nc.info }
    if (compareVersions(this.serverVersion, MINIMUM_SERVER) < 0) {
      throw new BrokerError(
        'SERVER_TOO_OLD',
        `expected nats-server ${MINIMUM_SERVER} or later at ${this.server}, got: ${version}. Upgrade the server, or leave ` +
          `"servers" out and Troupe starts its own.`,
        { data: { version, minimum: MINIMUM_SERVER } },
      )
    }
    // Without a domain the server itself says whether it has JetStream; a leaf node of a domain reaches it elsewhere.
    if (!jetstream && this.settings.domain === undefined) {
      throw new BrokerError(
        'NO_JETSTREAM',
        `expected JetStream at ${this.server}, but it is off. Start nats-server with -js, or with a "jetstream" block in its configuration.`,
      )
    }
  }
}

/** The library has no way to it that is public. Without it a silent line ends when TCP gives up. */
function socketOf(nc: NatsConnection): { destroy(): void } | undefined {
  return (nc as unknown as Inner).protocol?.transport?.socket
}

interface Inner {
  readonly protocol?: { readonly transport?: { readonly socket?: { destroy(): void } } }
}

const HANG_UP_MS = 500

function listen<L>(listeners: Set<L>, listener: L): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Negative, zero or positive; only the numbers count, so that a pre-release of a version is that version. */
export function compareVersions(a: string, b: string): number {
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

async function dialOptions(settings: NatsSettings): Promise<ConnectionOptions> {
  const { tls } = settings
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
    ...(await authenticator(settings)),
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

async function authenticator(settings: NatsSettings): Promise<Pick<ConnectionOptions, 'authenticator'>> {
  const { credentials, nkey, jwt } = settings
  if (credentials !== undefined) {
    const file = await keyFile(credentials, 'nats.credentials')
    const what = `a credentials file (.creds) with a JWT and a seed, got: ${credentials}, which is none or was changed`
    return { authenticator: usable(credsAuthenticator(file), `expected nats.credentials to be ${what}`) }
  }
  const seed = nkey === undefined ? undefined : await seedBytes(nkey)
  const wrong =
    'expected nats.nkey to be a seed as "nk" or "nsc" made it, or its file, got: one with a slip in it (not shown)'
  if (jwt !== undefined) return { authenticator: usable(jwtAuthenticator(jwt, seed), wrong) }
  return seed === undefined ? {} : { authenticator: usable(nkeyAuthenticator(seed), wrong) }
}

/** Tried before anything is dialled: else a key that can't sign looks like a server that can't be reached. Its own error may name the key. */
function usable(authenticate: Authenticator, problem: string): Authenticator {
  try {
    authenticate('nonce')
  } catch {
    throw new ConfigError('INVALID_CONFIG', `${problem}. Get it again from who made it.`)
  }
  return authenticate
}

/** A seed as it is, or the file that holds it. Seeds begin with S and the kind of key (NATS nkeys). */
async function seedBytes(nkey: string): Promise<Uint8Array> {
  if (/^S[A-Z0-9]{50,}$/.test(nkey.trim())) return Buffer.from(nkey.trim())
  const text = Buffer.from(await keyFile(nkey, 'nats.nkey')).toString()
  return Buffer.from(/S[A-Z0-9]{50,}/.exec(text)?.[0] ?? text.trim())
}

async function keyFile(path: string, key: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    // A seed with a slip in it is taken for a path: what may be a secret is shown nowhere, not even in the cause.
    if (key === 'nats.nkey')
      throw new ConfigError(
        'INVALID_CONFIG',
        `expected ${key} to be a seed or a file that can be read, got: neither (not shown)`,
      )
    throw new ConfigError('INVALID_CONFIG', `expected ${key} to be a file that can be read, got: ${path}`, { cause })
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

function isLoginRefused({ name, message }: Error): boolean {
  return /authori[sz]ation|authentication|credentials/i.test(`${name} ${message}`)
}

function withoutCredentials(server: string): string {
  return server.replace(/\/\/[^@/]*@/, '//')
}
