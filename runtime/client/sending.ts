/**
 * What is wrapped around sending: around `send`, `ask`, each message of `sendMany`, and the same in handlers, also where those run in
 * threads or processes. Composed once, when a connection is made.
 */
import type { SendOptions } from './options.ts'

/** A message on its way out. */
export interface Outgoing {
  readonly kind: 'send' | 'ask'
  readonly actor: string
  readonly message: string
  readonly payload: unknown
  readonly options: SendOptions
  /** Ids of the message whose handler sends it, and of the one that began their tree; undefined outside of handlers. */
  readonly from: { readonly id: string; readonly root: string } | undefined
}

/**
 * Runs around a sending. `next(outgoing)` goes on with it: with the same, or with another payload or other options, which are
 * checked as if the sender had given them. To whom it goes can't be changed. It resolves when the message is stored, of an `ask` with the
 * outcome; what it resolves with is to be returned. To throw instead refuses the message: the sender gets that error.
 */
export type SendMiddleware = <T>(outgoing: Outgoing, next: (outgoing: Outgoing) => Promise<T>) => Promise<T>

/** All of them as one, the first outermost; undefined where there is none, so that nothing is paid for it. */
export function composeSending(middleware: readonly SendMiddleware[]): SendMiddleware | undefined {
  const [first, ...rest] = middleware
  if (first === undefined) return undefined
  const inner = composeSending(rest)
  if (inner === undefined) return first
  return (outgoing, next) => first(outgoing, (changed) => inner(changed, next))
}
