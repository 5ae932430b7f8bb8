/** One thread or child process as its parent has it: the same for both. */
import type { FromMember, MemberStart, ToMember } from './protocol.ts'

/** What is known of how it ended. */
export interface PortExit {
  readonly code?: number
  readonly signal?: string
  /** Its heap was full: Node said so. */
  readonly isOutOfMemory: boolean
  /** The last of its stderr. */
  readonly stderr: string
}

export interface Port {
  readonly pid: number | undefined
  /** Throws where structured clone can't carry it. What is sent to one that has ended is lost. */
  send(message: ToMember): void
  /** Ends it, whatever it does. `onExit` follows; of a thread that is stuck in native code it may not. */
  kill(): void
}

export interface PortListener {
  onMessage(message: FromMember): void
  /** Once, after its last message. */
  onExit(exit: PortExit): void
}

export interface PortOptions {
  readonly start: MemberStart
  /** For people who look at threads and processes. */
  readonly title: string
  readonly execArgv: readonly string[]
  readonly memoryLimitBytes: number | undefined
}

/** `main.js` whether this file runs compiled or as it is: the compiled one is what threads and processes load. */
export const MAIN = new URL('inside/main.js', import.meta.url)

/** stderr that is kept for a report. */
const TAIL_CHARS = 4_000

/** Keeps the end of a text that comes in pieces. */
export class Tail {
  #text = ''

  add(piece: string): void {
    this.#text = (this.#text + piece).slice(-TAIL_CHARS)
  }
  get text(): string {
    return this.#text
  }
}

const MB = 2 ** 20

/** V8's limit for the old space, in whole MB: from 8 on, since V8 starts with less no more. */
export function heapMb(bytes: number): number {
  return Math.max(8, Math.floor(bytes / MB))
}
