import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { run, type Middleware, type System } from 'troupe'

import { nowMs } from '../clock.ts'
import { Meter } from '../meter.ts'
import { payload, type Payload } from '../payload.ts'
import type { PoolRole } from '../roles.ts'
import { bench, isolated } from './isolated.ts'

let meter: Meter
let system: System
/** Messages that began, by their number: for who waits for one. */
const begun: number[] = []
let onBegun = (): void => {}

/** Counts in the system's process, where all three kinds end their messages. */
const counting: Middleware = async (payload, _ctx, next) => {
  begun.push(nowMs())
  onBegun()
  const startedAt = await next(payload)
  if (typeof startedAt === 'number') meter.sample((startedAt - (payload as Payload).sentAt) / 1000)
  meter.count()
  return startedAt
}

/** A system whose one actor runs inline, in threads or in processes. */
export const role: PoolRole = {
  async start({ url, space, shape, marks }) {
    meter = new Meter(marks)
    system = await run({
      actors: [isolated(shape)],
      nats: { servers: [url] },
      namespace: space,
      signals: false,
      logLevel: 'silent',
      middleware: [counting],
    })
    const places = shape.kind === 'inline' ? 0 : shape.workers
    await until(() => ready().length >= places)
  },
  mark: (index) => meter.mark(index),
  samples: async () => meter.samples,
  async idle(ms) {
    const before = cpuMs()
    await sleep(ms)
    return { cpuMs: cpuMs() - before, rssMb: rssMb() }
  },
  async recover(number) {
    const from = begun.length
    const sent = await system.troupe.send(bench.hang, payload(number))
    await until(() => begun.length > from)
    const again = await made()
    await sent.cancel()
    await until(() => ready().every(({ running }) => running === 0))
    return again
  },
  stop: () => system.stop({ within: 0 }),
}

async function made(): Promise<{ againMs: number; fullMs: number }> {
  const victim = system.hosted.get('bench')?.members.find(({ running }) => running > 0)
  const places = ready().length
  const from = nowMs()
  const runs = begun.length
  process.kill(victim?.pid ?? 0, 'SIGKILL')
  await new Promise<void>((resolve) => (onBegun = () => begun.length > runs && resolve()))
  const againMs = nowMs() - from
  await until(() => ready().length >= places)
  return { againMs, fullMs: nowMs() - from }
}

const ready = () => system.hosted.get('bench')?.members.filter(({ state }) => state === 'ready') ?? []

async function until(check: () => boolean): Promise<void> {
  // Members have no event in the process: they are asked.
  while (!check()) await sleep(1)
}

/** Of this process and of its child processes, user and system. */
function cpuMs(): number {
  const { user, system: kernel } = process.cpuUsage()
  return (user + kernel) / 1000 + children().reduce((sum, pid) => sum + ticksOf(pid) * 10, 0)
}

function rssMb(): number {
  const all = [process.pid, ...children()]
  return all.reduce((sum, pid) => sum + Number(/^VmRSS:\s+(\d+) kB/m.exec(procOf(pid, 'status'))?.[1] ?? 0) / 1024, 0)
}

function children(): number[] {
  return ready().flatMap(({ pid }) => pid ?? [])
}

/** Of a process, in hundredths of a second: the kernel's own count. */
function ticksOf(pid: number): number {
  const fields = procOf(pid, 'stat')
    .replace(/^.*\) /, '')
    .split(' ')
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
}

function procOf(pid: number, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8')
}
