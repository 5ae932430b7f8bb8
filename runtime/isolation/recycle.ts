/** When a thread or process has served long enough: pure. */
import type { RecycleRule } from './options.ts'

/** A rule as it holds for one member: with its share of chance. */
export interface RecycleMarks {
  readonly messages: number
  readonly bytes: number
  readonly ageMs: number
}

const NEVER: RecycleMarks = { messages: Infinity, bytes: Infinity, ageMs: Infinity }

/** `chance` from 0 to 1 shortens, so that members that were started together don't end together. Memory is not shortened. */
export function recycleMarks(rule: RecycleRule | undefined, chance: number): RecycleMarks {
  if (rule === undefined) return NEVER
  const share = 1 - rule.jitter * chance
  return {
    messages: Math.max(1, Math.round((rule.afterMessages ?? Infinity) * share)),
    bytes: rule.aboveBytes ?? Infinity,
    ageMs: (rule.atAgeMs ?? Infinity) * share,
  }
}

export interface Served {
  readonly messages: number
  readonly heldBytes: number
  readonly ageMs: number
}

export function isWornOut(marks: RecycleMarks, { messages, heldBytes, ageMs }: Served): boolean {
  return messages >= marks.messages || heldBytes > marks.bytes || ageMs >= marks.ageMs
}
