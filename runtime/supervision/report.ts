/** What a supervisor tells of its children: one closed list. `supervisor` and `child` are names in the tree. */
import type { Exit } from './child.ts'
import type { Strategy } from './decide.ts'

interface About {
  readonly supervisor: string
  readonly child: string
}

export type Report =
  /** Its start ended well; `life` is 1 for the first. */
  | (About & { readonly kind: 'started'; readonly life: number })
  /** It was told to stop, and has. */
  | (About & { readonly kind: 'stopped' })
  /** It ended by itself, as it may. */
  | (About & { readonly kind: 'ended'; readonly exit: Exit; readonly upMs: number })
  | (About & { readonly kind: 'failed'; readonly error: Error; readonly upMs: number })
  /** It could not be started; `tries` counts those in a row. */
  | (About & { readonly kind: 'start-failed'; readonly error: Error; readonly tries: number })
  /** These are stopped now, those started after the wait; `restarts` so far within the period. */
  | (About & {
      readonly kind: 'restarting'
      readonly strategy: Strategy
      readonly stop: readonly string[]
      readonly start: readonly string[]
      readonly afterMs: number
      readonly restarts: number
    })
  /** It was told to stop and failed to, or did not in time: it is left behind. */
  | (About & { readonly kind: 'stop-failed'; readonly error: Error })
  /** More restarts than the supervisor may make: it ends, and its own supervisor decides. `child` is the last that failed. */
  | (About & { readonly kind: 'gave-up'; readonly error: Error })
  /** Significant children have ended: the supervisor ends in order. */
  | (About & { readonly kind: 'shut-down' })

/** The same without the name of the supervisor that tells it. */
export type Told = Report extends infer R ? (R extends Report ? Omit<R, 'supervisor'> : never) : never
