/**
 * What a worker has in hand: the runs of its slots, and what has ended and is not settled yet. It counts what ended, and tells who waits
 * for the end of it all.
 */
import { Slots } from '../broker/slots.ts'
import type { Message } from '../message.ts'
import { systemClock } from '../time/clock.ts'
import type { Run } from './run.ts'

/** A run that is worth remembering for a moment, and how many of them are. */
const LONG_MS = 100
const MOST_LONG = 10

export class Running {
  readonly #runs = new Slots<Run>()
  #unsettled = 0
  #ended = 0
  #handlerMs = 0
  /** The newest runs that took long: one that blocked the event loop has ended before anybody can see it. */
  #long: readonly { readonly message: Message; readonly endedAt: number }[] = []
  #changed: (() => void) | undefined

  get size(): number {
    return this.#runs.size
  }
  /** In no particular order. */
  all(): Run[] {
    return this.#runs.all()
  }
  /** Messages that are not off our hands: those that run, and those that are being settled or given back. */
  get unsettled(): number {
    return this.#unsettled
  }
  /** How many run now, how many ever ended, and how long those took together: ms. */
  get pace(): { readonly running: number; readonly ended: number; readonly handlerMs: number } {
    return { running: this.#runs.size, ended: this.#ended, handlerMs: this.#handlerMs }
  }

  /** Messages whose handlers ran at some moment since then: monotonic ms. Of short ones only those that still run. */
  since(moment: number): Message[] {
    const ended = this.#long.filter(({ endedAt }) => endedAt >= moment)
    return [...this.#runs.all(), ...ended].map(({ message }) => message)
  }

  begin(run: Run): void {
    run.slot = this.#runs.add(run)
    this.#unsettled++
  }

  /** Its slot is free; `settled` follows. Returns how long it took: ms. */
  end(run: Run): number {
    this.#runs.delete(run.slot)
    const endedAt = systemClock.monotonic()
    const ms = endedAt - run.startedAt
    if (ms > LONG_MS) this.#long = [{ message: run.message, endedAt }, ...this.#long].slice(0, MOST_LONG)
    this.#ended++
    this.#handlerMs += ms
    return ms
  }

  /** What was never begun is on its way back; `settled` follows. */
  giveBack(): void {
    this.#unsettled++
  }

  /** One is off our hands. */
  settled(): void {
    this.#unsettled--
    if (this.#unsettled === 0) this.look()
  }

  /** Who waits looks again. */
  look(): void {
    this.#changed?.()
  }

  /** Waits until nothing runs (or `isDone`), or until the deadline: monotonic ms. */
  idleWithin(deadline: number, isDone = (): boolean => this.size === 0): Promise<void> {
    const leftMs = deadline - systemClock.monotonic()
    if (isDone() || leftMs <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel()
        this.#changed = undefined
        resolve()
      }
      const timer = systemClock.setTimer(end, leftMs)
      this.#changed = () => isDone() && end()
    })
  }
}
