/** `troupe schedules export` and `troupe schedules import`. */
import type { ExportedSchedules } from '../../schedules/schedules.ts'
import { command } from '../command.ts'
import { given, payloadOf } from '../input.ts'
import { counted, note, say, sayJson, toJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { putText } from './put.ts'

export const exportAll = command({
  usage: '',
  count: [0, 0],
  flags: { actor: { value: 'ACTOR', meaning: 'those whose messages are for this actor; default: all' } },
  details: `Prints the definitions of all schedules as JSON that "import" takes, payloads included. What has become of them (runs, counts, pauses) and
broken ones are left out.

Example:
  troupe schedules export > schedules.json`,
  async run({ flags: { actor }, isJson, ...rest }) {
    const exported = await withTroupe(rest, ({ schedules }) => schedules.export(given({ actor })))
    if (isJson) return sayJson(exported)
    say(toJson(exported, 2))
    note(counted(Object.keys(exported.schedules).length, 'schedule'))
  },
})

export const importAll = command({
  usage: 'FILE | -',
  count: [1, 1],
  flags: {},
  details: `Puts what "export" printed. All are checked before any is put; those that are there already are changed in place, others are left alone.

Examples:
  troupe schedules import schedules.json
  troupe schedules export --servers nats://old:4222 | troupe schedules import - --servers nats://new:4222`,
  async run({ args: [file = '-'], isJson, ...rest }) {
    const exported = await payloadOf(file === '-' ? file : `@${file}`)
    const results = await withTroupe(rest, ({ schedules }) => schedules.import(exported as ExportedSchedules))
    if (isJson) return sayJson(results)
    for (const result of results) say(putText(result))
    note(counted(results.length, 'schedule'))
  },
})
