/** How much memory processes hold, seen from outside: what a process says of itself it does not say while its event loop is blocked. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Resident bytes of those that live. Linux answers from a file; elsewhere `ps` is asked (nothing on Windows). */
export async function residentBytes(pids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  if (process.platform === 'win32') return new Map()
  const read = process.platform === 'linux' ? pids.map((pid) => [pid, fromProc(pid)] as const) : await fromPs(pids)
  return new Map(read.filter((entry): entry is readonly [number, number] => entry[1] !== undefined))
}

/** In KB whatever the size of pages: `statm` would count those. */
function fromProc(pid: number): number | undefined {
  try {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kb === undefined ? undefined : Number(kb) * 1024
  } catch {
    return undefined
  }
}

function fromPs(pids: readonly number[]): Promise<(readonly [number, number | undefined])[]> {
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'pid=,rss=', '-p', pids.join(',')], (_error, stdout) => {
      const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
      resolve(lines.flatMap(([pid, kb]) => (pid === undefined || kb === undefined ? [] : [[pid, kb * 1024] as const])))
    })
  })
}
