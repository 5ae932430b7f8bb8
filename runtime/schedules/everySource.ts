/** `every: '15m'` as a kind of rule: absolute time, counted from an anchor. */

import { formatDuration, parseDuration, parseInstant } from '../time/duration.ts'
import { SECOND } from './civil.ts'
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

const everyWalk = (everyMs: number, anchorMs: number): Walk => ({
  next: (after) => anchorMs + (Math.floor((after - anchorMs) / everyMs) + 1) * everyMs,
  previous: (before) => anchorMs + (Math.ceil((before - anchorMs) / everyMs) - 1) * everyMs,
})
