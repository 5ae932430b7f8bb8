/** `troupe schedules trigger`. */
import type { Overlap } from '../../schedules/definition.ts'
import { command } from '../command.ts'
import { given } from '../input.ts'
import { say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { whichFlag } from './which.ts'

export const trigger = command({
  usage: 'ID',
  count: [1, 1],
  flags: {
    ...whichFlag,
    overlap: { value: 'POLICY', meaning: "while a run is not finished; default: the schedule's own policy" },
  },
  details: `Runs it now, paused or not. It is stored at once, and done as soon as a timer runs: "troupe schedules history" shows it.

Example:
  troupe schedules trigger daily-digest --overlap allow`,
  async run({ args: [id = ''], flags, isJson, ...rest }) {
    const options = given({ actor: flags.actor, overlap: flags.overlap as Overlap | undefined })
    const { key } = await withTroupe(rest, ({ schedules }) => schedules.trigger(id, options))
    return isJson ? sayJson({ id, key }) : say(`asked for a run of ${id}`)
  },
})
