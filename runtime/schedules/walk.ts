/**
 * What all kinds of rules become: something that knows its next and its previous time. Walks of wall times (cron, calendar,
 * RRULE) are laid over a zone in `zoned.ts`, and any walk through conditions in `conditioned.ts`.
 */

/** Times in ascending order, whole seconds. Both directions are strict: the given time itself is never the answer. */
export interface Walk {
  next(after: number): number | undefined
  previous(before: number): number | undefined
}

/** For rules that have no times of their own. */
export const noTimes: Walk = { next: () => undefined, previous: () => undefined }

/** A walk over a sorted list without repeats. */
export function listWalk(times: readonly number[]): Walk {
  return {
    next: (after) => times[firstIndex(times, (time) => time > after)],
    previous: (before) => times[firstIndex(times, (time) => time >= before) - 1],
  }
}

/** The index of the first one from which on `holds` is true; the length where it never is. By bisection. */
function firstIndex(times: readonly number[], holds: (time: number) => boolean): number {
  let [low, high] = [0, times.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(times[middle] as number)) high = middle
    else low = middle + 1
  }
  return low
}

export function sortedUnique(numbers: Iterable<number>): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b)
}
