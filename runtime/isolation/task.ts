/** A run on its way through a pool: what is to run, and who waits for it. */
import type { RunContext } from '../context.ts'

export class Task {
  readonly name: string
  readonly payload: unknown
  readonly ctx: RunContext
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: Error) => void
  /** Begins its time limit, where it had to wait for a place. */
  #beginLimit: (() => void) | undefined

  constructor(
    what: { readonly name: string; readonly payload: unknown; readonly ctx: RunContext },
    resolve: (value: unknown) => void,
    reject: (error: Error) => void,
  ) {
    this.name = what.name
    this.payload = what.payload
    this.ctx = what.ctx
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
    this.ctx.onAbort = undefined
    this.#resolve(value)
  }
  failed(error: Error): void {
    this.ctx.onAbort = undefined
    this.#reject(error)
  }
}
