/** One command line: finds the command, runs it, and tells what went wrong in one paragraph. */
import { commands, findCommand, groupOf } from './commands.ts'
import { exitCodeOf, exitCodes, failureText } from './failure.ts'
import { commandHelp, overview, version } from './helpText.ts'
import { parseCommandLine, usage } from './parse.ts'
import { note, say } from './print.ts'

/** Resolves with the exit code; never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  const [first] = argv
  if (first === undefined) return wrongly(overview())
  if (first === '--version' || first === '-v') return plainly(version())
  if (first === '--help' || first === '-h' || isGroupHelp(argv)) return plainly(overview())
  const shown = { isDebug: argv.includes('--debug'), isJson: argv.includes('--json') }
  try {
    return await runCommand(argv, shown)
  } catch (error) {
    note(failureText(error, shown))
    return exitCodeOf(error)
  }
}

async function runCommand(argv: readonly string[], shown: { isDebug: boolean; isJson: boolean }): Promise<number> {
  const { name, summary, command, rest } = await findCommand(argv)
  const parsed = parseCommandLine(rest, command.flags)
  shown.isDebug = parsed.isDebug
  shown.isJson = parsed.isJson
  if (parsed.isHelp) return plainly(commandHelp(name, summary, command))
  checkCount(name, command.usage, command.count, parsed.args)
  return (await command.run(parsed)) ?? exitCodes.done
}

function checkCount(
  name: string,
  words: string,
  [least, most]: readonly [number, number],
  args: readonly string[],
): void {
  if (args.length >= least && args.length <= most) return
  const got = args.length === 0 ? 'nothing after it' : args.map((arg) => JSON.stringify(arg)).join(' ')
  const hint =
    args.length > most && most > 0 ? ' Is each argument in quotes, so that the shell leaves it as it is?' : ''
  throw usage(`expected "troupe ${name} ${words}", got: ${got}.${hint}`)
}

function isGroupHelp([first = '', second = '']: readonly string[]): boolean {
  return !commands.has(first) && groupOf(first).length > 0 && (second === '--help' || second === '-h')
}

function plainly(text: string): number {
  say(text)
  return exitCodes.done
}

function wrongly(text: string): number {
  note(text)
  return exitCodes.usage
}
