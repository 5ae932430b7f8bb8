/** The line from a thread or child process to its system: the same for both. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads'

import type { FromMember, MemberStart, ToMember } from '../protocol.ts'

export interface Line {
  readonly start: MemberStart
  /** Throws where structured clone can't carry it. */
  readonly send: (message: FromMember) => void
  /** Sends a last word and ends. */
  readonly leave: (code: number, last?: FromMember) => void
}

/** Opens it and waits for what to start with. */
export async function openLine(onMessage: (message: ToMember) => void): Promise<Line> {
  return isMainThread ? openProcessLine(onMessage) : openThreadLine(onMessage)
}

function openThreadLine(onMessage: (message: ToMember) => void): Line {
  const port = parentPort
  if (port === null) throw new TypeError('expected to be started as a thread')
  port.on('message', onMessage)
  return {
    start: workerData as MemberStart,
    send: (message) => port.postMessage(message),
    // What a port was given before its thread ends is still delivered.
    leave(code, last) {
      if (last !== undefined) port.postMessage(last)
      process.exit(code)
    },
  }
}

function openProcessLine(onMessage: (message: ToMember) => void): Promise<Line> {
  // Its system drains on these, and tells it what to do; a group of processes gets them all at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
  // Its system is gone. What runs here is given to another within the lease, and nobody hears of it any more.
  process.on('disconnect', () => process.exit(1))
  return new Promise((resolve) => {
    process.on('message', (message: ToMember) => {
      if (message.kind === 'start') resolve({ start: message.start, send, leave })
      else onMessage(message)
    })
  })
}

function send(message: FromMember): void {
  process.send?.(message)
}

function leave(code: number, last?: FromMember): void {
  if (last === undefined || !process.connected) process.exit(code)
  process.send?.(last, undefined, undefined, () => process.exit(code))
}
