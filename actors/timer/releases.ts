/**
 * When the timer acks what it has put into the mailbox.
 *
 * Until then a message stands in both places, which is what doubts.ts is about: so the sooner the better.
 * Yet what is due must not wait behind acks of what was due with it (5,000 at one moment: a fifth more work before the last of them
 * starts). So: at once, unless many are on their way; then all together, when these are stored.
 */
import type { Delivery } from '../../runtime/broker/delivery.ts'
import { Slots } from '../../runtime/broker/slots.ts'

/** Acks that wait look so often whether the burst is through, so many times at most. */
const LOOK_MS = 50
const LOOKS = 5

export class Releases {
  readonly #many: number
  readonly #ack: (delivery: Delivery, then: () => void) => void
  /** Published, and not stored yet. */
  #underWay = 0
  /** Stored, and not known to be acked. */
  readonly #open = new Slots<Delivery>()
  /** Those of them whose acks wait, by slot. */
  readonly #waiting: number[] = []
  #known: ReadonlySet<string> | undefined

  /** `many`: from how many on their way on acks wait; so many are acked in one go. */
  constructor(many: number, ack: (delivery: Delivery, then: () => void) => void) {
    this.#many = many
    this.#ack = ack
  }

  begin(): void {
    this.#underWay++
  }

  refused(): void {
    this.#underWay--
  }

  stored(delivery: Delivery): void {
    this.#underWay--
    const slot = this.#open.add(delivery)
    if (this.#underWay < this.#many && this.#waiting.length === 0) return this.#end(slot)
    this.#waiting.push(slot)
    if (this.#waiting.length === 1) this.#look(LOOKS)
  }

  /** Whether the message of this delivery was stored by us, under an earlier delivery whose ack is not confirmed. */
  has(delivery: Delivery): boolean {
    // Made once for all that are asked for in one go.
    if (this.#known === undefined) {
      this.#known = new Set(this.#open.all().map(({ origin }) => origin))
      setImmediate(() => (this.#known = undefined))
    }
    return this.#known.has(delivery.origin)
  }

  #look(left: number): void {
    setTimeout(() => {
      if (this.#underWay > 0 && left > 1) this.#look(left - 1)
      else this.#endSome()
    }, LOOK_MS)
  }

  #endSome(): void {
    for (const slot of this.#waiting.splice(0, this.#many)) this.#end(slot)
    if (this.#waiting.length > 0) setImmediate(() => this.#endSome())
  }

  #end(slot: number): void {
    const delivery = this.#open.get(slot)
    if (delivery !== undefined) this.#ack(delivery, () => this.#open.delete(slot))
  }
}
