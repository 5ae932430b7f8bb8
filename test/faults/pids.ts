/** Processes as the kernel has them. */
import { readFileSync } from 'node:fs'

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

function stateOf(pid: number): string | undefined {
  try {
    // The name, in brackets, may hold anything: the state comes after the last one.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3)
  } catch {
    return undefined
  }
}
