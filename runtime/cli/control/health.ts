/** `troupe health`. */
import { askAllSystems, askSystem } from '../../broker/control.ts'
import { UnavailableError } from '../../errors.ts'
import type { Health } from '../../observe/health.ts'
import { command } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { say, sayJson, table } from '../print.ts'
import { withTroupe } from '../session.ts'
import { valueOf } from './systems.ts'

export const health = command({
  usage: '[SYSTEM]',
  count: [0, 1],
  flags: { live: { meaning: 'only whether it lives: an actor that is being restarted is no reason to complain' } },
  details: `Asks running systems whether they are well: connected, started, all their actors running, not stopping. Exit code 0: all are; 1: one is
not; 4: none answers. The same is on the HTTP port of a system (setting "http.port"): /healthz and /readyz.

Examples:
  troupe health
  troupe health web-1-4711 --json`,
  async run({ args: [system], flags: { live }, isJson, ...rest }) {
    const answers = await withTroupe(rest, async (_troupe, { broker }) =>
      system === undefined ? askAllSystems(broker, 'health') : [await askSystem(broker, system, 'health')],
    )
    if (answers.length === 0) throw noSystem()
    const all = answers.map((answer) => valueOf(answer) as Health)
    if (isJson) sayJson(all)
    else say(table(['SYSTEM', 'HEALTH', 'PROBLEMS'], all.map(row)))
    return all.every((one) => (live ? one.live : one.ready)) ? exitCodes.done : exitCodes.failed
  },
})

function row({ system, live, ready, checks }: Health): string[] {
  const problems = checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`)
  return [system, ready ? 'ready' : live ? 'not ready' : 'dead', problems.join('; ')]
}

function noSystem(): UnavailableError {
  return new UnavailableError('NO_SYSTEM', 'expected a running system, but none answers. "troupe start" runs one.')
}
