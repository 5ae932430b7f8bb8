/** Having a change confirmed before it is made: by --yes, or by a person at the terminal. */
import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'

import type { FlagSpecs } from './command.ts'

export const agreeFlags = {
  'dry-run': { meaning: 'show which, and do nothing' },
  yes: { short: 'y', meaning: 'do it without asking' },
} as const satisfies FlagSpecs

/** `unasked`: nobody is there to ask, and nothing was said. */
export type Answer = 'yes' | 'no' | 'unasked'

/** `question` as `purge 3 messages`. */
export async function agreed(
  question: string,
  flags: { readonly 'dry-run': boolean; readonly yes: boolean },
  isJson: boolean,
): Promise<Answer> {
  if (flags['dry-run']) return 'no'
  if (flags.yes) return 'yes'
  if (isJson || !process.stdin.isTTY) return 'unasked'
  const answer = await ask(`${question}? [y/N] `)
  return /^y(es)?$/i.test(answer.trim()) ? 'yes' : 'no'
}

/** What is typed; nothing at Ctrl-C and Ctrl-D. */
async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  terminal.once('SIGINT', () => terminal.close())
  const closed = once(terminal, 'close').then(() => '')
  const answer = await Promise.race([terminal.question(question).catch(() => ''), closed])
  terminal.close()
  return answer
}
