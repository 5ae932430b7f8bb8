/** What was fetched and not begun, by lane, in order. */
import type { Delivery } from '../broker/delivery.ts'

/** What was taken is cut off when there is so much of it. */
const CUT_AT = 1_000

export class LaneBuffers {
  readonly #lanes: Delivery[][] = []
  /** First of each lane that was not taken yet: shift() of a long array moves all of it. */
  readonly #heads: number[] = []
  #size = 0

  get size(): number {
    return this.#size
  }
  get all(): Delivery[] {
    return this.#lanes.flatMap((lane, index) => lane.slice(this.#heads[index]))
  }

  addLane(): void {
    this.#lanes.push([])
    this.#heads.push(0)
  }

  add(lane: number, delivery: Delivery): void {
    this.#lanes[lane]?.push(delivery)
    this.#size++
  }

  /** The oldest of a lane. */
  first(lane: number): Delivery | undefined {
    return this.#lanes[lane]?.[this.#heads[lane] ?? 0]
  }

  /** Takes the oldest of a lane. */
  take(lane: number): Delivery | undefined {
    const deliveries = this.#lanes[lane]
    const head = this.#heads[lane] ?? 0
    const delivery = deliveries?.[head]
    if (deliveries === undefined || delivery === undefined) return undefined
    this.#size--
    // What was taken is cut off now and then: at once when the lane is empty, else it would hold all that ever passed.
    const isCut = head + 1 === deliveries.length || head >= CUT_AT
    if (isCut) deliveries.splice(0, head + 1)
    this.#heads[lane] = isCut ? 0 : head + 1
    return delivery
  }

  /** Takes the newest of the lowest lane that has any. */
  takeLast(): Delivery | undefined {
    for (let lane = this.#lanes.length - 1; lane >= 0; lane--) {
      const deliveries = this.#lanes[lane]
      if (deliveries === undefined || deliveries.length <= (this.#heads[lane] ?? 0)) continue
      this.#size--
      return deliveries.pop()
    }
    return undefined
  }
}
