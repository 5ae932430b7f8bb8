/** A binary heap: the entry with the least key first. */
export class Heap<T> {
  readonly #entries: T[] = []
  readonly #key: (entry: T) => number

  constructor(key: (entry: T) => number) {
    this.#key = key
  }

  get size(): number {
    return this.#entries.length
  }

  peek(): T | undefined {
    return this.#entries[0]
  }

  push(entry: T): void {
    this.#entries.push(entry)
    this.#up(this.#entries.length - 1)
  }

  pop(): T | undefined {
    const first = this.#entries[0]
    const last = this.#entries.pop()
    if (last !== undefined && this.#entries.length > 0) {
      this.#entries[0] = last
      this.#down(0)
    }
    return first
  }

  /** Takes out all that match. */
  remove(matches: (entry: T) => boolean): T[] {
    const [out, rest]: [T[], T[]] = [[], []]
    for (const entry of this.#entries) (matches(entry) ? out : rest).push(entry)
    if (out.length === 0) return out
    this.#entries.length = 0
    for (const entry of rest) this.push(entry)
    return out
  }

  #at(index: number): number {
    const entry = this.#entries[index]
    return entry === undefined ? Infinity : this.#key(entry)
  }

  #swap(a: number, b: number): void {
    const entries = this.#entries
    ;[entries[a], entries[b]] = [entries[b] as T, entries[a] as T]
  }

  #up(start: number): void {
    for (let index = start; index > 0;) {
      const parent = (index - 1) >> 1
      if (this.#at(parent) <= this.#at(index)) return
      this.#swap(parent, index)
      index = parent
    }
  }

  #down(start: number): void {
    for (let index = start; ;) {
      const left = 2 * index + 1
      const least = this.#at(left + 1) < this.#at(left) ? left + 1 : left
      if (this.#at(least) >= this.#at(index)) return
      this.#swap(least, index)
      index = least
    }
  }
}
