/** `troupe dead ls`. */
import type { DeadLetter } from '../../client/dead.ts'
import { command } from '../command.ts'
import { countOf, given } from '../input.ts'
import { note, say, sayJson } from '../print.ts'
import { revealFlag, shown } from '../reveal.ts'
import { withTroupe } from '../session.ts'
import { filterFlags, filterOf } from './filter.ts'
import { letterData, letterTable } from './letters.ts'

const MOST_SHOWN = 100

export const ls = command({
  usage: '',
  count: [0, 0],
  flags: {
    ...filterFlags,
    ...revealFlag,
    limit: { value: 'NUMBER', meaning: `most letters to list; default ${MOST_SHOWN}, with --json all` },
  },
  details: `Examples:
  troupe dead ls --actor mailer --since 1h
  troupe dead ls --reason invalid --json`,
  async run({ flags: { reveal, ...flags }, isJson, ...rest }) {
    const filter = filterOf(flags)
    const limit = countOf(flags.limit, 'limit') ?? (isJson ? undefined : MOST_SHOWN)
    const letters = await withTroupe(rest, async ({ dead }, { secrets }) => {
      const found: DeadLetter[] = []
      for await (const letter of dead.list(filter, given({ limit })))
        found.push(shown(letter, reveal ? undefined : secrets))
      return found
    })
    if (isJson) return sayJson(letters.map(letterData))
    if (letters.length === 0) return note('no dead letter matches')
    say(letterTable(letters))
    if (letters.length === limit) note(`these are the oldest ${limit}; there may be more: --limit NUMBER`)
  },
})
