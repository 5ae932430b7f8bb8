/** Which systems run, and which of them a command is for. */
import type { Broker } from '../../broker/broker.ts'
import { askAllSystems, askSystem, type ControlAnswer } from '../../broker/control.ts'
import { ActorError, didYouMean } from '../../errors.ts'
import { namesOf, type SystemTree } from '../../supervision/tree.ts'

/** The trees of all systems that run now, or of the one that is named. Throws `ActorError` `NO_SYSTEM`. */
export async function treesOf(broker: Broker, system?: string): Promise<SystemTree[]> {
  if (system !== undefined) return [valueOf(await askSystem(broker, system, 'tree')) as SystemTree]
  const trees = (await askAllSystems(broker, 'tree')).map((answer) => valueOf(answer) as SystemTree)
  if (trees.length > 0) return trees
  const { namespace } = broker.subjects
  throw new ActorError(
    'NO_SYSTEM',
    `expected a running system in namespace ${namespace}, but none answers. "troupe start" runs one.`,
  )
}

/** The systems that have an actor or supervisor of this name. Throws `ActorError` `NO_CHILD`, `NO_SYSTEM`. */
export async function systemsWith(broker: Broker, name: string, system?: string): Promise<string[]> {
  const trees = await treesOf(broker, system)
  const having = trees.filter(({ children }) => namesOf(children).includes(name))
  if (having.length > 0) return having.map((tree) => tree.system)
  const known = [...new Set(trees.flatMap(({ children }) => namesOf(children)))]
  const text = `expected one of ${known.join(', ')}: what runs in ${trees.map((tree) => tree.system).join(', ')}, got: ${JSON.stringify(name)}${didYouMean(name, known)}`
  throw new ActorError('NO_CHILD', text, { data: { name, known } })
}

/** What a system answered. Throws its error as `ActorError` `CONTROL_FAILED`. */
export function valueOf({ system, value, error }: ControlAnswer): unknown {
  if (error === undefined) return value
  throw new ActorError('CONTROL_FAILED', `system ${system} answers: ${error.message}`, { data: { system, error } })
}
