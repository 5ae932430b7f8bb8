/** How many of a long list are under way. Waiting with Promise.race would look at all of them for each that lands. */
export class Flight {
  readonly #most: number
  #count = 0
  #wake: (() => void) | undefined
  #until = 0

  constructor(most: number) {
    this.#most = most
  }

  get isFull(): boolean {
    return this.#count >= this.#most
  }
  begin(): void {
    this.#count++
  }
  end(): void {
    if (--this.#count <= this.#until) this.#wake?.()
  }
  /** Resolves when half of them have landed. */
  room(): Promise<void> {
    return this.#fallTo(this.#most >> 1)
  }
  landed(): Promise<void> {
    return this.#fallTo(0)
  }

  #fallTo(until: number): Promise<void> {
    if (this.#count <= until) return Promise.resolve()
    this.#until = until
    return new Promise((resolve) => (this.#wake = resolve))
  }
}
