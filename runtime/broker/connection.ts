/**
 * One connection to NATS, and what everybody above needs to know of its state.
 *
 * Owns: whether it is there, and since when it is not; what goes through it; breaking it where it is silent or its server serves nothing.
 * Does not own: how it is made (dial.ts), which server comes next (route.ts), who hears of a problem (listeners.ts), repeating what was
 * lost with a connection (replies.ts and pull.ts do, told by `onConnected`).
 *
 * The client library throws away what was published while it had no connection (it clears its buffer at each dial), so
 * nothing may be published then: `connected` says so, and whoever publishes keeps its own list and repeats it.
 */
import type { Msg, MsgHdrs, NatsConnection, PublishOptions, Subscription } from '@nats-io/transport-node'

import { UnavailableError, toError } from '../errors.ts'
import { sleep, systemClock } from '../time/clock.ts'
import { dial, type NatsSettings } from './dial.ts'
import { listen, ProblemListeners, type ProblemListener } from './listeners.ts'
import { cutOff, forbidden, isLoginRefused, isRefusal, tooLarge } from './problems.ts'
import { Reach } from './reach.ts'
import { Route, toldBy } from './route.ts'
import { watchSilence } from './silence.ts'

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
  readonly #problems = new ProblemListeners()
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

  /** Throws what `dial` throws. */
  static async open(settings: NatsSettings): Promise<Connection> {
    const route = new Route(settings.servers)
    return new Connection(await dial(settings, route.next), settings, route)
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
    } catch (error) {
      throw cutOff(subject, toError(error))
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
    this.#problems.expectRefusal(subject, onRefused)
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
    return this.#problems.add(listener)
  }
  /** For who has asked for something and is told that it is refused: true says that the problem was theirs. */
  claim(claimer: (problem: Error) => boolean): () => void {
    return this.#problems.claim(claimer)
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
    this.#problems.tell(error)
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
