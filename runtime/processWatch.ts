/** What a system watches of its process: rejections that a handler left behind, and an event loop that stands still. */
import { BEAT_MS } from './broker/beats.ts'
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

export interface ProcessWatchSettings {
  /** A stand-still of the event loop that is worth telling: ms. */
  readonly blockedAfterMs: number
  /** Where each beat of the loop is written, for a thread that watches it while it stands still (broker/beats.ts). */
  readonly beats: SharedArrayBuffer
}

/** Returns what ends the watch. */
export function watchProcess(host: ProcessWatchHost, { blockedAfterMs, beats }: ProcessWatchSettings): () => void {
  const onLeak = (reason: unknown): void => host.onLeak(toError(reason), runOfScope())
  process.on('unhandledRejection', onLeak)
  const shared = new Float64Array(beats)
  let last = systemClock.monotonic()
  shared[0] = last
  const beat = setInterval(() => {
    const now = systemClock.monotonic()
    shared[0] = now
    if (now - last - BEAT_MS > blockedAfterMs) host.onBlocked(now - last - BEAT_MS)
    last = now
  }, BEAT_MS)
  beat.unref()
  return () => {
    clearInterval(beat)
    process.off('unhandledRejection', onLeak)
  }
}
