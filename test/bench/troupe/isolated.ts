/** The actor whose handlers the measure of isolation runs in threads and processes: what they load is this file. */
import { defineActor, type IsolationKind } from 'troupe'

import { nowMicros } from '../clock.ts'
import type { Payload } from '../payload.ts'

export interface Shape {
  readonly kind: IsolationKind
  /** Threads or processes. */
  readonly workers: number
  /** Messages at once in all of them. */
  readonly concurrency: number
}

export function isolated({ kind, workers, concurrency }: Shape) {
  return defineActor('bench', {
    concurrency,
    isolate: kind === 'inline' ? kind : { kind, workers, spares: 0 },
    module: import.meta.url,
    messages: {
      /** Says when it began, in microseconds that all processes share. */
      noop: (_payload: Payload) => nowMicros(),
      /** Until it is told to end. */
      hang: (_payload: Payload, { signal }) =>
        new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    },
  })
}

export const bench = isolated({ kind: 'inline', workers: 1, concurrency: 1 })
