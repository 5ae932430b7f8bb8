/** `troupe deploy`. */
import { specOf } from '../actor.ts'
import { deployAssets, type DeployedAsset } from '../deploy.ts'
import { loadActors } from './actorFiles.ts'
import { command } from './command.ts'
import { exitCodes } from './failure.ts'
import { counted, say, sayJson, table } from './print.ts'
import { loadSettings, withTroupe } from './session.ts'

export const deploy = command({
  usage: '[FILE…]',
  count: [0, Infinity],
  flags: { 'dry-run': { meaning: 'show what would be done, and do nothing' } },
  details: `Creates the streams and consumers of the actors that the files export, and applies changes that can lose nothing. Changes that
could are shown with both values, left alone, and make the exit code 1. Without files: those of the setting "actors".

Example:
  troupe deploy actors/*.ts --servers nats://prod:4222 --dry-run`,
  async run({ args, flags, isJson, ...rest }) {
    const { config } = await loadSettings(rest)
    const specs = (await loadActors(args.length > 0 ? args : config.actors)).map((actor) => specOf(actor))
    const dryRun = flags['dry-run']
    const assets = await withTroupe(rest, (_troupe, { broker }) => deployAssets(broker, specs, { dryRun }))
    if (isJson) sayJson({ dryRun, assets })
    else say(report(assets, dryRun))
    return assets.some(isLeft) ? exitCodes.failed : exitCodes.done
  },
})

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
