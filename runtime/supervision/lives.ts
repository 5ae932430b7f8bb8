/** Beginning and ending one life of a child, within its times. */
import { toError } from '../errors.ts'
import { sleep, type Clock } from '../time/clock.ts'
import type { Child } from './child.ts'
import type { Entry } from './entry.ts'

/** A new life that works, or why there is none. Failed lives that still end are at most two: the older of them is waited for. */
export async function startLife(entry: Entry, signal: AbortSignal, clock: Clock): Promise<Child | Error> {
  while (entry.leaving.size > 1) await Promise.race(entry.leaving.values())
  try {
    signal.throwIfAborted()
    const child = entry.beginLife()
    await child.start(signal)
    entry.live(clock)
    return child
  } catch (error) {
    entry.end()
    return toError(error)
  }
}

/** Resolves when it has stopped, or with the error of one that failed to, or did not in its time and the time to give it up. */
export async function stopLife(
  child: Child,
  withinMs: number,
  overdueMs: number,
  clock: Clock,
): Promise<Error | undefined> {
  const over = new AbortController()
  try {
    const stopped = child.stop(withinMs)
    await (withinMs === Infinity ? stopped : Promise.race([stopped, late(withinMs, overdueMs, over.signal, clock)]))
    return undefined
  } catch (error) {
    return toError(error)
  } finally {
    over.abort()
  }
}

/** Resolves when nothing of failed lives is left. */
export async function allGone(entries: readonly Entry[]): Promise<void> {
  await Promise.all(entries.flatMap(({ leaving }) => [...leaving.values()]))
}

async function late(withinMs: number, overdueMs: number, signal: AbortSignal, clock: Clock): Promise<never> {
  await sleep(withinMs + overdueMs, signal, clock)
  throw new Error(`expected it to stop within ${Math.round(withinMs)} ms, but it has not after ${overdueMs} ms more`)
}
