/**
 * The demo's bookkeeping, by ids. Nothing here is a difference of counters: a message is lost if its id was sent and never came
 * to an end, or if it is said to be done and the receiver never had it.
 */
import type { MessageEvents } from '../../runtime/index.ts'

/** How a message ended. */
type End = 'done' | 'dead' | 'cancelled' | 'expired'
const ENDS: ReadonlySet<string> = new Set<End>(['done', 'dead', 'cancelled', 'expired'])

export interface Sum {
  readonly sent: number
  readonly done: number
  readonly dead: number
  /** Cancelled or expired: by somebody at another terminal. */
  readonly dropped: number
  /** Attempts that failed and were made again. */
  readonly retried: number
  readonly lost: number
}

export class Tally {
  /** Stored by JetStream: ours and, as far as they were seen, those of other terminals. */
  readonly #sent = new Set<string>()
  /** Those that this process sends; known before they are stored, since their first event may come before the ack. */
  readonly #ours = new Set<string>()
  readonly #ends = new Map<string, End>()
  #retried = 0
  #onEnd: () => void = () => {}

  sent(id: string): void {
    this.#sent.add(id)
  }

  sending(id: string): void {
    this.#ours.add(id)
  }
  isOurs(id: string): boolean {
    return this.#ours.has(id)
  }

  /** Takes in what the workers tell. */
  event<K extends keyof MessageEvents>(event: K, { id }: MessageEvents[K]): void {
    this.#sent.add(id)
    if (event === 'retry') this.#retried++
    if (!ENDS.has(event)) return
    this.#ends.set(id, event as End)
    this.#onEnd()
  }

  /** Messages on their way: waiting, running or between two attempts. */
  get open(): number {
    return [...this.#sent].filter((id) => !this.#ends.has(id)).length
  }

  /** Resolves when nothing is on its way; `false` where that took longer than `within` says. */
  async drained(within: AbortSignal): Promise<boolean> {
    if (this.open === 0 || within.aborted) return this.open === 0
    await new Promise<void>((resolve) => {
      this.#onEnd = () => this.open === 0 && resolve()
      within.addEventListener('abort', () => resolve())
    })
    return this.open === 0
  }

  /** `hasReceived`: whether the receiver took the event of that id. */
  sum(hasReceived: (id: string) => boolean): Sum {
    const ids = (kind: End): string[] => [...this.#ends].filter(([, end]) => end === kind).map(([id]) => id)
    const done = ids('done')
    return {
      sent: this.#sent.size,
      done: done.length,
      dead: ids('dead').length,
      dropped: ids('cancelled').length + ids('expired').length,
      retried: this.#retried,
      lost: this.open + done.filter((id) => !hasReceived(id)).length,
    }
  }
}
