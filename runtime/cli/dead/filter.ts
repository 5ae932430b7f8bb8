/** Which dead letters are meant, as flags. */
import type { DeadFilter } from '../../client/dead.ts'
import type { FlagSpecs, FlagValues } from '../command.ts'
import { countOf, given, momentAgo } from '../input.ts'

export const filterFlags = {
  id: { value: 'ID', meaning: 'with this id' },
  actor: { value: 'ACTOR', meaning: 'of this actor' },
  message: { value: 'MESSAGE', meaning: 'with this name: welcome, or mailer.welcome' },
  reason: { value: 'REASON', meaning: 'that died for this reason, as "dead ls" shows it' },
  'older-than': { value: 'DURATION', meaning: 'that died so long ago or earlier' },
  since: { value: 'DURATION|TIME', meaning: 'that died within this time, or after that moment' },
  sequence: { value: 'NUMBER', meaning: 'the one at this place, as "dead ls" shows it' },
} as const satisfies FlagSpecs

/** Throws `ConfigError` for what is no number or moment. */
export function filterOf(flags: FlagValues<typeof filterFlags>): DeadFilter {
  const { id, actor, message, reason, since } = flags
  const [of, name] = message?.includes('.') ? message.split('.', 2) : [actor, message]
  return given({
    id,
    actor: of,
    message: name,
    reason,
    olderThan: flags['older-than'],
    since: momentAgo(since, 'since'),
    sequence: countOf(flags.sequence, 'sequence'),
  })
}
