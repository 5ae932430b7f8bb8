/**
 * `npm run bench`: every measure of DESIGN section 11, the runtime beside a bare loop in the same run.
 *
 * `-- --only drain,send` some of them, `-- --quick` a short look, `-- --json FILE` the numbers for programs,
 * `-- --side bare` one half alone. Ends with code 1 where a measure does not hold.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { prepareGround } from './ground.ts'
import { machine, versions } from './machine.ts'
import type { Measure, Plan, Side } from './measure.ts'
import { ask } from './measures/ask.ts'
import { burst } from './measures/burst.ts'
import { drain } from './measures/drain.ts'
import { endToEnd } from './measures/end-to-end.ts'
import { events } from './measures/events.ts'
import { isolation } from './measures/isolation.ts'
import { late } from './measures/late.ts'
import { latency } from './measures/latency.ts'
import { parked } from './measures/parked.ts'
import { schedules } from './measures/schedules.ts'
import { send } from './measures/send.ts'
import { sleepers } from './measures/sleepers.ts'
import { steady } from './measures/steady.ts'
import type { Line } from './report.ts'
import { line, table } from './report.ts'

const measures: Readonly<Record<string, Measure>> = {
  drain,
  send,
  'end-to-end': endToEnd,
  events,
  latency,
  ask,
  late,
  burst,
  sleepers,
  steady,
  parked,
  isolation,
  schedules,
}

const USAGE = `npm run bench -- [--only ${Object.keys(measures).join(',')}] [--quick] [--json FILE] [--side bare|troupe]`
const flags = readFlags()

const plan: Plan = { quick: flags.quick, sides: sides() }
const lines: Line[] = []
let server = 'unknown'
for (const name of chosen()) {
  const measured = await measure(name)
  console.log(table(measured))
  lines.push(...measured)
}
console.log(`\n${table(lines)}`)
if (flags.json !== undefined) await writeFile(flags.json, json())
if (lines.some((each) => each.ok === false)) process.exitCode = 1

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string' },
        json: { type: 'string' },
        quick: { type: 'boolean', default: false },
        side: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (!values.help) return values
    console.log(USAGE)
    process.exit(0)
  } catch (error) {
    return refuse((error as Error).message)
  }
}

/** A wrong flag is told, with what there is. */
function refuse(problem: string): never {
  console.error(`${problem}\n${USAGE}`)
  process.exit(2)
}

function sides(): readonly Side[] {
  const all = ['bare', 'troupe'] as const
  const chosen = all.filter((side) => flags.side === undefined || flags.side === side)
  return chosen.length > 0 ? chosen : refuse(`expected --side to be one of ${all.join(', ')}, got: ${flags.side}`)
}

function chosen(): readonly string[] {
  const names = flags.only?.split(',') ?? Object.keys(measures)
  const unknown = names.filter((name) => !(name in measures))
  if (unknown.length === 0) return names
  return refuse(`expected --only to name some of the measures, got: ${unknown.join(', ')}`)
}

async function measure(name: string): Promise<Line[]> {
  await using ground = await prepareGround()
  server = ground.version
  const rows = (await measures[name]?.(ground, plan)) ?? []
  return rows.map(line)
}

function json(): string {
  return `${JSON.stringify({ machine: machine(), versions: versions(server), measures: lines }, null, 2)}\n`
}
