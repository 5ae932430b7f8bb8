/** What a system watches of its process: rejections that a handler left behind, and an event loop that stands still. */
import type { RunContext } from './context.ts'
import { toError } from './errors.ts'
import { runOfScope } from './flow/scope.ts'
import { systemClock } from './time/clock.ts'

export interface ProcessWatchHost {
  /** A promise that nobody waits for was rejected; `run` is the message whose handler made it, if one did. */
  onLeak(error: Error, run: RunContext | undefined): void
  /** The event loop stood still for so long. */
  onBlocked(forMs: number): void
}

/** A stand-still of the event loop that is worth telling. */
const BLOCKED_MS = 1_000
const BEAT_MS = 100

/** Returns what ends the watch. */
export function watchProcess(host: ProcessWatchHost): () => void {
  const onLeak = (reason: unknown): void => host.onLeak(toError(reason), runOfScope())
  process.on('unhandledRejection', onLeak)
  let last = systemClock.monotonic()
  const beat = setInterval(() => {
    const now = systemClock.monotonic()
    if (now - last - BEAT_MS > BLOCKED_MS) host.onBlocked(now - last - BEAT_MS)
    last = now
  }, BEAT_MS)
  beat.unref()
  return () => {
    clearInterval(beat)
    process.off('unhandledRejection', onLeak)
  }
}
