/** Every kind of time rule, by the key that makes it one. */

import { calendarSource } from './calendar.ts'
import { cronSource } from './cronSource.ts'
import { everySource } from './everySource.ts'
import { rruleSource } from './rrule.ts'
import type { Source } from './source.ts'
import { sunSource } from './sun.ts'
import { timesSource } from './timesSource.ts'

export const sources = {
  cron: cronSource,
  every: everySource,
  calendar: calendarSource,
  rrule: rruleSource,
  times: timesSource,
  sun: sunSource,
} satisfies Readonly<Record<string, Source>>

export type Kind = keyof typeof sources

export const kinds = Object.keys(sources) as readonly Kind[]

/** The kind of a rule's times; `undefined` where it has none of its own. */
export const kindOf = (rule: object): Kind | undefined => kinds.find((kind) => kind in rule)
