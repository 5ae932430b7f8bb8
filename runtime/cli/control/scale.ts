/** `troupe scale`. */
import { askSystem } from '../../broker/control.ts'
import { ConfigError } from '../../errors.ts'
import { command } from '../command.ts'
import { say, sayJson, table } from '../print.ts'
import { withTroupe } from '../session.ts'
import { systemsWith, valueOf } from './systems.ts'

interface Scaled {
  readonly from: number
  readonly to: number
}

export const scale = command({
  usage: 'ACTOR SIZE',
  count: [2, 2],
  flags: { system: { value: 'SYSTEM', meaning: 'only there; default: in every system that runs it' } },
  details: `SIZE is how many messages each of the systems runs at once. Of an actor in threads or processes there are as many as that needs. With
fewer, what runs goes on, and what was fetched beyond goes back. It lasts until the process ends; an actor that is autoscaled goes on
from there, within its bounds.

Examples:
  troupe scale mailer 8
  troupe scale mailer 200 --system web-1-4711`,
  async run({ args: [actor = '', text = ''], flags, isJson, ...rest }) {
    const size = Number(text)
    if (!/^[0-9]+$/.test(text) || size < 1) {
      throw new ConfigError('USAGE', `expected SIZE to be a whole number from 1, got: ${JSON.stringify(text)}`)
    }
    const systems = await withTroupe(rest, async (_troupe, { broker }) => {
      const names = await systemsWith(broker, actor, flags.system)
      const ask = async (system: string): Promise<Scaled & { system: string }> => {
        const { from, to } = valueOf(await askSystem(broker, system, 'scale', { name: actor, size })) as Scaled
        return { system, from, to }
      }
      return Promise.all(names.map(ask))
    })
    if (isJson) return sayJson({ actor, systems })
    return say(
      table(
        ['SYSTEM', 'ACTOR', 'WAS', 'IS'],
        systems.map(({ system, from, to }) => [system, actor, String(from), String(to)]),
      ),
    )
  },
})
