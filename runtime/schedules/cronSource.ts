/** `cron: '0 8 * * mon-fri'` as a kind of rule. */

import { cronWalk, parseCron, tidyCron } from './cron.ts'
import type { Source } from './source.ts'
import { zoned } from './zoned.ts'

export const cronSource: Source = {
  options: [],
  resolve({ cron }, name) {
    parseCron(cron, `${name}.cron`)
    return { cron: tidyCron(cron as string) }
  },
  walk: ({ cron }, zone, repeated) => zoned(cronWalk(parseCron(cron, 'cron')), zone, repeated),
}
