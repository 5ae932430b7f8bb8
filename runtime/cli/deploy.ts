/** `troupe deploy`. */
import { specOf } from '../actor.ts'
import { deployAssets, type DeployedAsset } from '../deploy.ts'
import { declarationsOf, declareSchedules, differenceText, type DeclaredSchedule } from '../schedules/declaring.ts'
import { loadActors } from './actorFiles.ts'
import { command } from './command.ts'
import { exitCodes } from './failure.ts'
import { counted, say, sayJson, table } from './print.ts'
import { loadSettings, withTroupe } from './session.ts'

export const deploy = command({
  usage: '[FILE…]',
  count: [0, Infinity],
  flags: {
    'dry-run': { meaning: 'show what would be done, and do nothing' },
    prune: { meaning: 'remove schedules that were declared in code and are no more' },
    overwrite: { meaning: 'put what the code says over schedules that were edited by hand' },
  },
  details: `Creates the streams and consumers of the actors that the files export, applies changes that can lose nothing, and puts the schedules
that the actors and troupe.config declare. Changes that could lose messages are shown with both values, left alone, and make the exit
code 1; so do schedules that were edited by hand. Without files: those of the setting "actors".

Examples:
  troupe deploy actors/*.ts --servers nats://prod:4222 --dry-run
  troupe deploy actors/*.ts --prune`,
  async run({ args, flags, isJson, ...rest }) {
    const { config } = await loadSettings(rest)
    const specs = (await loadActors(args.length > 0 ? args : config.actors)).map((actor) => specOf(actor))
    const dryRun = flags['dry-run']
    const declarations = await declarationsOf(specs, config.schedules)
    const { assets, schedules } = await withTroupe(rest, async (troupe, { broker }) => {
      const scheduled = declarations.flatMap(({ actor, definition }) => [actor, definition.rule.after?.actor ?? actor])
      const deployed = await deployAssets(broker, specs, { dryRun, scheduled })
      const actors = specs.map(({ name }) => name)
      const options = { dryRun, prune: flags.prune, overwrite: flags.overwrite }
      return {
        assets: deployed,
        schedules: await declareSchedules(broker, troupe.schedules, actors, declarations, options),
      }
    })
    if (isJson) sayJson({ dryRun, assets, schedules })
    else say([report(assets, dryRun), ...scheduleReport(schedules, dryRun)].join('\n'))
    return assets.some(isLeft) || schedules.some(isOpen) ? exitCodes.failed : exitCodes.done
  },
})

/** Whether somebody has to decide about a schedule. */
function isOpen({ state }: DeclaredSchedule): boolean {
  return state === 'edited' || state === 'refused'
}

function scheduleReport(schedules: readonly DeclaredSchedule[], dryRun: boolean): string[] {
  if (schedules.length === 0) return []
  const rows = schedules.map(({ state, actor, id, by }) => [state, actor, id, by])
  const lines = schedules.flatMap((one) => scheduleLines(one))
  const sum = `${counted(schedules.length, 'declared schedule')}${dryRun ? ' (a dry run: nothing was touched)' : ''}`
  return ['', table(['STATE', 'ACTOR', 'SCHEDULE', 'DECLARED BY'], rows), ...lines, '', sum]
}

function scheduleLines({ state, id, differences, problem }: DeclaredSchedule): string[] {
  if (state === 'undeclared') return ['', `${id}: declared no more, and goes on. --prune removes it`]
  if (problem !== undefined) return ['', `${id}: ${problem}`]
  if (differences.length === 0) return []
  const what = state === 'edited' ? 'edited by hand, and left as it is. --overwrite puts the code over it' : state
  return ['', `${id}: ${what}`, ...differences.map((one) => `  ${differenceText(one)}`)]
}

function isLeft({ state }: DeployedAsset): boolean {
  return state === 'unsafe' || state === 'refused'
}

function report(assets: readonly DeployedAsset[], dryRun: boolean): string {
  const lines = [
    table(
      ['STATE', 'KIND', 'NAME'],
      assets.map(({ state, kind, name }) => [state, kind, name]),
    ),
  ]
  for (const { name, state, differences, problem } of assets) {
    if (differences.length > 0) lines.push('', `${name}: ${outcomes[state]}`, ...differences.map(line))
    if (problem !== undefined) lines.push('', problem)
  }
  const names = ['created', 'changed', 'same', 'unsafe', 'refused'] as const
  const counts = names.map((name) => [name, assets.filter(({ state }) => state === name).length] as const)
  const sum = counts.flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${name}`])).join(', ')
  return [
    ...lines,
    '',
    `${counted(assets.length, 'asset')}: ${sum}${dryRun ? ' (a dry run: nothing was touched)' : ''}`,
  ].join('\n')
}

const outcomes = {
  created: 'created',
  same: 'as wanted',
  changed: 'changed',
  unsafe:
    'left as it is, since a change could lose messages. Give the definition or troupe.config the settings that exist, or edit the stream yourself',
  refused: 'refused by the server',
}

function line({ key, have, want, isSafe }: DeployedAsset['differences'][number]): string {
  return `  ${key}: ${JSON.stringify(have) ?? 'unset'} → ${JSON.stringify(want)}${isSafe ? '' : ' (unsafe)'}`
}
