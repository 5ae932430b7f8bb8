/**
 * One process of `troupe dev`: spawned early, it waits at its gate (boot.ts) until it is its turn, runs `troupe start`, and is
 * stopped as a signal would stop it.
 *
 * It leads a process group of its own, so that Ctrl-C in the terminal reaches only its parent, which stops it in order.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { sleep } from '../../time/clock.ts'
import type { FromChild } from './boot.ts'

export interface ChildHooks {
  /** Its system runs. */
  onReady(): void
  /** It imports these files. */
  onFiles(paths: readonly string[]): void
  /** It wants these files, and they were not there. */
  onMissing(paths: readonly string[]): void
}

/** After the signal, beyond what its system was given: a handler that can't be stopped must not stop `dev`. */
const KILL_AFTER_MS = 5_000

export class Child {
  readonly #process: ChildProcess
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
  #hasEnded = false

  constructor(args: readonly string[], hooks: ChildHooks) {
    const boot = new URL('boot.js', import.meta.url).href
    const main = fileURLToPath(new URL('../main.js', import.meta.url))
    // A loader of our own parent (tsx, --import) would be there twice.
    this.#process = spawn(process.execPath, ['--import', boot, main, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    })
    this.ended = new Promise((resolve) => {
      this.#process.once('error', () => resolve(1))
      this.#process.once('exit', (code, signal) => resolve(code ?? signal ?? 1))
    })
    void this.ended.then(() => (this.#hasEnded = true))
    this.#process.on('message', (message: FromChild) => {
      if (message === 'ready') hooks.onReady()
      else if (message.kind === 'files') hooks.onFiles(message.paths)
      else if (message.kind === 'missing') hooks.onMissing(message.paths)
    })
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Opens its gate. It opens at once where the process is not there yet. */
  go(): void {
    if (this.#process.connected) this.#process.send('go', () => {})
  }

  /** Lets it drain for `withinMs`, then ends it whatever it does. */
  async stop(withinMs: number): Promise<void> {
    if (this.#hasEnded) return
    this.#process.kill('SIGTERM')
    const over = new AbortController()
    const late = sleep(withinMs + KILL_AFTER_MS, over.signal).then(() => this.kill())
    late.catch(() => {})
    await this.ended
    over.abort()
  }

  /** For one that still waits at its gate, or is beyond help. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }
}
