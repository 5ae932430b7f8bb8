/**
 * The guardian of a project's nats-server: a small process of its own, started by the first process that needs the server, ended by
 * nobody. This file is its whole program; embedded.ts is the side of those who use it.
 *
 * Owns: the nats-server of one folder (`.troupe/`), who uses it, when it ends. Does not own: who is guardian (claim.ts),
 * how nats-server is run (nats.ts), that nothing outlives a guardian that is killed (watched.ts).
 *
 * The races, and what settles each:
 * G1 Two processes start at once: each starts a guardian, one makes the claim (C2), the other guardian ends itself, and its starter
 *    finds the winner's claim.
 * G2 `server.json` or a claim is left by a crash, its pid or port belongs to another process by now: nothing is believed from a pid. A
 *    claim counts while its port answers to its token (C3); `server.json` is for people, and nobody here reads it.
 * G3 Users come and go, the starter first, by `kill -9`: every user keeps a connection, which the kernel closes with the process.
 *    The last one closed, and none new within a second: the server is stopped, its data stay.
 * G4 A user comes while the server stops: the guardian still holds its port and says `stopping`, so the user waits until it has ended
 *    and nats-server with it, and starts anew. Its port closes last.
 * G5 Ctrl-C reaches every process of the terminal's group: the guardian and nats-server have sessions of their own, so workers drain first.
 * G6 The guardian alone is killed: its shell ends nats-server (watched.ts); the users see their connections close and start a new
 *    guardian, on the same port. Its first act is to end a nats-server that still runs on these data (endOrphan): that, too, covers a
 *    `kill -9` of guardian and shell.
 * G7 nats-server is killed or crashes: started again on its port and data, five times a minute at most, then the users are told.
 * G8 The starter dies before it has connected: a guardian that nobody has used for ten seconds ends.
 */
import { once } from 'node:events'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'

import { toError } from '../../runtime/errors.ts'
import { randomToken } from '../../runtime/time/chance.ts'
import { systemClock } from '../../runtime/time/clock.ts'
import { attach, eachLine, type GuardianState } from './attach.ts'
import { isLocal, isTouched, makeClaim, newestClaim, releaseClaim, touchClaim, type Claim } from './claim.ts'
import { endOrphan, startNats, type RunningNats } from './nats.ts'

/** How a guardian is told what to do: its only argument, as JSON. */
export interface GuardianOrder {
  readonly dir: string
  readonly binary: string
  /** 0: a free one. */
  readonly port: number
}

const lingerMs = 1000
const firstUserMs = 10_000
const mostRestarts = 5
const restartPeriodMs = 60_000

/** The claim that this guardian made, by its number. */
interface Office {
  readonly number: number
  readonly claim: Claim
}

class Guardian {
  readonly #order: GuardianOrder
  readonly #token = randomToken()
  readonly #users = new Set<Socket>()
  #state: GuardianState = { kind: 'starting' }
  #office: Office | undefined
  #nats: RunningNats | undefined
  #linger = lingerMs
  #restarts = 0
  #idle: NodeJS.Timeout | undefined

  constructor(order: GuardianOrder) {
    this.#order = order
  }

  /** Returns at once when another guardian lives: then this process ends. */
  async start(): Promise<void> {
    const door = createServer((socket) => this.#welcome(socket))
    door.listen(0, '127.0.0.1')
    await once(door, 'listening')
    this.#office = await this.#claimFolder(portOf(door))
    if (this.#office === undefined) return void process.exit(0)
    const { number } = this.#office
    setInterval(() => void touchClaim(this.#order.dir, number), 1000).unref()
    if (this.#users.size === 0) this.#stopAfter(firstUserMs)
    await endOrphan(this.#order.dir)
    await this.#run()
  }

  /** Stops at once when nobody uses the server, else right after the last one. */
  stopWhenUnused(): void {
    this.#linger = 0
    if (this.#users.size === 0) void this.stop()
  }

  /** G4: the port is held to the end. */
  async stop(): Promise<void> {
    if (this.#isEnding()) return
    this.#enter({ kind: 'stopping' })
    await this.#nats?.child.end()
    await this.#leave()
    process.exit(0)
  }

  /** Tells the users why there is no server, and ends. */
  async giveUp(problem: unknown): Promise<void> {
    const reason = toError(problem).message
    console.error(`${new Date(systemClock.now()).toISOString()} ${reason}`)
    this.#enter({ kind: 'failed', reason })
    await this.#nats?.child.end()
    await this.#leave()
    await Promise.all([...this.#users].map(farewell))
    process.exit(1)
  }

  /** G1, G2: nothing when another guardian lives. */
  async #claimFolder(port: number): Promise<Office | undefined> {
    const { dir } = this.#order
    const { number, claim: newest } = await newestClaim(dir)
    if (newest && !newest.released && (await lives(dir, number, newest))) return undefined
    const claim = { pid: process.pid, host: hostname(), port, token: this.#token }
    return (await makeClaim(dir, number + 1, claim)) ? { number: number + 1, claim } : undefined
  }

  /** G3: somebody connects; who does not know the token is sent away. */
  #welcome(socket: Socket): void {
    const stranger = setTimeout(() => socket.destroy(), 5000)
    socket.on('error', () => {})
    eachLine(socket, (line) => {
      clearTimeout(stranger)
      if (line === this.#token) this.#admit(socket)
      else socket.destroy()
    })
    socket.on('close', () => {
      clearTimeout(stranger)
      if (this.#users.delete(socket) && this.#users.size === 0) this.#stopAfter(this.#linger)
    })
  }

  #admit(socket: Socket): void {
    clearTimeout(this.#idle)
    this.#users.add(socket)
    tell(socket, this.#state)
  }

  #stopAfter(ms: number): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => void this.stop(), ms)
  }

  #enter(state: GuardianState): void {
    this.#state = state
    for (const socket of this.#users) tell(socket, state)
  }

  #isEnding(): boolean {
    return this.#state.kind === 'stopping' || this.#state.kind === 'failed'
  }

  async #run(): Promise<void> {
    const { dir, binary } = this.#order
    this.#nats = await startNats(dir, binary, this.#nats?.port ?? (await this.#preferredPort()))
    const { port, version, child } = this.#nats
    // Asked to stop while it started: the wish came before there was a server to end.
    if (this.#isEnding()) return child.end()
    void child.exited.then(() => this.#restart())
    const url = `nats://127.0.0.1:${port}`
    await this.#publish({ pid: child.pid, port, url, version })
    this.#enter({ kind: 'ready', url, port, pid: child.pid, version })
  }

  /** The port of last time, where it is free: a client that was connected finds the server again. */
  async #preferredPort(): Promise<number> {
    if (this.#order.port !== 0) return this.#order.port
    const last = Number(await readFile(join(this.#order.dir, 'nats', 'port'), 'utf8').catch(() => 0))
    return Number.isInteger(last) && last > 0 && (await isFree(last)) ? last : 0
  }

  /** G7. */
  async #restart(): Promise<void> {
    if (this.#isEnding()) return
    if (++this.#restarts > mostRestarts) return this.giveUp(`nats-server ended ${this.#restarts} times within a minute`)
    setTimeout(() => this.#restarts--, restartPeriodMs).unref()
    this.#enter({ kind: 'starting' })
    await this.#run().catch((error: unknown) => this.giveUp(error))
  }

  async #publish(server: { pid: number; port: number; url: string; version: string }): Promise<void> {
    const { dir } = this.#order
    const startedAt = new Date(systemClock.now()).toISOString()
    const path = join(dir, 'server.json')
    await writeFile(`${path}.new`, `${JSON.stringify({ ...server, startedAt, guardian: process.pid }, null, 2)}\n`)
    await rename(`${path}.new`, path)
    await writeFile(join(dir, 'nats', 'port'), String(server.port))
  }

  /** Takes away what says that a server runs, unless the folder was removed and another guardian made it anew. */
  async #leave(): Promise<void> {
    const { dir } = this.#order
    const shown = await readFile(join(dir, 'server.json'), 'utf8').catch(() => '')
    if (shown.includes(`"guardian": ${process.pid}\n`)) await rm(join(dir, 'server.json'), { force: true })
    if (this.#office) await releaseClaim(dir, this.#office.number, this.#office.claim).catch(() => {})
  }
}

async function lives(dir: string, number: number, claim: Claim): Promise<boolean> {
  if (!isLocal(claim)) return isTouched(dir, number)
  const found = await attach(claim)
  if (found.kind === 'ready') found.socket.destroy()
  return found.kind !== 'dead'
}

function portOf(door: Server): number {
  const address = door.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

/** Closes a connection after what was written to it has gone out. */
function farewell(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.end(() => resolve()))
}

function tell(socket: Socket, state: GuardianState): void {
  socket.write(`${JSON.stringify(state)}\n`)
}

const guardian = new Guardian(JSON.parse(process.argv[2] ?? '{}') as GuardianOrder)
// G5. Even SIGTERM waits for the users: a machine that shuts down sends it to all, and workers must drain first.
for (const name of ['SIGINT', 'SIGHUP'] as const) process.on(name, () => {})
process.on('SIGTERM', () => guardian.stopWhenUnused())
await guardian.start().catch((error: unknown) => guardian.giveUp(error))
