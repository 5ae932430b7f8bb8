/** A child as its supervisor is told of it. */
import type { Child } from './child.ts'
import type { Restart } from './decide.ts'

export interface ChildSpec {
  readonly id: string
  readonly kind: 'worker' | 'supervisor'
  readonly restart: Restart
  readonly significant: boolean
  /** Its time to stop: ms; `Infinity` for a supervisor, whose children have theirs. */
  readonly stopWithinMs: number
  /** It was given none of its own: when all is stopped, it has as long as all have. */
  readonly isTimeDefault?: boolean
  /** How much longer it may take to give up what did not stop: ms. */
  readonly overdueMs: number
  /** A new life, not started yet. */
  make(): Child
}
