/** `troupe schedules ls`. */
import type { Schedule } from '../../schedules/view.ts'
import { command } from '../command.ts'
import { given } from '../input.ts'
import { usage } from '../parse.ts'
import { note, say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { scheduleTable } from './shown.ts'

const states = ['active', 'paused', 'finished', 'broken'] as const

export const ls = command({
  usage: '',
  count: [0, 0],
  flags: {
    actor: { value: 'ACTOR', meaning: 'those whose messages are for this actor' },
    state: { value: 'STATE', meaning: `those in this state: ${states.join(', ')}` },
  },
  details: `NEXT is the next planned time, LAST that of the last run. A schedule that is declared in code and was changed since is marked "edited"; one
whose record can't be read is "broken", with the reason in place of its rule.

Examples:
  troupe schedules ls
  troupe schedules ls --actor mailer --state paused --json`,
  async run({ flags: { actor, state }, isJson, ...rest }) {
    const wanted = stateOf(state)
    const all = await withTroupe(rest, ({ schedules }) => schedules.list(given({ actor })))
    const found = all.filter((one) => wanted === undefined || one.state === wanted)
    const sorted = found.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    if (isJson) return sayJson(sorted)
    if (sorted.length === 0) return note(all.length === 0 ? 'there is no schedule' : 'no schedule matches')
    say(scheduleTable(sorted))
  },
})

function stateOf(text: string | undefined): Schedule['state'] | undefined {
  const state = states.find((one) => one === text)
  if (text === undefined || state !== undefined) return state
  throw usage(`expected --state to be one of ${states.join(', ')}, got: ${JSON.stringify(text)}`)
}
