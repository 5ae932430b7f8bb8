/**
 * Who is the guardian of a folder: claims, one file each, numbered upwards (`guardian/7.json`).
 *
 * Invariants:
 * C1 The claim with the highest number counts. It is never deleted, not even when it is given back (then it says so): so
 *    numbers only rise, and a process that read an old list can never create a claim that counts.
 * C2 A claim is made by exclusive creation of highest + 1, after the highest was seen to be dead or given back, and holds only if
 *    no higher one exists afterwards. Of any number of processes one wins; nobody ever removes a claim that may be alive.
 * C3 A claim is alive while its port answers to its token. The port is bound before the claim is made, and the kernel closes it
 *    with the process, `kill -9` too: refused means dead, whatever process has the pid by now. A guardian in another
 *    network (a container over the same folder) can't be asked: it touches its claim every second instead.
 */
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

import { sleep, systemClock } from '../../runtime/time/clock.ts'

export interface Claim {
  readonly pid: number
  readonly host: string
  /** Loopback port of the guardian, not of nats-server. */
  readonly port: number
  /** Tells the guardian from whatever else may have its port one day. */
  readonly token: string
  readonly released?: boolean
}

export interface NumberedClaim {
  readonly number: number
  /** Undefined while it is being written, or when its maker died in that moment. */
  readonly claim: Claim | undefined
}

const folder = (dir: string): string => join(dir, 'guardian')
const file = (dir: string, number: number): string => join(folder(dir), `${number}.json`)

async function numbers(dir: string): Promise<number[]> {
  const names = await readdir(folder(dir)).catch(() => [])
  return names.map((name) => Number(/^(\d+)\.json$/.exec(name)?.[1] ?? 0)).sort((a, b) => b - a)
}

/** The claim that counts; number 0 where there is none yet. */
export async function newestClaim(dir: string): Promise<NumberedClaim> {
  const number = (await numbers(dir))[0] ?? 0
  return { number, claim: number === 0 ? undefined : await readClaim(dir, number) }
}

async function readClaim(dir: string, number: number): Promise<Claim | undefined> {
  try {
    return JSON.parse(await readFile(file(dir, number), 'utf8')) as Claim
  } catch {
    return undefined
  }
}

/** Makes claim `number`; false when somebody else has it or a higher one. Lower ones are removed. */
export async function makeClaim(dir: string, number: number, claim: Claim): Promise<boolean> {
  await mkdir(folder(dir), { recursive: true })
  try {
    await writeFile(file(dir, number), JSON.stringify(claim), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  const all = await numbers(dir)
  if (all[0] !== number) return false
  await Promise.all(all.slice(1).map((lower) => rm(file(dir, lower), { force: true })))
  return true
}

/** Marks the claim as given back; nothing happens when the folder was removed and is another guardian's by now. */
export async function releaseClaim(dir: string, number: number, claim: Claim): Promise<void> {
  if ((await readClaim(dir, number))?.token !== claim.token) return
  await writeFile(file(dir, number), JSON.stringify({ ...claim, released: true }))
}

/** Shows those who can't reach the port that the guardian lives. */
export async function touchClaim(dir: string, number: number): Promise<void> {
  const now = new Date(systemClock.now())
  await utimes(file(dir, number), now, now).catch(() => {})
}

/** Whether a guardian that can't be asked, on another host, touches its claim. Its clock does not matter, only that it moves. */
export async function isTouched(dir: string, number: number): Promise<boolean> {
  const time = async (): Promise<number> => (await stat(file(dir, number)).catch(() => undefined))?.mtimeMs ?? 0
  const before = await time()
  await sleep(4000)
  return (await time()) !== before
}

/** Whether a claim was made in this network, as far as one can tell: then its port decides. */
export const isLocal = (claim: Claim): boolean => claim.host === hostname()
