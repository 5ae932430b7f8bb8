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

/** The times of both. */
export function merged(one: Walk, other: Walk): Walk {
  const pick = (choose: (a: number, b: number) => number, a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? (a ?? b) : choose(a, b)
  return {
    next: (after) => pick(Math.min, one.next(after), other.next(after)),
    previous: (before) => pick(Math.max, one.previous(before), other.previous(before)),
  }
}

/** All times but those of a set. */
export function except(walk: Walk, excluded: ReadonlySet<number>): Walk {
  const skip = (at: number | undefined, beyond: (at: number) => number | undefined): number | undefined => {
    let candidate = at
    while (candidate !== undefined && excluded.has(candidate)) candidate = beyond(candidate)
    return candidate
  }
  return {
    next: (after) => skip(walk.next(after), (at) => walk.next(at)),
    previous: (before) => skip(walk.previous(before), (at) => walk.previous(at)),
  }
}

/** The times from a moment until another, both included. */
export function within(walk: Walk, first: number, last: number): Walk {
  const inside = (at: number | undefined): number | undefined =>
    at === undefined || at < first || at > last ? undefined : at
  return {
    next: (after) => (after >= last ? undefined : inside(walk.next(Math.max(after, first - 1)))),
    previous: (before) => (before <= first ? undefined : inside(walk.previous(Math.min(before, last + 1)))),
  }
}
