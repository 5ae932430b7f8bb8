/** What `troupe top` shows and what its keys do: pure. A state and an overview make lines; a state and a key make the next state. */
import type { WaitingMessage } from '../../view/mailboxes.ts'
import type { RunningMessage } from '../../view/running.ts'
import type { ActorOverview, Overview } from '../../view/status.ts'
import { printable, table } from '../print.ts'
import { actorHeadings, actorRow, age, systemTable } from '../status.ts'

export const SORTS = ['name', 'waiting', 'running', 'speed', 'oldest', 'dead'] as const
export type Sort = (typeof SORTS)[number]

export interface TopState {
  readonly sort: Sort
  /** The actor that the cursor is on. */
  readonly selected: string | undefined
  /** Whether it is looked into. */
  readonly isInside: boolean
}

/** What is shown of the actor that is looked into. */
export interface Inside {
  readonly running: readonly RunningMessage[]
  readonly waiting: readonly WaitingMessage[]
}

export const FIRST: TopState = { sort: 'name', selected: undefined, isInside: false }

const ORDERS: { readonly [K in Sort]: (one: ActorOverview) => number } = {
  name: () => 0,
  waiting: ({ waiting }) => waiting,
  running: ({ running }) => running,
  speed: ({ perSecond }) => perSecond,
  oldest: ({ oldestMs }) => oldestMs ?? 0,
  dead: ({ dead }) => dead,
}

export function sorted(actors: readonly ActorOverview[], sort: Sort): ActorOverview[] {
  return actors.toSorted((a, b) => ORDERS[sort](b) - ORDERS[sort](a) || (a.actor < b.actor ? -1 : 1))
}

/** The next state; keys that mean nothing change nothing. */
export function afterKey(state: TopState, key: string, actors: readonly ActorOverview[]): TopState {
  const names = sorted(actors, state.sort).map(({ actor }) => actor)
  const at = Math.max(0, names.indexOf(state.selected ?? ''))
  const to = (index: number): TopState => ({
    ...state,
    selected: names[Math.min(Math.max(index, 0), names.length - 1)],
  })
  switch (key) {
    case 'up':
      return to(at - 1)
    case 'down':
      return to(at + 1)
    case 'sort':
      return { ...state, sort: SORTS[(SORTS.indexOf(state.sort) + 1) % SORTS.length] ?? 'name' }
    case 'enter':
      return { ...to(at), isInside: !state.isInside }
    default:
      return state
  }
}

export function screen(
  state: TopState,
  { systems, actors }: Overview,
  inside: Inside | undefined,
  size: { width: number; height: number },
): string[] {
  const order = sorted(actors, state.sort)
  const chosen = order.find(({ actor }) => actor === state.selected) ?? order[0]
  const rows = order.map((one) => [one === chosen ? '>' : ' ', ...actorRow(one)])
  const lines = [
    ...(systems.length === 0 ? ['no system runs'] : systemTable(systems).split('\n')),
    '',
    ...(rows.length === 0
      ? ['no actor has a mailbox yet']
      : table([' ', ...actorHeadings], rows, size.width).split('\n')),
    ...(state.isInside && chosen !== undefined ? ['', ...insideLines(chosen.actor, inside)] : []),
  ]
  const help = `sorted by ${state.sort}   s sort  ↑↓ choose  ⏎ look inside  p pause or resume  q quit`
  return [
    ...lines.map((line) => line.slice(0, size.width)).slice(0, Math.max(1, size.height - 2)),
    '',
    help.slice(0, size.width),
  ]
}

function insideLines(actor: string, inside: Inside | undefined): string[] {
  if (inside === undefined) return [`${actor}: …`]
  const running = inside.running.map(
    ({ id, message, attempt, system, forMs }) =>
      `  runs   ${id}  ${message}  attempt ${attempt}  ${age(forMs)} in ${system}`,
  )
  const waiting = inside.waiting.map(
    ({ id, message, lane, position }) => `  waits  ${id}  ${message}  ${lane} ${position ?? 'held'}`,
  )
  return [`${actor}:`, ...running, ...waiting].map(printable)
}
