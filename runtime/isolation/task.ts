/** A run on its way through a pool: what is to run, and who waits for it. */
import type { RunContext } from '../context.ts'

export class Task {
  readonly payload: unknown
  readonly ctx: RunContext
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: Error) => void
  /** Begins its time limit, where it had to wait for a place. */
  #beginLimit: (() => void) | undefined

  constructor(payload: unknown, ctx: RunContext, resolve: (value: unknown) => void, reject: (error: Error) => void) {
    this.payload = payload
    this.ctx = ctx
    this.#resolve = resolve
    this.#reject = reject
  }

  /** There is no place for it now. */
  hold(): void {
    this.#beginLimit ??= this.ctx.holdLimit()
  }
  /** It has a place. */
  begin(): void {
    this.#beginLimit?.()
  }
  done(value: unknown): void {
    this.#resolve(value)
  }
  failed(error: Error): void {
    this.#reject(error)
  }
}
