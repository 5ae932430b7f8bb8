/** `every: '15m'` as a kind of rule: absolute time, counted from an anchor. */

import { formatDuration, parseDuration, parseInstant } from '../time/duration.ts'
import { FIRST_MS, LAST_MS, SECOND } from './civil.ts'
import { formatMoment } from './moments.ts'
import { readBy, refuse } from './refuse.ts'
import type { RuleObject, Source } from './source.ts'
import type { Walk } from './walk.ts'

export const everySource: Source = {
  options: ['anchor'],
  resolve({ every, anchor }, name) {
    const everyMs = readBy(parseDuration, every, `${name}.every`)
    if (everyMs < SECOND || everyMs % SECOND !== 0)
      refuse(`${name}.every`, 'a span of whole seconds, at least 1s', every)
    return {
      every: formatDuration(everyMs),
      ...(anchor === undefined ? {} : { anchor: readAnchor(anchor, `${name}.anchor`) }),
    }
  },
  walk: (rule) => everyWalk(parseDuration(rule['every'], 'every'), anchorOf(rule)),
}

function readAnchor(value: unknown, name: string): string {
  const ms = readBy(parseInstant, value, name)
  return ms % SECOND === 0 ? formatMoment(ms) : refuse(name, 'a moment in whole seconds', value)
}

const anchorOf = ({ anchor }: RuleObject): number => (anchor === undefined ? 0 : parseInstant(anchor, 'anchor'))

function everyWalk(everyMs: number, anchorMs: number): Walk {
  const at = (count: number): number | undefined => {
    const ms = anchorMs + count * everyMs
    return ms >= FIRST_MS && ms <= LAST_MS ? ms : undefined
  }
  return {
    next: (after) => at(Math.floor((Math.max(after, FIRST_MS - 1) - anchorMs) / everyMs) + 1),
    previous: (before) => at(Math.ceil((Math.min(before, LAST_MS + 1) - anchorMs) / everyMs) - 1),
  }
}
