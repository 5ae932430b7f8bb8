/** `troupe pause` and `troupe resume`. */
import type { PausedLane, PauseOptions } from '../client/pausing.ts'
import { command } from './command.ts'
import { given } from './input.ts'
import { say, sayJson } from './print.ts'
import { withTroupe } from './session.ts'

const lane = { value: 'LANE', meaning: 'only this lane: high, normal or low; default: all' } as const

export const pause = command({
  usage: 'ACTOR',
  count: [1, 1],
  flags: {
    lane,
    for: { value: 'DURATION', meaning: 'how long; default: until "troupe resume"' },
    until: { value: 'TIME', meaning: 'until that moment: 2027-03-28T08:00:00Z' },
  },
  details: `The same as "nats consumer pause" on each lane: workers take nothing more, wherever they run and also after a restart. What runs goes on
to its end, what is sent waits.

Examples:
  troupe pause mailer
  troupe pause mailer --lane low --for 1h`,
  async run({ args: [actor = ''], flags, isJson, ...rest }) {
    const options: PauseOptions = given({ ...flags, lane: flags.lane as PauseOptions['lane'] })
    const paused = await withTroupe(rest, (troupe) => troupe.pause(actor, options))
    return isJson ? sayJson({ actor, paused }) : say(pausedText(actor, paused))
  },
})

export const resume = command({
  usage: 'ACTOR',
  count: [1, 1],
  flags: { lane },
  details: `Example:
  troupe resume mailer`,
  async run({ args: [actor = ''], flags, isJson, ...rest }) {
    const options = given({ lane: flags.lane as PauseOptions['lane'] })
    const lanes = await withTroupe(rest, (troupe) => troupe.resume(actor, options))
    return isJson ? sayJson({ actor, resumed: lanes }) : say(`resumed ${actor}: ${lanes.join(', ')}`)
  },
})

function pausedText(actor: string, paused: readonly PausedLane[]): string {
  const until = paused[0]?.until
  const end = until === undefined ? `until "troupe resume ${actor}"` : `until ${until.toISOString()}`
  return `paused ${actor} (${paused.map(({ lane: one }) => one).join(', ')}) ${end}`
}
