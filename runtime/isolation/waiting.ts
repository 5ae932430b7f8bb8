/**
 * Runs that wait for a place in a pool, in order. Each waits so long, uncounted by its time limit; then it goes back.
 *
 * A suspect needs a member for itself, which there may not be for minutes: the others don't wait behind it. It has the first that is free.
 */
import { UnavailableError } from '../errors.ts'
import { formatDuration } from '../time/duration.ts'
import type { Task } from './task.ts'

export const WAIT_MS = 10_000

export class Waiting {
  readonly #what: string
  /** With what ends the wait otherwise. */
  readonly #tasks = new Map<Task, () => void>()

  /** `what`: that has no room, for the error. */
  constructor(what: string) {
    this.#what = what
  }

  get size(): number {
    return this.#tasks.size
  }

  get hasSuspect(): boolean {
    return this.#suspects().length > 0
  }

  /** Whether those that wait have their turn before this one. */
  comesAfter({ ctx }: Task): boolean {
    return ctx.isSuspect ? this.hasSuspect : this.#tasks.size > this.#suspects().length
  }

  add(task: Task): void {
    const { aborted } = task.ctx
    if (aborted !== undefined) return task.failed(aborted)
    task.hold()
    const timer = setTimeout(() => this.#giveUp(task), WAIT_MS)
    const forget = task.ctx.whenAborted((reason) => {
      this.#leave(task)
      task.failed(reason)
    })
    this.#tasks.set(task, () => {
      clearTimeout(timer)
      forget()
    })
  }

  /** Gives places to the first of them, until there is none: to suspects, then to the others. */
  serve(place: (task: Task) => ((task: Task) => void) | undefined): void {
    const others = [...this.#tasks.keys()].filter(({ ctx }) => !ctx.isSuspect)
    for (const line of [this.#suspects(), others]) {
      for (const task of line) {
        const run = place(task)
        if (run === undefined) break
        this.#leave(task)
        run(task)
      }
    }
  }

  #suspects(): Task[] {
    return [...this.#tasks.keys()].filter(({ ctx }) => ctx.isSuspect)
  }

  giveUpAll(): void {
    for (const task of this.#tasks.keys()) this.#giveUp(task)
  }

  #leave(task: Task): void {
    this.#tasks.get(task)?.()
    this.#tasks.delete(task)
  }

  /** Nobody here has a place for it: others may. */
  #giveUp(task: Task): void {
    this.#leave(task)
    task.ctx.loss = { kind: 'innocent' }
    const text = `expected ${this.#what} to have room within ${formatDuration(WAIT_MS)}, but none has. Try again.`
    task.failed(new UnavailableError('BUSY', text))
  }
}
