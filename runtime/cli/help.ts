/** `troupe help`. */
import { command } from './command.ts'
import { commands, findCommand, groupOf } from './commands.ts'
import { commandHelp, overview, settingsHelp } from './helpText.ts'
import { say } from './print.ts'

export const help = command({
  usage: '[COMMAND | settings]',
  count: [0, 2],
  flags: {},
  details: '',
  async run({ args }) {
    const [first] = args
    if (first === undefined) return say(overview())
    if (first === 'settings') return say(settingsHelp())
    const members = args.length === 1 && !commands.has(first) ? groupOf(first) : []
    const names = members.length === 0 ? [args] : members.map((member) => [first, member])
    const found = await Promise.all(names.map((words) => findCommand(words)))
    say(found.map(({ name, summary, command: one }) => commandHelp(name, summary, one)).join('\n\n---\n\n'))
  },
})
