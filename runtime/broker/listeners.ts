/**
 * Who hears of what NATS reports beside its answers: a refused subject, a slow consumer, a connection that moves.
 *
 * A problem is told in this order: to who said beforehand that this subject may be refused, and then to nobody else; to all who
 * may have caused it, since the server names no request; at last to everybody, with whether one of those took it for theirs.
 */

/** A problem that the server reported outside any request: a refused subject, a slow consumer. `isClaimed`: somebody waited for it and is told. */
export type ProblemListener = (problem: Error, isClaimed: boolean) => void

export class ProblemListeners {
  readonly #all = new Set<ProblemListener>()
  readonly #claims = new Set<(problem: Error) => boolean>()
  /** Subjects whose refusal is expected, with who is told of it. */
  readonly #refusable = new Map<string, () => void>()

  add(listener: ProblemListener): () => void {
    return listen(this.#all, listener)
  }

  claim(claimer: (problem: Error) => boolean): () => void {
    return listen(this.#claims, claimer)
  }

  expectRefusal(subject: string, onRefused: () => void): void {
    this.#refusable.set(subject, onRefused)
  }

  tell(problem: Error): void {
    const { operation, subject } = problem as { operation?: unknown; subject?: unknown }
    const onRefused = operation === 'subscription' ? this.#refusable.get(String(subject)) : undefined
    if (onRefused !== undefined) return onRefused()
    // All of them are asked: two may wait for the same subject.
    const isClaimed = [...this.#claims].filter((claim) => claim(problem)).length > 0
    for (const listener of this.#all) listener(problem, isClaimed)
  }
}

/** Returns what takes the listener away. */
export function listen<L>(listeners: Set<L>, listener: L): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
