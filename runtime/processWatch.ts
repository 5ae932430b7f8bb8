/** What a system watches of its process: rejections that a handler left behind, and an event loop that stands still. */
import type { Config } from '../config/index.ts'
import { BEAT_MS, type BeatSettings } from './broker/beats.ts'
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

/** What the keeper's thread needs to tell of this loop while it stands still. `logsElsewhere`: the lines have a logger of the program's. */
export function beatSettings(config: Config, memory: BeatSettings['memory'], logsElsewhere: boolean): BeatSettings {
  const { namespace, system, mailbox, events, logLevel: level, logFormat: format } = config
  return {
    memory,
    blockedAfterMs: mailbox.blockedAfterMs,
    namespace,
    system,
    tells: events !== 'off',
    log: logsElsewhere ? undefined : { level, format },
  }
}
