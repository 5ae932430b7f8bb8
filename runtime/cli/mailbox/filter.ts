/** Which messages of a mailbox are meant, as flags. */
import type { Lane } from '../../broker/subjects.ts'
import type { WaitingFilter, WaitingMessage } from '../../view/mailboxes.ts'
import type { FlagSpecs, FlagValues } from '../command.ts'
import { countOf, given, headerOf } from '../input.ts'
import { table } from '../print.ts'

export const filterFlags = {
  id: { value: 'ID', meaning: 'with this id' },
  message: { value: 'MESSAGE', meaning: 'with this name' },
  lane: { value: 'LANE', meaning: 'in this lane: high, normal, low' },
  'older-than': { value: 'DURATION', meaning: 'sent so long ago or earlier' },
  root: { value: 'ID', meaning: 'that this message began' },
  header: { value: 'NAME=VALUE', meaning: 'with this header' },
  sequence: { value: 'NUMBER', meaning: 'the one at this place' },
} as const satisfies FlagSpecs

/** Throws `ConfigError` for what is no number or header; lanes and durations are checked where they are used. */
export function filterOf(flags: FlagValues<typeof filterFlags>): WaitingFilter {
  const { id, message, lane, root } = flags
  const [name, value] = flags.header === undefined ? [] : headerOf(flags.header)
  return given({
    id,
    message,
    lane: lane as Lane | undefined,
    olderThan: flags['older-than'],
    root,
    header: name === undefined || value === undefined ? undefined : { name, value },
    sequence: countOf(flags.sequence, 'sequence'),
  })
}

const headings = ['LANE', 'POSITION', 'ID', 'MESSAGE', 'ATTEMPT', 'SENT', 'BYTES', 'PAYLOAD']

/** One a line. */
export function messageTable(messages: readonly WaitingMessage[]): string {
  return table(
    headings,
    messages.map((one) => [
      one.lane,
      one.position === undefined ? one.state : String(one.position),
      one.id,
      `${one.actor}.${one.message}`,
      String(one.attempt),
      one.sentAt.toISOString(),
      String(one.size),
      one.payload === undefined ? '(not readable)' : (JSON.stringify(one.payload) ?? ''),
    ]),
  )
}

/** For programs: the payload decoded, or the bytes where they could not be. */
export function messageData({ body, ...message }: WaitingMessage): Record<string, unknown> {
  return message.payload === undefined ? { ...message, body } : message
}
