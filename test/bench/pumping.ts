import { markNow } from './meter.ts'
import type { Sent } from './roles.ts'

/**
 * Calls `send` for 0 to `count` - 1 with at most `window` unsettled: how a sender with many messages works. Each
 * settled promise starts the next; nothing else waits. The first failure ends it.
 */
export async function pumping(count: number, window: number, send: (n: number) => Promise<unknown>): Promise<Sent> {
  const begun = markNow()
  await new Promise<void>((resolve, reject) => {
    let sent = 0
    let settled = 0
    const fill = () => {
      while (sent < count && sent - settled < window) send(sent++).then(settle, reject)
    }
    const settle = () => {
      if (++settled === count) resolve()
      else fill()
    }
    fill()
  })
  const ended = markNow()
  return { startedAt: begun.at, endedAt: ended.at, cpuUs: ended.cpuUs - begun.cpuUs, peakRssMb: ended.peakRssMb }
}

/** Calls `send` every `everyMs`, `count` times, and waits for all of them. */
export async function pacing(count: number, everyMs: number, send: (n: number) => Promise<unknown>): Promise<void> {
  const pending: Promise<unknown>[] = []
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      if (pending.push(send(pending.length)) < count) return
      clearInterval(timer)
      resolve()
    }, everyMs)
  })
  await Promise.all(pending)
}
