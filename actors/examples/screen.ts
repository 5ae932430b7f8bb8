/** What the demo shows: a line for each notable event, and a status line that is rewritten on a terminal and repeated elsewhere. */
import type { MessageEvents } from '../../runtime/index.ts'
import { systemClock } from '../../runtime/time/clock.ts'
import type { Sum } from './tally.ts'

/** A log is not to be filled: elsewhere than on a terminal the status comes so often. */
const REPEAT_MS = 2_000

export class Screen {
  readonly #out: NodeJS.WriteStream
  readonly #startedAt = systemClock.monotonic()
  #statusAt = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** Text as it is. */
  say(text: string): void {
    this.#write(`${text}\n`)
  }

  line(kind: string, id: string, text: string): void {
    this.#write(`${this.#time()}  ${kind.padEnd(6)} ${id.padEnd(12)} ${shorten(text)}\n`)
  }

  status({ sent, done, retried, dead }: Sum, open: number): void {
    const text = `${this.#time()}  sent ${sent}, done ${done}, retried ${retried}, dead ${dead}, on their way ${open}`
    if (this.#out.isTTY) return void this.#out.write(`\r\u001B[K${text}`)
    const now = systemClock.monotonic()
    if (now - this.#statusAt < REPEAT_MS) return
    this.#statusAt = now
    this.#write(`${text}\n`)
  }

  #write(text: string): void {
    // On a terminal the status stands on the line that is written over.
    this.#out.write(this.#out.isTTY ? `\r\u001B[K${text}` : text)
  }

  #time(): string {
    return `${((systemClock.monotonic() - this.#startedAt) / 1000).toFixed(1).padStart(6)} s`
  }
}

const shorten = (text: string): string => (text.length > 100 ? `${text.slice(0, 99)}…` : text)

/** What is worth a line: failures, and what became good after them or came from outside. */
export function tellEvent<K extends keyof MessageEvents>(
  screen: Screen,
  event: K,
  data: MessageEvents[K],
  isOurs: boolean,
): void {
  const about = data as Partial<MessageEvents['retry'] & MessageEvents['dead']> & MessageEvents[K]
  const { id, attempt } = data
  if (event === 'retry')
    screen.line('retry', id, `attempt ${attempt}, again in ${about.afterMs} ms: ${about.failure?.message}`)
  else if (event === 'dead') screen.line('dead', id, `attempt ${attempt}: ${about.failure?.message}`)
  else if (event === 'done' && !isOurs) screen.line('done', id, 'sent from another terminal')
  else if (event === 'done' && attempt > 1) screen.line('done', id, `in attempt ${attempt}`)
  else if (event === 'cancelled' || event === 'expired') screen.line(event, id, '')
}
