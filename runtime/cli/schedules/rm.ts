/** `troupe schedules rm`. */
import { agreed, agreeFlags } from '../agree.ts'
import { command } from '../command.ts'
import { given } from '../input.ts'
import { counted, note, say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { scheduleTable } from './shown.ts'
import { whichFlag } from './which.ts'

export const rm = command({
  usage: 'ID…',
  count: [1, Infinity],
  flags: { ...whichFlag, ...agreeFlags },
  details: `Removes schedules, broken ones too. What was sent goes on, and what became of their runs can still be read. Asks first at a terminal.
One that is declared in code comes back with the next start or deploy.

Example:
  troupe schedules rm daily-digest`,
  async run({ args: ids, flags: { actor, ...flags }, isJson, ...rest }) {
    const which = given({ actor })
    return withTroupe(rest, async ({ schedules }) => {
      // All are looked up before any is removed.
      const found = await Promise.all(ids.map((id) => schedules.get(id, which)))
      if (!isJson) say(scheduleTable(found))
      const answer = await agreed(`remove ${counted(found.length, 'schedule')}`, flags, isJson)
      // Each was named: where nobody can be asked, that is enough.
      const isMeant = answer === 'yes' || answer === 'unasked'
      if (isMeant) for (const one of found) await schedules.remove(one.id, { actor: one.actor })
      if (isJson) return sayJson({ dryRun: !isMeant, removed: isMeant ? found.length : 0, schedules: found })
      return isMeant ? say(`removed ${counted(found.length, 'schedule')}`) : note('nothing was done')
    })
  },
})
