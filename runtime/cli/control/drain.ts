/** `troupe drain`. */
import type { Broker } from '../../broker/broker.ts'
import { askSystem } from '../../broker/control.ts'
import { ActorError, ConfigError, UnavailableError } from '../../errors.ts'
import { sleep, systemClock } from '../../time/clock.ts'
import { formatDuration, parseDuration } from '../../time/duration.ts'
import { command } from '../command.ts'
import { counted, say, sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { treesOf, valueOf } from './systems.ts'

const TIMEOUT = '2m'
const LOOK_MS = 200

export const drain = command({
  usage: '[SYSTEM]',
  count: [0, 1],
  flags: {
    all: { meaning: 'every system of the namespace' },
    within: { value: 'DURATION', meaning: "time that running handlers get; default: the system's own shutdown.within" },
    timeout: { value: 'DURATION', meaning: `longest wait until all have ended; default ${TIMEOUT}` },
  },
  details: `The same as SIGTERM: no new messages, running ones get their time, the rest goes back at once, nothing counts as an attempt; then the
process ends with code 0. Returns when the systems have ended.

Examples:
  troupe drain web-1-4711
  troupe drain --all --within 5s`,
  async run({ args: [system], flags, isJson, ...rest }) {
    if ((system === undefined) !== flags.all) {
      throw new ConfigError(
        'USAGE',
        'expected the name of a system, or --all, and not both: "troupe tree" lists what runs',
      )
    }
    const timeoutMs = parseDuration(flags.timeout ?? TIMEOUT, 'timeout')
    const within = flags.within === undefined ? {} : { within: parseDuration(flags.within, 'within') }
    const systems = await withTroupe(rest, async (_troupe, { broker }) => {
      const names = (await treesOf(broker, system)).map((tree) => tree.system)
      for (const name of names) valueOf(await askSystem(broker, name, 'drain', within))
      await allGone(broker, names, timeoutMs)
      return names
    })
    return isJson
      ? sayJson({ drained: systems })
      : say(`${counted(systems.length, 'system')} drained: ${systems.join(', ')}`)
  },
})

/** A system answers until it has nothing more to do. */
async function allGone(broker: Broker, names: readonly string[], timeoutMs: number): Promise<void> {
  const until = systemClock.monotonic() + timeoutMs
  let left = names
  for (;;) {
    const runs = await Promise.all(left.map((name) => isRunning(broker, name)))
    left = left.filter((_, place) => runs[place])
    if (left.length === 0) return
    if (systemClock.monotonic() >= until) throw notDrained(left, timeoutMs)
    await sleep(LOOK_MS)
  }
}

async function isRunning(broker: Broker, name: string): Promise<boolean> {
  try {
    await askSystem(broker, name, 'tree')
    return true
  } catch (error) {
    if (error instanceof ActorError && error.code === 'NO_SYSTEM') return false
    // It says nothing, but it listens: it may be busy ending.
    if (error instanceof UnavailableError) return true
    throw error
  }
}

function notDrained(left: readonly string[], timeoutMs: number): UnavailableError {
  const text = `expected ${left.join(', ')} to end within ${formatDuration(timeoutMs)}, but they still run: handlers may need longer, or --within a shorter time`
  return new UnavailableError('TIMEOUT', text, { data: { systems: left } })
}
