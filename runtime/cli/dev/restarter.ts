/**
 * What `troupe dev` does when: one process runs the actors, one more waits at its gate for its turn.
 *
 *   running ──change, key──▶ stopping ──ended──▶ starting ──ready──▶ running
 *      └──ended by itself──▶ broken ──change, key──▶ starting
 *
 * 1. A process that ends by itself (a file that throws, a crash) is not started again until something changes: no loop.
 * 2. What changes while a process is being stopped or started counts: one more restart follows. What was imported by a
 *    process that broke is watched like the rest, also a file that it did not find.
 * 3. The spare is spawned once the new process runs, so that they don't compete, and taken when its turn comes; where it
 *    died or is not there yet, a new one is spawned and its gate opened at once.
 */
import { systemClock } from '../../time/clock.ts'
import { Child } from './child.ts'

export interface RestarterHost {
  /** The command line of each process: `start`, files, flags. */
  readonly args: readonly string[]
  /** What a process gets to drain: ms. */
  readonly withinMs: number
  onFiles(paths: readonly string[]): void
  onMissing(paths: readonly string[]): void
  /** Its system runs, so long after it was asked for. */
  onReady(ms: number): void
  /** It ended by itself, with that code or signal. */
  onBroken(how: number | NodeJS.Signals): void
}

export class Restarter {
  readonly #host: RestarterHost
  #current: Child | undefined
  #spare: Child | undefined
  #working: Promise<void> | undefined
  #isWanted = false
  #closed = false

  constructor(host: RestarterHost) {
    this.#host = host
  }

  /** Stops what runs and starts it anew; called again meanwhile, once more afterwards. */
  restart(): void {
    if (this.#closed) return
    this.#isWanted = true
    this.#working ??= this.#work().finally(() => (this.#working = undefined))
  }

  async stop(): Promise<void> {
    this.#closed = true
    this.#spare?.kill()
    await this.#working
    await this.#current?.stop(this.#host.withinMs)
    this.#spare?.kill()
    await this.#spare?.ended
  }

  /** A second Ctrl-C: nobody waits any more. */
  kill(): void {
    this.#current?.kill()
    this.#spare?.kill()
  }

  async #work(): Promise<void> {
    while (this.#isWanted && !this.#closed) {
      this.#isWanted = false
      const from = systemClock.monotonic()
      const old = this.#current
      this.#current = undefined
      await old?.stop(this.#host.withinMs)
      if (!this.#closed) await this.#start(from)
    }
  }

  /** Resolves when it runs, or has ended. */
  async #start(from: number): Promise<void> {
    const child = this.#spare === undefined || this.#spare.hasEnded ? this.#spawn() : this.#spare
    this.#spare = undefined
    this.#current = child
    const ready = new Promise<void>((resolve) => this.#ready.set(child, resolve))
    child.go()
    void child.ended.then((how) => this.#onEnded(child, how))
    const isReady = await Promise.race([ready.then(() => true), child.ended.then(() => false)])
    this.#ready.delete(child)
    if (!isReady || this.#closed) return
    this.#host.onReady(systemClock.monotonic() - from)
    this.#spare = this.#spawn()
  }

  readonly #ready = new Map<Child, () => void>()

  #spawn(): Child {
    const child: Child = new Child(this.#host.args, {
      onFiles: (paths) => this.#host.onFiles(paths),
      onMissing: (paths) => this.#host.onMissing(paths),
      onReady: () => this.#ready.get(child)?.(),
    })
    return child
  }

  #onEnded(child: Child, how: number | NodeJS.Signals): void {
    if (this.#current !== child || this.#closed) return
    this.#current = undefined
    this.#host.onBroken(how)
    // The next change finds one that waits.
    if (this.#spare === undefined || this.#spare.hasEnded) this.#spare = this.#spawn()
  }
}
