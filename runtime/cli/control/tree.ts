/** `troupe tree`. */
import type { MemberInfo } from '../../isolation/pool.ts'
import type { SystemTree, TreeNode } from '../../supervision/tree.ts'
import { formatDuration } from '../../time/duration.ts'
import { command } from '../command.ts'
import { say, sayJson, table } from '../print.ts'
import { withTroupe } from '../session.ts'
import { treesOf } from './systems.ts'

export const tree = command({
  usage: '[SYSTEM]',
  count: [0, 1],
  flags: {},
  details: `Every supervisor and actor with its state: running, starting, stopping, waiting (it failed, and is started again when its wait is over),
stopped (by hand, or it ended as it should). WORK is what runs of what it may run at once, and what was fetched besides. Below an isolated actor are
its threads or processes: starting, ready or ending, with what each has run and, of processes, their pid and memory.

Examples:
  troupe tree
  troupe tree web-1-4711 --json`,
  async run({ args: [system], isJson, ...rest }) {
    const trees = await withTroupe(rest, (_troupe, { broker }) => treesOf(broker, system))
    return isJson ? sayJson({ systems: trees }) : say(trees.map(drawn).join('\n\n'))
  },
})

/** A system as text: its name, then a line for each child, indented by what they are below. */
export function drawn({ system, pid, upMs, strategy, children }: SystemTree): string {
  const root = [`${system} (${strategy})`, 'running', shortDuration(upMs), '', '', `pid ${pid}`]
  return table(['NAME', 'STATE', 'UP', 'RESTARTS', 'WORK', ''], [root, ...rows(children, '')])
}

function rows(nodes: readonly TreeNode[], indent: string): string[][] {
  return nodes.flatMap((node, place) => {
    const isLast = place === nodes.length - 1
    const inner = `${indent}${isLast ? '   ' : '│  '}`
    const below = [...rows(node.children ?? [], inner), ...memberRows(node.members ?? [], inner)]
    return [row(node, indent + branch(isLast)), ...below]
  })
}

function branch(isLast: boolean): string {
  return isLast ? '└─ ' : '├─ '
}

function memberRows(members: readonly MemberInfo[], indent: string): string[][] {
  return members.map(({ name, state, ageMs, running, messages, pid, heldBytes }, place) => {
    const own = name.slice(name.lastIndexOf('/') + 1)
    const kind = pid === undefined ? 'thread' : `pid ${pid}`
    const memory = heldBytes === 0 ? '' : `, ${Math.round(heldBytes / 2 ** 20)} MiB`
    return [
      indent + branch(place === members.length - 1) + own,
      state,
      shortDuration(ageMs),
      '',
      String(running),
      `${kind}, ran ${messages}${memory}`,
    ]
  })
}

function row(node: TreeNode, indent: string): string[] {
  const { id, strategy, state, upMs, restarts, restart, significant } = node
  const name = strategy === undefined ? id : `${id} (${strategy})`
  const up = upMs === undefined ? '' : shortDuration(upMs)
  const kind = [...(restart === 'permanent' ? [] : [restart]), ...(significant ? ['significant'] : [])]
  return [
    indent + name,
    state,
    up,
    restarts === 0 ? '' : String(restarts),
    workOf(node),
    [...kind, noteOf(node)].join(' ').trim(),
  ]
}

function workOf({ work }: TreeNode): string {
  if (work === undefined) return ''
  return `${work.running}/${work.concurrency}${work.buffered === 0 ? '' : ` +${work.buffered}`}`
}

function noteOf({ dueInMs, failure, state }: TreeNode): string {
  const due = dueInMs === undefined ? '' : `starts in ${shortDuration(dueInMs)}: `
  const why = failure === undefined ? '' : `${failure.name}: ${failure.message}`
  return state === 'running' && why !== '' ? `last: ${why}` : `${due}${why}`
}

/** To two units: `2h 3m`. */
export function shortDuration(ms: number): string {
  const whole = ms < 1_000 ? Math.round(ms) : Math.round(ms / 1_000) * 1_000
  return (formatDuration(whole).match(/\d+[a-z]+/g) ?? []).slice(0, 2).join(' ')
}
