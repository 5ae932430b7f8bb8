/**
 * The keeper: the thread that extends leases while this thread's event loop may be blocked. leases.ts has the rules.
 *
 * One keeper serves all workers of a system. It has a connection of its own, and ends with the system.
 */
import { Worker } from 'node:worker_threads'

import { toError } from '../errors.ts'
import { clockOffset } from '../time/clock.ts'
import type { BeatSettings } from './beats.ts'
import type { NatsSettings } from './dial.ts'
import { Leases } from './leases.ts'

export type KeeperMessage =
  | {
      readonly kind: 'table'
      readonly table: number
      readonly memory: SharedArrayBuffer
      readonly leaseMs: number
      /** Whether the handlers of what stands in it run on the event loop of the thread that writes it. */
      readonly isInline: boolean
    }
  | { readonly kind: 'prefix'; readonly table: number; readonly number: number; readonly prefix: string }
  | { readonly kind: 'drop'; readonly table: number }
  | { readonly kind: 'stop' }

export interface KeeperData {
  readonly settings: NatsSettings
  /** `monotonic()` of the thread that reads the table = the machine's monotonic time minus this. */
  readonly clockOffset: number
  readonly beats: BeatSettings
}

const STOP_MS = 2_000

export class Keeper {
  readonly #thread: Worker
  readonly #exited: Promise<void>
  #tables = 0
  #stopping = false

  private constructor(thread: Worker, onFailure: (error: Error) => void) {
    this.#thread = thread
    this.#exited = new Promise((resolve) => thread.once('exit', () => resolve()))
    thread.on('error', onFailure)
    thread.on('exit', (code) => this.#stopping || onFailure(new Error(`the keeper thread ended with ${code}`)))
    thread.unref()
  }

  /** Starts the thread and waits for its connection. `onFailure` is told if it ever ends by itself: leases are unsafe then. */
  static async start(settings: NatsSettings, beats: BeatSettings, onFailure: (error: Error) => void): Promise<Keeper> {
    const workerData: KeeperData = { settings, clockOffset: clockOffset(), beats }
    const thread = new Worker(new URL('keeperThread.js', import.meta.url), {
      workerData,
      name: 'troupe-keeper',
      // It is a plain file: what the program was started with (a loader, --input-type) would slow it or break it.
      execArgv: [],
    })
    await new Promise<void>((resolve, reject) => {
      thread.once('message', () => resolve())
      thread.once('error', (error) => reject(toError(error)))
    })
    return new Keeper(thread, onFailure)
  }

  /** A table of leases that this thread writes and the keeper extends; to the keeper each piece of it is a table. */
  leases(leaseMs: number, capacity: number, isInline: boolean): { leases: Leases; drop: () => void } {
    const tables: number[] = []
    const prefixes: { readonly number: number; readonly prefix: string }[] = []
    const leases = new Leases(leaseMs, capacity, {
      onMemory: (memory) => {
        const table = this.#tables++
        tables.push(table)
        this.#tell({ kind: 'table', table, memory, leaseMs, isInline })
        for (const known of prefixes) this.#tell({ kind: 'prefix', table, ...known })
      },
      onPrefix: (number, prefix) => {
        prefixes.push({ number, prefix })
        for (const table of tables) this.#tell({ kind: 'prefix', table, number, prefix })
      },
    })
    const drop = (): void => {
      for (const table of tables) this.#tell({ kind: 'drop', table })
    }
    return { leases, drop }
  }

  async stop(): Promise<void> {
    if (this.#stopping) return this.#exited
    this.#stopping = true
    this.#tell({ kind: 'stop' })
    // It closes its connection first; where that hangs, nothing is lost by ending it.
    const timer = setTimeout(() => void this.#thread.terminate(), STOP_MS)
    await this.#exited
    clearTimeout(timer)
  }

  #tell(message: KeeperMessage): void {
    this.#thread.postMessage(message)
  }
}
