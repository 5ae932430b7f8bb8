/** `troupe control restart`, `troupe control stop`, `troupe control start`. */
import { askSystem, type ControlAnswer } from '../../broker/control.ts'
import type { ChildAnswer } from '../../supervision/tree.ts'
import { parseDuration } from '../../time/duration.ts'
import { command, type Command } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { say, sayJson, table } from '../print.ts'
import { withTroupe } from '../session.ts'
import { systemsWith } from './systems.ts'

/** Beyond what running handlers get by default. */
const TIMEOUT = '1m'

type Verb = 'restart' | 'stop' | 'start'

export const restart = childCommand(
  'restart',
  `Its running handlers get their time to end (shutdown.within, or what the tree says), and what waits stays in the mailbox. Where it
can't be started again, that is tried again and again, as after a failure.`,
)

export const stop = childCommand(
  'stop',
  `Its running handlers get their time to end (shutdown.within, or what the tree says), and what waits stays in the mailbox, or goes to
other systems. It stays stopped until "troupe control start", a restart of its group, or a restart of its process.`,
)

export const start = childCommand('start', 'One that can not be started stays stopped, and the command says why.')

function childCommand(verb: Verb, about: string): Command {
  return command({
    usage: 'NAME',
    count: [1, 1],
    flags: {
      system: { value: 'SYSTEM', meaning: 'only there; default: in every system that has it' },
      timeout: { value: 'DURATION', meaning: `longest wait until it is done; default ${TIMEOUT}` },
    },
    details: `NAME is an actor or a supervisor, as "troupe tree" shows them. ${about}

Example:
  troupe control ${verb} mailer`,
    async run({ args: [name = ''], flags, isJson, ...rest }) {
      const timeoutMs = parseDuration(flags.timeout ?? TIMEOUT, 'timeout')
      const answers = await withTroupe(rest, async (_troupe, { broker }) => {
        const systems = await systemsWith(broker, name, flags.system)
        return Promise.all(systems.map((system) => askSystem(broker, system, verb, { name }, { timeoutMs })))
      })
      if (isJson) sayJson({ name, systems: answers.map(asData) })
      else
        say(
          table(
            ['SYSTEM', 'NAME', 'STATE', ''],
            answers.map((answer) => asRow(name, answer)),
          ),
        )
      return answers.some(({ error }) => error !== undefined) ? exitCodes.failed : exitCodes.done
    },
  })
}

function asData({ system, value, error }: ControlAnswer): Record<string, unknown> {
  return error === undefined ? { system, state: (value as ChildAnswer).state } : { system, error }
}

function asRow(name: string, { system, value, error }: ControlAnswer): string[] {
  return error === undefined
    ? [system, name, (value as ChildAnswer).state, '']
    : [system, name, 'failed', `${error.name}: ${error.message}`]
}
