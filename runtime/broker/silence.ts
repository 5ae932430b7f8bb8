/**
 * Notices a connection that is up but silent: its packets are lost on the way, and TCP alone would tell only after minutes.
 *
 * A PING is always on its way. Silent is a connection on which neither its PONG nor any message came for so long, counted in
 * beats of this thread: while the event loop stands still no beat passes, so a blocked loop is not taken for a dead line.
 */
import type { NatsConnection } from '@nats-io/transport-node'

export interface Line {
  readonly raw: Pick<NatsConnection, 'flush' | 'stats'>
  readonly connected: boolean
  readonly closed: boolean
}

const LONGEST_BEAT_MS = 500
const BEATS = 10

/** Returns what ends the watch. */
export function watchSilence(line: Line, afterMs: number, onSilent: (forMs: number) => void): () => void {
  const beatMs = Math.min(LONGEST_BEAT_MS, afterMs / BEATS)
  let isAsking = false
  let beats = 0
  let heard = 0
  const ask = (): void => {
    isAsking = true
    beats = 0
    const answered = (): void => void (isAsking = false)
    line.raw.flush().then(answered, answered)
  }
  const beat = (): void => {
    if (!line.connected || line.closed) return void (beats = 0)
    const { inMsgs } = line.raw.stats()
    if (inMsgs !== heard) beats = 0
    heard = inMsgs
    if (!isAsking) return ask()
    if (++beats * beatMs < afterMs) return
    beats = 0
    onSilent(afterMs)
  }
  const timer = setInterval(beat, beatMs)
  timer.unref()
  return () => clearInterval(timer)
}
