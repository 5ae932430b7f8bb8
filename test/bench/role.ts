/** The program of a child process: one role of one side, its verbs called by the parent (see child.ts). */
import type { Answer, Call } from './child.ts'

type Verbs = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>

const [side, role] = process.argv.slice(2)
const loaded = (await import(`./${side}/${role}.ts`)) as { readonly role: Verbs }

process.on('message', (call: Call) => void answer(call))
process.on('disconnect', () => process.exit(0))
reply({ id: 0 })

async function answer({ id, verb, args }: Call): Promise<void> {
  try {
    reply({ id, value: await loaded.role[verb]?.(...args) })
  } catch (error) {
    reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}

function reply(answer: Answer): void {
  process.send?.(answer)
}
