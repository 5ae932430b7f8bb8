/** Which lives of actors there are in a system: each actor's present one, and those before it that still end. */
import type { HostedActor } from './hosted.ts'

export class Roster {
  readonly #present = new Map<string, HostedActor>()
  readonly #lives = new Set<HostedActor>()

  /** A new life, which takes the place of the one before. */
  enter(life: HostedActor): void {
    this.#present.set(life.spec.name, life)
    this.#lives.add(life)
  }

  /** All of it has ended. It stays the present one, for reports, until there is another. */
  leave(life: HostedActor): void {
    this.#lives.delete(life)
  }

  /** The newest life of each actor, by actor. */
  get present(): ReadonlyMap<string, HostedActor> {
    return this.#present
  }

  of(actor: string): HostedActor | undefined {
    return this.#present.get(actor)
  }

  /** All lives that have not ended, of one actor or of all. */
  living(actor?: string): HostedActor[] {
    return [...this.#lives].filter(({ spec }) => actor === undefined || spec.name === actor)
  }
}
