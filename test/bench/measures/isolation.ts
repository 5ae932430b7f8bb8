import { startPool, startSender } from '../child.ts'
import type { Ground } from '../ground.ts'
import type { Found, Measure, Round, Rows } from '../measure.ts'
import { median, percentile } from '../numbers.ts'
import type { Shape } from '../troupe/isolated.ts'

const everyMs = 10
/** How each kind runs: with one message at a time in each, and with several. */
const shapes: readonly (readonly [string, Shape])[] = [
  ['inline', { kind: 'inline', workers: 1, concurrency: 4 }],
  ['thread', { kind: 'thread', workers: 4, concurrency: 4 }],
  ['process', { kind: 'process', workers: 4, concurrency: 4 }],
  ['thread of 32', { kind: 'thread', workers: 2, concurrency: 64 }],
  ['process of 32', { kind: 'process', workers: 2, concurrency: 64 }],
]

/**
 * Threads and processes beside inline (in the column of the bare loop): messages a second and CPU a message from a sender beside it,
 * milliseconds from send to handler start, what an idle system costs, and how soon a killed process is made good.
 */
export const isolation: Measure = async (ground, plan) => {
  const count = plan.quick ? 2_000 : 20_000
  const rounds = plan.quick ? 1 : 3
  const found = new Map<string, Found[]>(shapes.map(([name]) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, shape] of shapes) {
      await ground.wipe()
      const space = `isolation${round}${name.replaceAll(' ', '')}`
      found.get(name)?.push({
        ...(await flowed(ground, space, shape, count)),
        ...(await paced(ground, `${space}paced`, shape, plan.quick ? 100 : 500)),
      })
    }
  }
  const inline = found.get('inline') ?? []
  const beside = (kind: string, name: string, unit: string): Rows => ({
    name: `${kind} ${name}`,
    unit,
    hold: { kind: 'none' },
    rounds: { bare: column(inline, name), troupe: column(found.get(kind) ?? [], name) },
  })
  const kinds = shapes.map(([name]) => name).filter((name) => name !== 'inline')
  return [
    ...kinds.flatMap((kind) => [
      beside(kind, 'flow', 'msg/s'),
      beside(kind, 'latency p50', 'ms'),
      beside(kind, 'latency p99', 'ms'),
      beside(kind, 'idle CPU', 'ms/s'),
    ]),
    ...(await recovered(ground, plan.quick ? 2 : 10)),
  ]
}

function column(found: readonly Found[], name: string): Round[] {
  return found.flatMap((each) => each[name] ?? [])
}

async function flowed(ground: Ground, space: string, shape: Shape, count: number): Promise<Found> {
  const place = { url: ground.url, space }
  const warm = count / 4
  // Before the messages: the start of threads and processes is no part of what a message costs.
  await using pool = await startPool()
  await pool.call('start', { ...place, shape, marks: [warm, warm + count] })
  await using sender = await startSender('troupe')
  await sender.call('start', place)
  await sender.call('pump', warm, 2048, true)
  const begun = await pool.call('mark', 0)
  const [sent, ended] = await Promise.all([sender.call('pump', count, 2048, true), pool.call('mark', 1)])
  await ground.emptied(space)
  const idle = await pool.call('idle', 5_000)
  return {
    flow: { value: (count / (ended.at - sent.startedAt)) * 1000, cpuUs: (ended.cpuUs - begun.cpuUs) / count },
    'idle CPU': { value: idle.cpuMs / 5, rssMb: idle.rssMb },
  }
}

async function paced(ground: Ground, space: string, shape: Shape, count: number): Promise<Found> {
  const warm = 50
  const place = { url: ground.url, space }
  await using pool = await startPool()
  await pool.call('start', { ...place, shape, marks: [warm + count] })
  await using sender = await startSender('troupe')
  await sender.call('start', place)
  await sender.call('pace', warm + count, everyMs)
  await pool.call('mark', 0)
  const samples = (await pool.call('samples')).slice(warm)
  return { 'latency p50': { value: percentile(samples, 0.5) }, 'latency p99': { value: percentile(samples, 0.99) } }
}

/** `kill -9` of a process in mid-handler: until its message is begun again, and until there are as many processes as before. */
async function recovered(ground: Ground, kills: number): Promise<Rows[]> {
  await ground.wipe()
  const place = { url: ground.url, space: 'isolationrecovery' }
  await using pool = await startPool()
  await pool.call('start', { ...place, shape: { kind: 'process', workers: 4, concurrency: 4 }, marks: [] })
  const found: { againMs: number; fullMs: number }[] = []
  for (let kill = 0; kill < kills; kill++) found.push(await pool.call('recover', kill))
  const row = (name: string, values: readonly number[]): Rows => {
    return { name, unit: 'ms', hold: { kind: 'none' }, rounds: { bare: [], troupe: [{ value: median(values) }] } }
  }
  return [
    row(
      'killed: begun again',
      found.map(({ againMs }) => againMs),
    ),
    row(
      'killed: all there again',
      found.map(({ fullMs }) => fullMs),
    ),
  ]
}
