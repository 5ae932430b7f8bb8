/**
 * The watch on a pool: what no message tells. How much memory processes hold, how old members are, who has nothing to do and is not
 * needed. It looks only while there is something to look at: an idle pool costs nothing.
 */
import type { Member } from './member.ts'
import { residentBytes } from './memory.ts'
import type { Isolation } from './options.ts'

export interface PoolWatchHost {
  readonly members: ReadonlySet<Member>
  /** Members that are to be ready. */
  wanted(): number
  /** Ages and memory are known anew. */
  onLook(): void
  endIdle(member: Member): void
}

/** Members beyond those that are wanted end after so long without work. */
const IDLE_MS = 30_000
const LOOK_MS = 1_000
/** With a memory limit. */
const LOOK_AT_MEMORY_MS = 100

export class PoolWatch {
  readonly #host: PoolWatchHost
  readonly #everyMs: number
  readonly #isAging: boolean
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor({ kind, memoryLimitBytes, recycle }: Isolation, host: PoolWatchHost) {
    this.#host = host
    this.#everyMs = kind === 'process' && memoryLimitBytes !== undefined ? LOOK_AT_MEMORY_MS : LOOK_MS
    this.#isAging = recycle?.atAgeMs !== undefined
  }

  /** There may be something to look at. */
  begin(): void {
    if (this.#timer !== undefined || this.#isOver || !this.#hasToLook()) return
    this.#timer = setInterval(() => void this.#look(), this.#everyMs)
    this.#timer.unref()
  }

  stop(): void {
    this.#isOver = true
    clearInterval(this.#timer)
  }

  #hasToLook(): boolean {
    const members = [...this.#host.members]
    return this.#isAging || members.some(({ running }) => running > 0) || this.#surplus().length > 0
  }

  async #look(): Promise<void> {
    if (!this.#hasToLook()) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    await this.#weigh()
    this.#host.onLook()
    for (const member of this.#surplus()) if (member.idleMs > IDLE_MS) this.#host.endIdle(member)
  }

  /** Of those that run something: an idle one does not grow. */
  async #weigh(): Promise<void> {
    const busy = [...this.#host.members].filter(({ running, pid }) => running > 0 && pid !== undefined)
    const held = busy.length === 0 ? undefined : await residentBytes(busy.map(({ pid = 0 }) => pid))
    for (const member of busy) {
      const bytes = held?.get(member.pid ?? 0)
      if (bytes !== undefined) member.holds(bytes)
    }
  }

  /** Of those that are ready, as many idle ones as are not wanted. */
  #surplus(): Member[] {
    const ready = [...this.#host.members].filter(({ state }) => state === 'ready')
    return ready.filter(({ running }) => running === 0).slice(0, Math.max(0, ready.length - this.#host.wanted()))
  }
}
