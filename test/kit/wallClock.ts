/**
 * The slow way to know when a rule is due: look at the wall clock at every minute, through Intl alone. It shares no code with
 * runtime/schedules/ (which takes offsets from luxon and never counts minutes), so that the two can be held against each other.
 */

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  formats.set(zone, format)
  return format
}

/** What the wall clock shows at a moment, as the epoch milliseconds that it would be in UTC. */
export function wallOf(zone: string, ms: number): number {
  const parts = formatOf(zone).format(ms).split(/\D+/).map(Number)
  const [month, day, year, hour, minute, second] = parts as [number, number, number, number, number, number]
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

/** The hours after which the offset of a zone is another one. */
export function changesOf(zone: string, fromYear: number, toYear: number): number[] {
  const offsetAt = (ms: number): number => wallOf(zone, ms) - ms
  const quarterDay = 21_600_000
  const changes: number[] = []
  for (let ms = Date.UTC(fromYear, 0); ms < Date.UTC(toYear + 1, 0); ms += quarterDay) {
    if (offsetAt(ms) === offsetAt(ms + quarterDay)) continue
    const hours = [0, 1, 2, 3, 4, 5].map((hour) => ms + hour * 3_600_000)
    changes.push(...hours.filter((hour) => offsetAt(hour) !== offsetAt(hour + 3_600_000)))
  }
  return changes
}

/** A stretch of wall clock, step by step. */
export interface Stretch {
  readonly from: number
  readonly until: number
  readonly step: number
  readonly walls: readonly number[]
}

/** The wall clock from a moment until another; `step` is a minute unless the rule has seconds. */
export function stretch(zone: string, from: number, until: number, step = 60_000): Stretch {
  const count = Math.floor((until - from) / step)
  return { from, until, step, walls: Array.from({ length: count }, (_, index) => wallOf(zone, from + index * step)) }
}

/**
 * The moments at which a rule of wall times is due: at a wall time's first moment (with `both` at every one), and once where the clock
 * jumps over one. What is only shown again at the beginning of the stretch would be taken for a first: begin it a day before any change.
 */
export function dueIn({ from, step, walls }: Stretch, matches: (wallMs: number) => boolean, both = false): number[] {
  const seen = new Set<number>()
  const due: number[] = []
  for (const [index, wall] of walls.entries()) {
    const before = index === 0 ? wall - step : (walls[index - 1] as number)
    let isDue = matches(wall) && (both || !seen.has(wall))
    for (let jumped = before + step; jumped < wall; jumped += step) if (matches(jumped)) isDue = true
    if (isDue) due.push(from + index * step)
    seen.add(wall)
  }
  return due
}

/** The parts of a wall time; weekday 0 is Sunday. */
export function partsOf(
  wallMs: number,
): Record<'year' | 'month' | 'day' | 'weekday' | 'hour' | 'minute' | 'second', number> {
  const date = new Date(wallMs)
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    weekday: date.getUTCDay(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  }
}
