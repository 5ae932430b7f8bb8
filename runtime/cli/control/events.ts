/** `troupe events`. */
import { askAllSystems, askSystem } from '../../broker/control.ts'
import { checkName } from '../../broker/subjects.ts'
import { ActorError } from '../../errors.ts'
import { EVENT_LEVELS } from '../../events.ts'
import { checkLevel, type LevelAnswer } from '../../observe/levels.ts'
import { command } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { say, sayJson, table } from '../print.ts'
import { withTroupe } from '../session.ts'

export const events = command({
  usage: 'ACTOR [LEVEL]',
  count: [1, 2],
  flags: { system: { value: 'SYSTEM', meaning: 'only there; default: in every system that runs' } },
  details: `LEVEL is ${EVENT_LEVELS.join(', ')}, or "default": as the actor's definition and the setting "events" say. Without it the levels are shown. A change
holds at once, until the process ends. At "all" every message is told when it is sent, started and done; that costs (README, "Numbers").
"troupe tail" follows events.

Examples:
  troupe events mailer all
  troupe events mailer default`,
  async run({ args: [actor = '', word], flags: { system }, isJson, ...rest }) {
    checkName(actor, 'actor')
    const level = word === undefined || word === 'default' ? word : checkLevel(word, 'LEVEL')
    const body = { actor, ...(level === undefined ? {} : { level }) }
    const answers = await withTroupe(rest, async (_troupe, { broker }) =>
      system === undefined ? askAllSystems(broker, 'events', body) : [await askSystem(broker, system, 'events', body)],
    )
    const rows = answers.map(({ system: name, value, error }) => ({ system: name, ...(value as LevelAnswer), error }))
    const hosts = rows.filter(({ runs, error }) => runs || error !== undefined)
    if (hosts.length === 0) throw noSystem(actor)
    if (isJson) sayJson({ actor, systems: hosts })
    else
      say(
        table(
          ['SYSTEM', 'ACTOR', 'EVENTS'],
          hosts.map((row) => [row.system, actor, row.error?.message ?? row.level]),
        ),
      )
    return hosts.some(({ error }) => error !== undefined) ? exitCodes.failed : exitCodes.done
  },
})

function noSystem(actor: string): ActorError {
  const text = `expected a running system with actor ${actor}, but none answers. "troupe status" lists those that run.`
  return new ActorError('NO_SYSTEM', text, { data: { actor } })
}
