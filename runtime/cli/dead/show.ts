/** `troupe dead show`. */
import { command } from '../command.ts'
import { usage } from '../parse.ts'
import { say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { filterFlags, filterOf } from './filter.ts'
import { letterData, letterText } from './letters.ts'

export const show = command({
  usage: 'ID',
  count: [0, 1],
  flags: filterFlags,
  details: `Where an id died more than once, the newest is shown; --sequence shows an earlier one.`,
  async run({ args, flags, isJson, ...rest }) {
    const filter = filterOf({ ...flags, id: args[0] ?? flags.id })
    const { id } = filter
    if (id === undefined) throw usage('expected the id of a dead letter, got none. "troupe dead ls" lists them.')
    const letter = await withTroupe(rest, ({ dead }) => dead.show(id, filter))
    return isJson ? sayJson(letterData(letter)) : say(letterText(letter))
  },
})
