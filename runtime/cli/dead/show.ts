/** `troupe dead show`. */
import { command } from '../command.ts'
import { usage } from '../parse.ts'
import { say, sayJson } from '../print.ts'
import { revealFlag, shown } from '../reveal.ts'
import { withTroupe } from '../session.ts'
import { filterFlags, filterOf } from './filter.ts'
import { letterData, letterText } from './letters.ts'

export const show = command({
  usage: 'ID',
  count: [0, 1],
  flags: { ...filterFlags, ...revealFlag },
  details: `Where an id died more than once, the newest is shown; --sequence shows an earlier one. What is named like a secret (password, token, …,
and the words of the setting "secrets") is hidden, unless --reveal is given.`,
  async run({ args, flags: { reveal, ...flags }, isJson, ...rest }) {
    const filter = filterOf({ ...flags, id: args[0] ?? flags.id })
    const { id } = filter
    if (id === undefined) throw usage('expected the id of a dead letter, got none. "troupe dead ls" lists them.')
    const letter = await withTroupe(rest, async ({ dead }, { secrets }) =>
      shown(await dead.show(id, filter), reveal ? undefined : secrets),
    )
    return isJson ? sayJson(letterData(letter)) : say(letterText(letter))
  },
})
