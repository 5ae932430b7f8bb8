/**
 * Messages that were acked and are still stored. A nats-server that is killed may have kept the ack, and not that the message is gone
 * (seen with 2.14, one copy): it hands them out no more, and never removes them. They take room, and a place in a mailbox that is bounded.
 *
 * They are told by their place: all up to a consumer's ack floor were acked. Nothing here removes them: whoever reads the advice decides.
 */
import type { Broker } from '../broker/broker.ts'
import { sleep } from '../time/clock.ts'

export interface Leftovers {
  readonly stream: string
  /** What its consumer pulls. */
  readonly subject: string
  /** Sequence of the first one. */
  readonly first: number
  /** Up to here all were acked. */
  readonly floor: number
}

/** An ack that has just come is removed at once: what is still there after this was left over. */
const AGAIN_MS = 250

/** Of an actor's mailbox, one for each queue that has some. */
export async function leftoversOf(broker: Broker, actor: string): Promise<Leftovers[]> {
  const stream = broker.subjects.mailboxStream(actor)
  const before = await look(broker, stream)
  if (before.length === 0) return []
  await sleep(AGAIN_MS)
  const after = await look(broker, stream)
  return before.filter(({ subject, first }) => after.some((one) => one.subject === subject && one.first === first))
}

async function look({ api }: Broker, stream: string): Promise<Leftovers[]> {
  const consumers = await api.consumers(stream)
  const found = consumers.flatMap(({ config, ack_floor: { stream_seq: floor } }) =>
    (config.filter_subjects ?? [config.filter_subject ?? '>']).map(async (subject): Promise<Leftovers[]> => {
      const message = floor === 0 ? undefined : await api.readMessage(stream, { seq: 1, next_by_subj: subject })
      return message === undefined || message.sequence > floor
        ? []
        : [{ stream, subject, first: message.sequence, floor }]
    }),
  )
  return (await Promise.all(found)).flat()
}
