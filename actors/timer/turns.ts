/** What is being parked, by message and id: one that replaces waits for what was sent before it under its id and is on its way to the server. */
import type { Later } from './copies.ts'

export class Turns {
  readonly #storing = new Map<string, Promise<void>>()

  take({ message, isReplacing }: Pick<Later, 'message' | 'isReplacing'>, work: () => Promise<void>): Promise<void> {
    const key = `${message.name} ${message.id}`
    const before = isReplacing ? this.#storing.get(key) : undefined
    const stored = before === undefined ? work() : before.then(work, work)
    this.#storing.set(key, stored)
    const forget = (): boolean => this.#storing.get(key) === stored && this.#storing.delete(key)
    stored.then(forget, forget)
    return stored
  }
}
