/** `troupe schedules pause` and `troupe schedules resume`. */
import { command } from '../command.ts'
import { given } from '../input.ts'
import { say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { utc } from './shown.ts'
import { whichFlag } from './which.ts'

export const pause = command({
  usage: 'ID',
  count: [1, 1],
  flags: { ...whichFlag, note: { value: 'TEXT', meaning: 'why, for whoever finds it paused' } },
  details: `Nothing is planned until it is resumed; what was sent goes on.

Example:
  troupe schedules pause daily-digest --note 'the mail server moves'`,
  async run({ args: [id = ''], flags: { actor, note }, isJson, ...rest }) {
    const schedule = await withTroupe(rest, ({ schedules }) => schedules.pause(id, given({ actor, note })))
    return isJson ? sayJson(schedule) : say(`paused ${id}`)
  },
})

export const resume = command({
  usage: 'ID',
  count: [1, 1],
  flags: { ...whichFlag, note: { value: 'TEXT', meaning: "becomes the schedule's note" } },
  details: `What would have been planned meanwhile is not caught up: "troupe schedules backfill" does that.

Example:
  troupe schedules resume daily-digest`,
  async run({ args: [id = ''], flags: { actor, note }, isJson, ...rest }) {
    const schedule = await withTroupe(rest, ({ schedules }) => schedules.resume(id, given({ actor, note })))
    const { next, state } = schedule
    return isJson ? sayJson(schedule) : say(`resumed ${id}: ${next === undefined ? state : `next at ${utc(next)}`}`)
  },
})
