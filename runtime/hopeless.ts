/**
 * When a system without a connection gives up: what runs its process may start it where NATS can be reached, or with
 * credentials that are good.
 *
 * A server that is away comes back, and work then goes on by itself: so by default nothing is given up, however long that
 * takes. Credentials that are refused are another matter: files were read at the start, and only a new start reads them again.
 */
import type { Away, Connection } from './broker/connection.ts'
import { UnavailableError } from './errors.ts'
import { systemClock } from './time/clock.ts'
import { formatDuration } from './time/duration.ts'

/** Refused for so long, where nothing else is said: an operator who changes accounts takes a moment. */
export const REFUSED_MS = 60_000
const LOOK_MS = 250

/** Whether to give up: pure. `giveUpAfterMs` undefined: never while it is only away. */
export function isHopeless({ since, isRefused }: Away, giveUpAfterMs: number | undefined, now: number): boolean {
  const limitMs = giveUpAfterMs ?? (isRefused ? REFUSED_MS : Infinity)
  return now - since >= limitMs
}

/** Calls `giveUp` once, when it is hopeless. Returns what ends the watch. */
export function watchHope(
  connection: Connection,
  giveUpAfterMs: number | undefined,
  giveUp: (error: Error) => void,
): () => void {
  const timer = setInterval(() => {
    const { away } = connection
    const now = systemClock.monotonic()
    if (away === undefined || !isHopeless(away, giveUpAfterMs, now)) return
    clearInterval(timer)
    giveUp(hopeless(away, now - away.since))
  }, LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

const LAST_MOMENT_MS = 2_000

/** Stops what there is; then its program is told, or its process ends with code 1. */
export async function afterGivingUp(
  error: Error,
  stop: () => Promise<void>,
  onGiveUp: ((error: Error) => void) | undefined,
): Promise<void> {
  // First: whoever waits for the stop may end the process itself.
  if (onGiveUp === undefined) process.exitCode = 1
  await stop()
  if (onGiveUp !== undefined) return onGiveUp(error)
  // A program that holds on to nothing else ends by itself; one that does has a moment to close it.
  setTimeout(() => process.exit(1), LAST_MOMENT_MS).unref()
}

function hopeless({ isRefused }: Away, forMs: number): UnavailableError {
  const why = isRefused ? 'NATS refuses our credentials' : 'NATS could not be reached'
  const text = `expected a connection to NATS, but ${why} for ${formatDuration(Math.round(forMs / 1_000) * 1_000)} (nats.giveUpAfter)`
  return new UnavailableError('DISCONNECTED', text, { data: { isRefused, forMs } })
}
