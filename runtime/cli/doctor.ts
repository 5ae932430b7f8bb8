/** `troupe doctor`. */
import { specOf } from '../actor.ts'
import { examine } from '../view/doctor.ts'
import type { Finding } from '../view/finding.ts'
import { loadActors } from './actorFiles.ts'
import { command } from './command.ts'
import { exitCodes } from './failure.ts'
import { note, printable, say, sayJson } from './print.ts'
import { loadSettings, withTroupe } from './session.ts'

export const doctor = command({
  usage: '[FILE…]',
  count: [0, Infinity],
  flags: {},
  details: `Looks for what may be wrong: the server and its limits, clocks, permissions, streams against the definitions in FILE (or the setting "actors"),
replicas, actors that nobody runs or that stand still, what grows, what is stuck. Each finding says what to do. Exit code 1 where something does
not work, 0 otherwise.

Examples:
  troupe doctor actors/mailer.ts
  troupe doctor --json`,
  async run({ args, isJson, ...rest }) {
    const { config } = await loadSettings(rest)
    const files = args.length > 0 ? args : config.actors
    const specs = files.length === 0 ? [] : (await loadActors(files)).map((actor) => specOf(actor))
    const onCheck = (name: string): void => (isJson || !process.stderr.isTTY ? undefined : note(`… ${name}`))
    const findings = await withTroupe(rest, (_troupe, link) => examine({ link, specs }, onCheck))
    if (isJson) sayJson(findings)
    else for (const finding of findings) say(lineOf(finding))
    return findings.some(({ level }) => level === 'error') ? exitCodes.failed : exitCodes.done
  },
})

const MARKS = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' } as const

function lineOf({ level, check, text, advice }: Finding): string {
  const line = `${MARKS[level]}  ${check.padEnd(11)}  ${printable(text)}`
  return advice === undefined ? line : `${line}\n${' '.repeat(22)}${printable(advice)}`
}
