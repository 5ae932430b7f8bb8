/**
 * What a supervisor looks after: something that is started once and stopped once. Who restarts it makes a new one, so nothing of
 * what failed is taken along.
 */

/** How a child ended that nobody stopped, in OTP's words: `normal` and `shutdown` are as they should be, `failed` is not. */
export type Exit =
  /** It had nothing left to do. */
  | { readonly kind: 'normal' }
  /** It was told to end, or a supervisor gave up and ended: in order, but not by its own work. */
  | { readonly kind: 'shutdown'; readonly error?: Error }
  | { readonly kind: 'failed'; readonly error: Error }

export interface Child {
  /**
   * Resolves when it works. Where it can't, it rejects and leaves nothing running. The signal aborts when it is to be stopped
   * before it has got that far.
   */
  start(signal: AbortSignal): Promise<void>
  /** Takes nothing new from this moment on; what was begun goes on. Its `stop` follows. */
  quiet?(): void
  /** Ends it: what runs has `withinMs` to end by itself. Resolves when all has ended, or was given up. Safe to call again. */
  stop(withinMs: number): Promise<void>
  /** A second request to stop: what runs gets no more time. */
  hurry?(): void
  /** Resolves, once, when it has ended by itself; what of it still runs is ended by `stop`. */
  readonly ended: Promise<Exit>
}

/** An end that can be told once; later ones are ignored. */
export class Ending {
  readonly ended: Promise<Exit>
  #tell: (exit: Exit) => void = () => {}

  constructor() {
    this.ended = new Promise((resolve) => (this.#tell = resolve))
  }

  end(exit: Exit): void {
    this.#tell(exit)
  }
}
