/** Processes as the kernel has them. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'

/** Whether it runs. One that has ended and waits for its parent to ask (a zombie) does not: `isZombie` tells. */
export function isRunning(pid: number): boolean {
  const state = stateOf(pid)
  return state !== undefined && state !== 'Z'
}

export function isZombie(pid: number): boolean {
  return stateOf(pid) === 'Z'
}

/** Resident memory: bytes. */
export function residentOf(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kb) * 1024
}

/** All that were started by it, and by those, as far as they live. */
export function descendantsOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    const own = text.split(' ').filter(Boolean).map(Number)
    return [...own, ...own.flatMap(descendantsOf)]
  } catch {
    return []
  }
}

/** Its command line. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** What starting a bare Node takes on a machine that has nothing else to do, with room to spare: ms. */
const BARE_START_MS = 150

/** How many times slower than that the machine is now, from 1: times that are promised for an idle one are held against it. */
export async function slowness(): Promise<number> {
  const from = performance.now()
  await promisify(execFile)(process.execPath, ['-e', '0'])
  return Math.max(1, (performance.now() - from) / BARE_START_MS)
}

function stateOf(pid: number): string | undefined {
  try {
    // The name, in brackets, may hold anything: the state comes after the last one.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3)
  } catch {
    return undefined
  }
}
