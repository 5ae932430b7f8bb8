/**
 * Planned times of runs as text, to the microsecond. Rules plan whole seconds; runs that are asked for (by hand, by a message that ended)
 * get a fraction that tells them apart, since any number of them may fall on one millisecond. As numbers they are epoch milliseconds
 * with a fraction of whole thousandths: exact enough in a double for the next two hundred years.
 */

/** RFC 3339 in UTC, with as much of a fraction as there is: `…:00Z`, `…:00.250Z`, `…:00.250017Z`. */
export function formatPlanned(ms: number): string {
  const micros = Math.round((ms - Math.floor(ms)) * 1_000)
  const text = new Date(micros === 1_000 ? Math.ceil(ms) : ms).toISOString()
  if (micros % 1_000 !== 0) return `${text.slice(0, -1)}${String(micros).padStart(3, '0')}Z`
  return text.endsWith('.000Z') ? `${text.slice(0, -5)}Z` : text
}

const TEXT = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{3})(\d{3})?)?Z$/

/** Epoch ms, or undefined for text that no planned time made. */
export function readPlanned(text: string): number | undefined {
  const [, seconds, ms = '000', micros = '000'] = TEXT.exec(text) ?? []
  const whole = seconds === undefined ? NaN : Date.parse(`${seconds}.${ms}Z`)
  return Number.isNaN(whole) ? undefined : plannedAt(whole, Number(micros))
}

/** A planned time in that millisecond, one of a thousand. */
export function plannedAt(ms: number, micros: number): number {
  return ms + micros / 1_000
}
